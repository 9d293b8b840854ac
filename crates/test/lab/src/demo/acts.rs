//! What happens in the demo: machines are followed, a disk is stolen, the site is locked down.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_model::event::{Event, EventKind};

use super::{show::Show, stop::Stop, summary::Proof};
use crate::{
    Lab,
    machine::{Firmware, Hardware},
    run::run,
};

/// How long a machine may take from power-on to its own system.
const BOOT: Duration = Duration::from_mins(6);

/// Every LUKS volume begins with this.
const LUKS_MAGIC: &[u8] = b"LUKS\xba\xbe";

/// What `farosctl` printed; fails if it does.
pub(super) fn farosctl(lab: &Lab, words: &[&str]) -> anyhow::Result<String> {
    let output = lab.farosctl(words)?;
    ensure!(
        output.status.success(),
        "farosctl {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// The node reports this.
    Report(&'static str),
    /// The bastion refuses to unlock it, for this reason.
    Refused(&'static str),
    /// The bastion unlocks it.
    Unlocked,
}

impl Until {
    fn is(self, event: &Event) -> bool {
        let word = |key: &str| event.detail.get(key).and_then(serde_json::Value::as_str);
        match self {
            Self::Report(name) => event.kind == EventKind::NodeReport && word("report") == Some(name),
            Self::Refused(reason) => event.kind == EventKind::UnlockRefused && word("reason") == Some(reason),
            Self::Unlocked => event.kind == EventKind::UnlockRecovered,
        }
    }
}

/// Follows the machines and shows what they do.
pub(super) struct Follow<'a> {
    pub(super) lab: &'a mut Lab,
    pub(super) show: &'a Show,
    pub(super) stop: &'a Stop,
    machines: &'a [(&'a str, Firmware)],
    seen: u64,
    past: Vec<Event>,
}

impl<'a> Follow<'a> {
    pub(super) fn new(
        lab: &'a mut Lab,
        show: &'a Show,
        stop: &'a Stop,
        machines: &'a [(&'a str, Firmware)],
    ) -> Self {
        Self {
            lab,
            show,
            stop,
            machines,
            seen: 0,
            past: Vec::new(),
        }
    }

    /// Waits until it happened, now or since the last [`Follow::forget`]; the event.
    pub(super) fn until(&mut self, node: &str, until: Until, patience: Duration) -> anyhow::Result<Event> {
        let deadline = Instant::now() + patience;
        let is_it =
            |event: &&Event| event.node.as_ref().is_some_and(|own| own.as_str() == node) && until.is(event);
        loop {
            self.look()?;
            if let Some(event) = self.past.iter().find(is_it) {
                return Ok(event.clone());
            }
            ensure!(
                Instant::now() < deadline,
                "{node}: {until:?} was not seen within {} s",
                patience.as_secs()
            );
            self.stop.pause(Duration::from_millis(500))?;
        }
    }

    /// Waits until Kubernetes says that a node is ready.
    pub(super) fn until_ready(&mut self, node: &str, patience: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            self.look()?;
            let row = self.lab.node(node)?;
            if row.phase.as_str() == "ready" {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{node} is {} and not ready within {} s",
                row.phase,
                patience.as_secs()
            );
            self.stop.pause(Duration::from_millis(500))?;
        }
    }

    /// Only what happens from now on counts.
    fn forget(&mut self) -> anyhow::Result<()> {
        self.look()?;
        self.past.clear();
        Ok(())
    }

    /// Shows what happened since the last look.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        self.stop.check()?;
        for event in self.lab.events(self.seen)? {
            self.seen = event.seq;
            let Some(node) = event.node.clone() else {
                self.past.push(event);
                continue;
            };
            if self.machines.iter().any(|(own, _)| node.as_str() == *own) {
                self.show.event(node.as_str(), &event);
                if Until::Report("failed").is(&event) {
                    bail!("{node} reports: {}", serde_json::Value::Object(event.detail));
                }
            }
            self.past.push(event);
        }
        for row in self.lab.nodes()? {
            self.show.transfer(row.name.as_str(), row.transfer.as_ref());
        }
        Ok(())
    }
}

