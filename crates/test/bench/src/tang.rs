//! Recoveries: the unlock service against Debian's `tangd` under socket activation, on the same wire.
//!
//! Both are asked the same question by the same clients: a key that `jose` made, over a connection of its own for
//! each, as clevis does. `tangd` is started by `systemd-socket-activate --accept --inetd`, once for each connection,
//! as its own `tangd.socket` has it. Ours is told to help anyone, which is what `tangd` does.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_bench::load::{self, Came, Load};
use faros_lab::{Lab, daemon, network};
use faros_model::ports::UNLOCK;
use tempfile::TempDir;

use crate::Row;

const PEER: &str = "tangd, socket-activated";
const PEER_PORT: u16 = 8090;
const CLIENT: &str = "client:load";

/// So many recoveries are one run of ours and of theirs.
const OURS: usize = 400;
const THEIRS: usize = 150;

/// The rows of the comparison.
pub(crate) fn rows(lab: &mut Lab, site: &Path, runs: usize) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    open_to_anyone(lab, site, &folder)?;
    let bastion: Ipv4Addr = lab.status().bastion_address;
    let output = lab
        .command(
            CLIENT,
            &["ip", "address", "add", "192.168.8.253/24", "dev", "eth0"],
        )?
        .output()?;
    ensure!(output.status.success(), "the client gets no address: {output:?}");
    let peer = Peer::start(lab, &folder)?;
    let ours = Side::new(
        lab,
        SocketAddrV4::new(bastion, UNLOCK),
        OURS,
        daemon::pid(lab.folder()).context("no farosd")?,
    )?;
    let theirs = Side::new(lab, SocketAddrV4::new(bastion, PEER_PORT), THEIRS, peer.pid())?;

    let mut rows = Vec::new();
    for (clients, [rate, middle, slow, cpu]) in [
        (
            1,
            [
                "recoveries, 1 client",
                "recovery, 1 client, median",
                "recovery, 1 client, p99",
                "CPU of a recovery, 1 client",
            ],
        ),
        (
            8,
            [
                "recoveries, 8 clients",
                "recovery, 8 clients, median",
                "recovery, 8 clients, p99",
                "CPU of a recovery, 8 clients",
            ],
        ),
    ] {
        let (mut own, mut other) = (Runs::default(), Runs::default());
        for _ in 0..runs {
            own.add(&ours.run(clients)?);
            other.add(&theirs.run(clients)?);
        }
        rows.push(Row::ahead(rate, "1/s", PEER, own.rate, other.rate, true)?);
        rows.push(Row::ahead(middle, "ms", PEER, own.middle, other.middle, false)?);
        rows.push(Row::ahead(slow, "ms", PEER, own.slow, other.slow, false)?);
        rows.push(Row::ahead(cpu, "ms", PEER, own.cpu, other.cpu, false)?);
    }
    Ok(rows)
}

/// Applies the site with a policy that helps anyone.
fn open_to_anyone(lab: &Lab, site: &Path, folder: &TempDir) -> anyhow::Result<()> {
    let text = fs::read_to_string(site).with_context(|| format!("cannot read {}", site.display()))?;
    ensure!(
        !text.contains("\n  unlock:"),
        "the site file has an unlock policy already"
    );
    let open = folder.path().join("site.yaml");
    fs::write(
        &open,
        text.replacen("\n  nodes:", "\n  unlock: {policy: anyone}\n  nodes:", 1),
    )?;
    lab.apply(&open)?;
    lab.wait_until_ready()
}

/// Debian's server in the bastion's namespace.
struct Peer {
    child: Child,
}

impl Peer {
    fn start(lab: &Lab, folder: &TempDir) -> anyhow::Result<Self> {
        let keys = folder.path().join("tang");
        fs::create_dir(&keys)?;
        let made = Command::new("/usr/libexec/tangd-keygen").arg(&keys).output()?;
        ensure!(made.status.success(), "tangd-keygen: {made:?}");
        let namespace = network::namespace(lab.name(), "bastion");
        let child = Command::new("ip")
            .args(["netns", "exec", &namespace, "systemd-socket-activate"])
            .args(["--accept", "--inetd", "--listen", &format!("0.0.0.0:{PEER_PORT}")])
            .arg("/usr/libexec/tangd")
            .arg(&keys)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start systemd-socket-activate")?;
        thread::sleep(Duration::from_millis(500));
        Ok(Self { child })
    }

    /// `ip netns exec` becomes the program, so the child's number is its own.
    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has nothing to lose.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One of the two.
struct Side {
    namespace: String,
    load: Load,
    pid: u32,
}

/// What one run came to: per second, milliseconds, milliseconds, milliseconds of CPU for each.
struct Run {
    came: Came,
    cpu: f64,
}

impl Side {
    /// Learns the key of a server, and makes the question for it.
    fn new(lab: &mut Lab, to: SocketAddrV4, requests: usize, pid: u32) -> anyhow::Result<Self> {
        let script = format!(
            "set -euo pipefail
             curl -sf http://{to}/adv | jose fmt -j- -Og payload -SyOg keys -AUo- > /run/keys
             jose jwk use -i /run/keys -r -u deriveKey -o- | jose jwk thp -i- -a S256
             echo
             jose jwk gen -i '{{\"alg\":\"ECMR\"}}' | jose jwk pub -i-"
        );
        let output = lab.command(CLIENT, &["bash", "-c", &script])?.output()?;
        ensure!(
            output.status.success(),
            "no key of {to}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = said.lines().filter(|line| !line.is_empty());
        let (Some(key), Some(body)) = (lines.next(), lines.next()) else {
            anyhow::bail!("jose said: {said}");
        };
        let request = load::post(&format!("/rec/{key}"), body);
        let (_, host) = lab.host(CLIENT)?;
        Ok(Self {
            namespace: host.namespace,
            load: Load {
                to,
                from: vec![],
                request,
                clients: 1,
                requests,
            },
            pid,
        })
    }

    fn run(&self, clients: usize) -> anyhow::Result<Run> {
        let before = cpu_of(self.pid)?;
        let came = load::inside(
            &self.namespace,
            Load {
                clients,
                ..self.load.clone()
            },
        )?;
        ensure!(
            came.statuses.get(&200) == Some(&self.load.requests),
            "not all were helped: {:?} {:?}",
            came.statuses,
            came.failed
        );
        // The last children have to be waited for, and the last events recorded.
        let deadline = Instant::now() + Duration::from_secs(1);
        while Instant::now() < deadline {
            thread::sleep(Duration::from_millis(100));
        }
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let cpu = cpu_of(self.pid)?.saturating_sub(before).as_secs_f64() * 1000.0 / self.load.requests as f64;
        Ok(Run { came, cpu })
    }
}

#[derive(Default)]
struct Runs {
    rate: Vec<f64>,
    middle: Vec<f64>,
    slow: Vec<f64>,
    cpu: Vec<f64>,
}

impl Runs {
    fn add(&mut self, run: &Run) {
        let milliseconds = |hundredths| run.came.percentile(hundredths).as_secs_f64() * 1000.0;
        self.rate.push(run.came.rate());
        self.middle.push(milliseconds(50));
        self.slow.push(milliseconds(99));
        self.cpu.push(run.cpu);
    }
}

/// The CPU time of a process and of the children that it has waited for: proc(5).
fn cpu_of(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks = rest.split_whitespace().skip(11).take(4);
    let ticks: u64 = ticks.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    // A tick is 10 ms in what the kernel tells programs.
    Ok(Duration::from_millis(ticks * 10))
}
