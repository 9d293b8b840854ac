//! A file by TFTP, block by block and in windows, to one client and to eight; against tftpd-hpa, atftpd and dnsmasq.
//!
//! The client is Debian's `atftp`. tftpd-hpa and dnsmasq have no windows (RFC 7440).

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{
    figures::{Figure, OURS, Target},
    place::{inside, said},
    work::{Bench, Contender, Work},
};

const WINDOWS: Figure = Figure::less("50 MB, windows of 16, 1 client", "s");
const EIGHT: Figure = Figure::less("50 MB each, windows of 16, 8 clients", "s");
const PLAIN: Figure = Figure::less("10 MB, block by block, 1 client", "s");
const CPU: Figure = Figure::less("CPU, windows of 16, 8 clients", "s/GB");
const PLAIN_CPU: Figure = Figure::less("CPU, block by block", "s/GB");

const ATFTPD: &str = "atftpd";
const BIG: usize = 50_000_000;
const SMALL: usize = 10_000_000;

pub(crate) struct Tftp;

impl Work for Tftp {
    fn name(&self) -> &'static str {
        "tftp"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ours = bench.ours()?;
        let root = ours.place.folder().join("tftp");
        fs::create_dir_all(&root)?;
        for (name, size) in [("big.bin", BIG), ("small.bin", SMALL)] {
            let path = root.join(name);
            fs::write(&path, noise(size))?;
            let loader = format!("loader/{name}");
            said(
                bench
                    .lab
                    .farosctl_command()?
                    .args(["content", "add", &path.to_string_lossy(), "--name", &loader])
                    .output(),
            )?;
        }
        let root = root.to_string_lossy().into_owned();
        let mut all = vec![ours, hpa(bench, &root)?];
        let folder = format!("--tftp-root={root}");
        for (name, words) in [
            (
                ATFTPD,
                vec![
                    "atftpd",
                    "--daemon",
                    "--no-fork",
                    "--user",
                    "root",
                    "--group",
                    "root",
                    &root,
                ],
            ),
            (
                "dnsmasq tftp",
                vec![
                    "dnsmasq",
                    "--keep-in-foreground",
                    "--conf-file=/dev/null",
                    "--port=0",
                    "--pid-file=",
                    "--user=root",
                    "--enable-tftp",
                    &folder,
                ],
            ),
        ] {
            let mut peer = bench.peer(name)?;
            peer.programs.push(peer.place.start(&words)?);
            all.push(peer);
        }
        for contender in &mut all {
            let (client, server) = (contender.place.client()?, contender.place.address.to_string());
            for program in &mut contender.programs {
                let inside = client.clone();
                let server = server.clone();
                program.wait_for(&client, move || fetch(&inside, &server, SMALL, 1, true).is_ok())?;
            }
        }
        Ok(all)
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let (client, server) = (contender.place.client()?, contender.place.address.to_string());
        let mut figures = Vec::new();
        let before = bench.server_cpu(contender);
        let plain = fetch(&client, &server, SMALL, 1, false)?;
        let spent = bench.server_cpu(contender).since(&before);
        figures.push((PLAIN, plain.as_secs_f64()));
        figures.push((PLAIN_CPU, spent.as_secs_f64() * 1e9 / 10e6));
        if matches!(contender.name, OURS | ATFTPD) {
            let one = fetch(&client, &server, BIG, 1, true)?;
            figures.push((WINDOWS, one.as_secs_f64()));
            let before = bench.server_cpu(contender);
            let eight = fetch(&client, &server, BIG, 8, true)?;
            let spent = bench.server_cpu(contender).since(&before);
            figures.push((EIGHT, eight.as_secs_f64()));
            figures.push((CPU, spent.as_secs_f64() * 1e9 / (8.0 * 50e6)));
        }
        Ok(figures)
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::ratio(WINDOWS.name, ATFTPD, 1.0),
                Target::ratio(EIGHT.name, ATFTPD, 1.0),
            ]
        }
    }
}

/// `tftpd-hpa`, with what is in a folder.
pub(crate) fn hpa(bench: &Bench, root: &str) -> anyhow::Result<Contender> {
    let mut peer = bench.peer("tftpd-hpa")?;
    // Unpacked beside this program by `scripts/setup`: it cannot be installed beside atftpd.
    let own = std::env::current_exe()?;
    let hpa = own.ancestors().nth(2).context("this program has no folder")?;
    let hpa = hpa.join("peers/usr/sbin/in.tftpd");
    let hpa = hpa.to_str().context("the path is no text")?;
    let words = [hpa, "-L", "-4", "--secure", "--user", "root", root];
    peer.programs.push(peer.place.start(&words)?);
    Ok(peer)
}

/// Bytes of which no block is like another.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..size.div_ceil(8)).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(size).collect()
}

/// Has clients fetch a file at once; how long it took until all had it. What came is then compared with what there is.
fn fetch(client: &str, server: &str, size: usize, clients: usize, windows: bool) -> anyhow::Result<Duration> {
    let name = if size == BIG { "big.bin" } else { "small.bin" };
    let mut words = vec!["atftp", "--option", "blksize 1468", "--option", "tsize 0"];
    if windows {
        words.extend(["--option", "windowsize 16"]);
    }
    // In memory, so that no disk is measured.
    let folder = tempfile::tempdir_in("/dev/shm")?;
    let into = |n: usize| folder.path().join(n.to_string());
    words.extend(["--get", "-r", name, server, "69", "-l"]);
    let begun = Instant::now();
    let children: Vec<_> = (0..clients)
        .map(|n| {
            inside(client, &words)
                .arg(into(n))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .context("cannot start atftp")
        })
        .collect::<anyhow::Result<_>>()?;
    for child in children {
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success() && !output.stderr.starts_with(b"tftp: "),
            "atftp: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let elapsed = begun.elapsed();
    let whole = noise(size);
    for n in 0..clients {
        ensure!(
            fs::read(into(n))? == whole,
            "what client {n} of {clients} has of {name} is not what there is"
        );
    }
    Ok(elapsed)
}