/// Takes the disk out of a machine: what is on it cannot be read, and the bastion does not help whoever has it.
pub(super) fn stolen_disk(follow: &mut Follow<'_>, node: &str) -> anyhow::Result<Vec<Proof>> {
    follow.lab.machine(node).stop()?;
    follow.forget()?;
    let folder = follow.lab.folder().machine(node);
    let volume = folder.join("stolen.luks");
    let raw = folder.join("stolen.raw");
    let disk = folder.join("disk.qcow2");
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .context("the lab's folder is no text")
    };
    run("qemu-img", &["convert", "-O", "raw", &text(&disk)?, &text(&raw)?])?;
    let (first, bytes) = root_partition(&raw)?;
    run(
        "dd",
        &[
            &format!("if={}", text(&raw)?),
            &format!("of={}", text(&volume)?),
            "bs=1M",
            "iflag=skip_bytes,count_bytes",
            &format!("skip={first}"),
            &format!("count={bytes}"),
            "conv=sparse",
            "status=none",
        ],
    )?;
    let is_luks = File::open(&volume)
        .and_then(|mut file| {
            let mut head = [0; LUKS_MAGIC.len()];
            file.read_exact(&mut head).map(|()| head == LUKS_MAGIC)
        })
        .with_context(|| format!("cannot read {}", volume.display()))?;
    ensure!(is_luks, "the root of {node} is no LUKS volume");
    // What an unencrypted root has in clear text in a hundred places.
    let leaks = leaks(
        follow.stop,
        &raw,
        first,
        bytes,
        &[node.as_bytes(), b"faros-report", b"/usr/lib/systemd"],
    )?;
    ensure!(
        leaks.is_empty(),
        "the disk of {node} has {} in the clear",
        leaks.join(", ")
    );

    // The thief plugs a machine of his own into the switch and asks as clevis asks.
    let thief = "client:thief";
    follow
        .lab
        .command(thief, &["dhclient", "-4", "-1", "eth0"])?
        .output()?;
    let path = text(&volume)?;
    let bound = run_for_text("clevis", &["luks", "list", "-d", &path])?;
    ensure!(
        bound.contains("tang"),
        "the root of {node} is not bound to the bastion: {bound}"
    );
    // The volume's own token, which clevis put there, opens it with the bastion's help.
    let token = run_for_text("cryptsetup", &["token", "export", "--token-id", "0", &path])?;
    let token: serde_json::Value = serde_json::from_str(&token).context("the token is not understood")?;
    // It has base64url and JSON's own signs in it, and no quote of the shell's.
    let open = format!(
        "printf %s '{}' | jose jwe fmt -i- -c | clevis decrypt",
        token["jwe"]
    );
    let asked = follow.lab.command(thief, &["sh", "-c", &open])?.output()?;
    ensure!(
        !asked.status.success() && asked.stdout.is_empty(),
        "the bastion opened the disk of {node} for a stranger"
    );
    let refusal = follow.until_refused_stranger()?;
    // Away from the site there is nobody to ask at all.
    let alone = std::process::Command::new("unshare")
        .args(["--net", "sh", "-c", &open])
        .output()
        .context("cannot run clevis; install the Debian package clevis-luks")?;
    ensure!(
        !alone.status.success() && alone.stdout.is_empty(),
        "the disk of {node} opened without the bastion"
    );
    drop(std::fs::remove_file(&raw));
    drop(std::fs::remove_file(&volume));
    let proofs = vec![
        Proof::seen("the root is a LUKS volume, and nothing of it is on the disk in the clear"),
        Proof::seen("away from the site the disk does not open"),
        Proof::seen(&format!(
            "the bastion refused a stranger who has the disk ({refusal})"
        )),
    ];
    for proof in &proofs {
        follow.show.line(&format!("  {}", proof.what));
    }
    Ok(proofs)
}

