//! Fifty machines that are switched on in the same moment to be installed: each has its address, its loader, its script
//! with a pass in it, the config for that pass and an image part, and has a disk key recovered, all at once.
//!
//! The machines are simulated: tasks with the addresses and MACs of the site's nodes, behind one host of the LAN. The
//! bastion has them as neighbors, so that each is who it says it is.

use std::{
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_bench::load::{self, enter};
use faros_lab::network::BASTION_LAN;
use faros_model::ports::{DHCP_SERVER, NETBOOT_HTTP, TFTP, UNLOCK};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use crate::{
    figures::Figure,
    http,
    place::{inside, said},
    tang,
    work::{Bench, Contender, Router, Work},
};

const ALL: Figure = Figure::less("until all 50 have all", "s");
const P50: Figure = Figure::less("one machine, p50", "s");
const CPU: Figure = Figure::less("CPU of a machine", "ms");
const LATE: Figure = Figure::less("addresses asked for again", "");

pub(crate) const MACHINES: u8 = 50;
/// The MAC of the first of them, from which theirs count up.
pub(crate) const FIRST: &str = "52:54:00:0a:00:01";
/// How long an answer is waited for until it is asked for again, as firmware does.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is asked.
const TRIES: u32 = 8;
/// What each machine loads besides its loader.
const LOADER: &str = "undionly.kpxe";

/// What all machines ask, and of whom.
#[derive(Clone)]
struct Asked {
    bastion: Ipv4Addr,
    part: String,
    recovery: Vec<u8>,
}

pub(crate) struct Storm;

impl Work for Storm {
    fn name(&self) -> &'static str {
        "boot storm"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        let ours = bench.ours()?;
        let file = ours.place.write("storm.yaml", &site_text(bench)?)?;
        bench.lab.apply(&file)?;
        let known = (0..MACHINES).fold(String::new(), |mut text, n| {
            let (mac, address) = machine(n);
            let mac = hex(mac, ":");
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                text,
                "neigh replace {address} lladdr {mac} nud permanent dev {BASTION_LAN}"
            );
            text
        });
        let known = ours.place.write("neighbors", &known)?;
        said(inside(&ours.place.bastion(), &["ip", "-batch", &known.to_string_lossy()]).output())?;
        let image = ours.place.folder().join("image");
        faros_lab::image::write_dummy(&image, "debian-13-cloud")?;
        let add = ["content", "add", &image.to_string_lossy()];
        said(bench.lab.farosctl_command()?.args(add).output())?;
        for n in 0..MACHINES {
            let install = ["install", "--yes", &format!("m-{n}")];
            said(bench.lab.farosctl_command()?.args(install).output())?;
        }
        Ok(vec![ours])
    }

    fn run(&self, bench: &Bench, contender: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let client = contender.place.client()?;
        let bastion = contender.place.address;
        let asked = Asked {
            bastion,
            part: http::add(bench, &bench.web_root()?.join("part"), "bench/part")?,
            recovery: tang::request(&client, SocketAddrV4::new(bastion, UNLOCK))?,
        };
        let before = bench.server_cpu(contender);
        let begun = Instant::now();
        let mut booted = enter(&client, move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(storm(asked))
        })?;
        let elapsed = begun.elapsed();
        let spent = bench.server_cpu(contender).since(&before);
        booted.sort();
        let middle = booted[booted.len() / 2].0;
        let late: u32 = booted.iter().map(|(_, again)| again).sum();
        Ok(vec![
            (ALL, elapsed.as_secs_f64()),
            (P50, middle.as_secs_f64()),
            (CPU, spent.as_secs_f64() * 1e3 / f64::from(MACHINES)),
            (LATE, f64::from(late)),
        ])
    }
}

/// The site with the fifty machines as its nodes, and no cluster: it would have to be there for them to join.
pub(crate) fn site_text(bench: &Bench) -> anyhow::Result<String> {
    let plain = std::fs::read_to_string(bench.site_file(Router::Off)?)?;
    let (head, _) = plain.split_once("  nodes:\n").context("the site has no nodes")?;
    let (_, tail) = plain
        .split_once("  unlock:")
        .context("the site unlocks nothing")?;
    let nodes = (0..MACHINES).fold(String::new(), |mut text, n| {
        let (mac, address) = machine(n);
        let mac = hex(mac, ":");
        let role = if n == 0 { "control-plane, worker" } else { "worker" };
        let _ = writeln!(
            text,
            "    - {{name: m-{n}, roles: [{role}], bootMac: \"{mac}\", address: {address}}}"
        );
        text
    });
    let head = head.replace("cluster: {", "cluster: {distribution: none, ");
    Ok(format!("{head}  nodes:\n{nodes}  unlock:{tail}"))
}

/// The MAC and the address of a machine.
const fn machine(n: u8) -> ([u8; 6], Ipv4Addr) {
    ([0x52, 0x54, 0, 10, 0, n + 1], Ipv4Addr::new(10, 9, 65, n + 10))
}

fn hex(mac: [u8; 6], between: &str) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(between)
}

/// All machines; how long each took, and how often it asked for its address again.
async fn storm(asked: Asked) -> anyhow::Result<Vec<(Duration, u32)>> {
    let asked = Arc::new(asked);
    let mut machines = JoinSet::new();
    for n in 0..MACHINES {
        let asked = Arc::clone(&asked);
        machines.spawn(async move {
            let begun = Instant::now();
            let again = boot(n, &asked).await.with_context(|| format!("machine {n}"))?;
            anyhow::Ok((begun.elapsed(), again))
        });
    }
    machines.join_all().await.into_iter().collect()
}

async fn boot(n: u8, asked: &Asked) -> anyhow::Result<u32> {
    let (mac, own) = machine(n);
    let again = lease(n, mac, own, asked.bastion).await?;
    loader(own, asked.bastion).await?;
    let web = SocketAddrV4::new(asked.bastion, NETBOOT_HTTP);
    let script = fetch(own, web, &load::get(&format!("/boot/{}.ipxe", hex(mac, "-")))).await?;
    let script = String::from_utf8_lossy(&script);
    let config = script.split_whitespace().find_map(|word| {
        let (_, path) = word
            .strip_prefix("ignition.config.url=http://")?
            .split_once('/')?;
        Some(format!("/{path}"))
    });
    let config = config.with_context(|| format!("the script installs nothing: {script}"))?;
    let config = fetch(own, web, &load::get(&config)).await?;
    ensure!(config.starts_with(b"HTTP/1.1 200"), "there is no config");
    let part = fetch(own, web, &load::get(&asked.part)).await?;
    ensure!(part.len() > crate::sink::PART, "the image part is short");
    let key = fetch(own, SocketAddrV4::new(asked.bastion, UNLOCK), &asked.recovery).await?;
    ensure!(key.starts_with(b"HTTP/1.1 200"), "the key is not recovered");
    Ok(again)
}

/// Has the machine's address promised, by way of itself as a relay: how often it asked again.
async fn lease(n: u8, mac: [u8; 6], own: Ipv4Addr, bastion: Ipv4Addr) -> anyhow::Result<u32> {
    let socket = UdpSocket::bind((own, DHCP_SERVER)).await?;
    socket.connect((bastion, DHCP_SERVER)).await?;
    let mut again = 0;
    let mut buffer = [0; 1500];
    for (kind, answered) in [(1, 2), (3, 5)] {
        let question = message(n, mac, own, bastion, kind);
        let mut tries = 0;
        loop {
            ensure!(tries < TRIES, "no address");
            socket.send(&question).await?;
            match timeout(PATIENCE, socket.recv(&mut buffer)).await {
                Ok(length) => {
                    let answer = &buffer[..length?];
                    let is_own = answer.get(16..20) == Some(&own.octets());
                    // The kind of message is the first option of every server here.
                    let kind = answer.get(240..).and_then(|own| own.strip_prefix(&[53, 1]));
                    if is_own && kind.and_then(<[u8]>::first) == Some(&answered) {
                        break;
                    }
                }
                Err(_) => (tries, again) = (tries + 1, again + 1),
            }
        }
    }
    Ok(again)
}

/// RFC 2131 section 2, as UEFI firmware sends it.
fn message(n: u8, mac: [u8; 6], own: Ipv4Addr, bastion: Ipv4Addr, kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 236];
    bytes[..4].copy_from_slice(&[1, 1, 6, 1]);
    bytes[4..8].copy_from_slice(&[0xfa, 0, kind, n]);
    bytes[24..28].copy_from_slice(&own.octets());
    bytes[28..34].copy_from_slice(&mac);
    bytes.extend([
        0x63, 0x82, 0x53, 0x63, 53, 1, kind, 93, 2, 0, 7, 55, 4, 1, 3, 66, 67,
    ]);
    bytes.extend([60, 9]);
    bytes.extend(b"PXEClient");
    if kind == 3 {
        bytes.extend([50, 4]);
        bytes.extend(own.octets());
        bytes.extend([54, 4]);
        bytes.extend(bastion.octets());
    }
    bytes.push(255);
    bytes
}

/// Loads the boot loader by TFTP, block by block as firmware does (RFC 1350, 2348).
pub(crate) async fn loader(own: Ipv4Addr, bastion: Ipv4Addr) -> anyhow::Result<()> {
    let socket = UdpSocket::bind((own, 0)).await?;
    let request = format!("\0\u{1}{LOADER}\0octet\0blksize\01468\0");
    let (mut to, mut next) = (SocketAddr::from((bastion, TFTP)), 1_u16);
    let mut say = request.into_bytes();
    let mut buffer = [0; 1500];
    let mut tries = 0;
    loop {
        ensure!(tries < TRIES, "no loader");
        socket.send_to(&say, to).await?;
        let Ok(received) = timeout(PATIENCE, socket.recv_from(&mut buffer)).await else {
            tries += 1;
            continue;
        };
        let (length, from) = received?;
        to = from;
        match &buffer[..length] {
            [0, 6, ..] => say = vec![0, 4, 0, 0],
            [0, 3, high, low, data @ ..] if u16::from_be_bytes([*high, *low]) == next => {
                say = vec![0, 4, *high, *low];
                next = next.wrapping_add(1);
                tries = 0;
                if data.len() < 1468 {
                    socket.send_to(&say, to).await?;
                    return Ok(());
                }
            }
            [0, 3, ..] => (),
            other => anyhow::bail!("TFTP said {:02x?}", &other[..other.len().min(40)]),
        }
    }
}

/// A whole answer over HTTP, from the machine's own address.
pub(crate) async fn fetch(own: Ipv4Addr, to: SocketAddrV4, request: &[u8]) -> anyhow::Result<Vec<u8>> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddrV4::new(own, 0).into())?;
    let mut stream = socket.connect(to.into()).await?;
    stream.write_all(request).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE * 60, stream.read_to_end(&mut answer)).await??;
    Ok(answer)
}