/// What a program prints; fails if it does.
fn run_for_text(program: &str, words: &[&str]) -> anyhow::Result<String> {
    let output = std::process::Command::new(program)
        .args(words)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Follow<'_> {
    /// The reason of a refusal to somebody who is no node.
    fn until_refused_stranger(&mut self) -> anyhow::Result<String> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.look()?;
            let refused = self
                .past
                .iter()
                .find(|event| event.kind == EventKind::UnlockRefused && event.node.is_none());
            if let Some(reason) = refused.and_then(|event| event.detail.get("reason")?.as_str()) {
                return Ok(reason.to_owned());
            }
            ensure!(
                Instant::now() < deadline,
                "the bastion did not record that it refused a stranger"
            );
            self.stop.pause(Duration::from_millis(200))?;
        }
    }
}

/// Locks the site down: a node that starts again stays closed, `why` says so, and it opens when that is lifted.
pub(super) fn lockdown(
    follow: &mut Follow<'_>,
    node: &str,
    hardware: &Hardware,
) -> anyhow::Result<Vec<Proof>> {
    follow.lab.machine(node).stop()?;
    farosctl(follow.lab, &["lockdown", "--reason", "the demo"])?;
    follow.forget()?;
    follow.lab.start_machine(node, hardware, &mut |_| ())?;
    follow.until(node, Until::Refused("locked-down"), BOOT)?;
    let why = farosctl(follow.lab, &["why", node, "--output", "json"])?;
    let why: serde_json::Value = serde_json::from_str(&why).context("farosctl why is not understood")?;
    let first = why["causes"][0]["code"].as_str().unwrap_or_default().to_owned();
    ensure!(
        first == "locked-down",
        "`why {node}` says {first} first, and the site is locked down"
    );
    for line in farosctl(follow.lab, &["why", node])?.lines() {
        follow.show.text(line);
    }
    // It stays closed, however long it asks.
    follow.stop.pause(Duration::from_secs(10))?;
    follow.look()?;
    let opened = follow.past.iter().any(|event| Until::Unlocked.is(event));
    ensure!(!opened, "{node} was unlocked while the site was locked down");
    farosctl(follow.lab, &["lockdown", "--lift"])?;
    follow.show.line("the lockdown is lifted");
    follow.until(node, Until::Unlocked, BOOT)?;
    follow.until(node, Until::Report("started"), BOOT)?;
    Ok(vec![
        Proof::seen(&format!("locked down, {node} stays closed")),
        Proof::seen(&format!("`farosctl why {node}` says first: locked-down")),
        Proof::seen(&format!("lifted, {node} opens by itself and starts")),
    ])
}

/// Where the third partition of a GPT disk is: its first byte, and its length in bytes (UEFI 2.10 section 5.3).
fn root_partition(disk: &Path) -> anyhow::Result<(u64, u64)> {
    let mut file = File::open(disk).with_context(|| format!("cannot open {}", disk.display()))?;
    let mut read = |at: u64| -> anyhow::Result<u64> {
        let mut bytes = [0; 8];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    };
    let entries = read(512 + 72)?;
    let third = entries * 512 + 2 * 128;
    let (first, last) = (read(third + 32)?, read(third + 40)?);
    ensure!(first > 0 && last > first, "the disk has no third partition");
    Ok((first * 512, (last - first + 1) * 512))
}

/// Which of the needles are in this part of a file.
fn leaks(stop: &Stop, path: &Path, first: u64, bytes: u64, needles: &[&[u8]]) -> anyhow::Result<Vec<String>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(first))?;
    let mut part = file.take(bytes);
    let mut found = Vec::new();
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(1);
    let mut window: Vec<u8> = Vec::new();
    let mut piece = vec![0; 4 << 20];
    loop {
        stop.check()?;
        let n_bytes = part.read(&mut piece)?;
        if n_bytes == 0 {
            return Ok(found);
        }
        if piece[..n_bytes].iter().all(|byte| *byte == 0) {
            window.clear();
            continue;
        }
        window.extend_from_slice(&piece[..n_bytes]);
        for needle in needles {
            let name = String::from_utf8_lossy(needle).into_owned();
            if !found.contains(&name) && memchr::memmem::find(&window, needle).is_some() {
                found.push(name);
            }
        }
        let keep = window.len().saturating_sub(longest - 1);
        window.drain(..keep);
    }
}
