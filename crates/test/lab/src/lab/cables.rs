//! The cables of the lab's hosts: bad ones, shorter packets, and pulled ones.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use super::Lab;
use crate::{
    daemon,
    folder::HostRecord,
    network,
    run::{ip, run},
    wire::{self, Quality},
};

/// What to change about a host's cable; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cable {
    /// Part of the frames that are lost in each direction, 0.0 to 1.0.
    pub loss: Option<f64>,
    /// How much later each frame arrives.
    pub delay: Option<Duration>,
    /// Largest packet in bytes.
    pub mtu: Option<u16>,
    /// Plugged in or not.
    pub up: Option<bool>,
}

impl Lab {
    /// Changes the cable of a host, or of a node by its name alone. The uplink's is the one between it and the bastion.
    pub fn link(&mut self, host: &str, cable: Cable) -> anyhow::Result<()> {
        let known = ["machine:", "native:"]
            .map(|kind| format!("{kind}{host}"))
            .into_iter()
            .find_map(|name| Some((self.record.hosts.get(&name)?.clone(), name)));
        let (name, record) = match known {
            Some((record, name)) => (name, record),
            None => match self.record.hosts.get(host) {
                Some(record) => (host.to_owned(), record.clone()),
                None => self.host(host)?,
            },
        };
        let switch = network::namespace(&self.record.name, "lan");
        if cable.loss.is_some() || cable.delay.is_some() {
            self.rewire(&name, &record, cable)?;
        }
        let mut ends = vec![record];
        if name == "uplink" {
            ends.push(HostRecord {
                namespace: network::namespace(&self.record.name, "bastion"),
                interface: network::BASTION_UPLINK.to_owned(),
                port: network::UPLINK_PORTS.1.to_owned(),
                mac: None,
            });
        }
        for HostRecord {
            namespace,
            interface,
            port,
            ..
        } in &ends
        {
            if let Some(mtu) = cable.mtu {
                ip(&format!("-n {switch} link set {port} mtu {mtu}"))?;
                if interface != port {
                    ip(&format!("-n {namespace} link set {interface} mtu {mtu}"))?;
                }
            }
            if let Some(up) = cable.up {
                let state = if up { "up" } else { "down" };
                ip(&format!("-n {switch} link set {port} {state}"))?;
            }
        }
        Ok(())
    }

    /// How the cable at this port is configured; `None` if there is none.
    pub(crate) fn cable(&self, port: &str) -> Option<Cable> {
        let switch = network::namespace(&self.record.name, "lan");
        let shown = ip(&format!("-n {switch} -oneline link show {port}")).ok()?;
        let flags = shown.split_once('<')?.1.split_once('>')?.0;
        let mtu = shown.split_once(" mtu ")?.1.split_whitespace().next()?;
        Some(Cable {
            mtu: Some(mtu.parse().ok()?),
            up: Some(flags.split(',').any(|flag| flag == "UP")),
            ..Cable::default()
        })
    }

    /// Puts a bad cable between a host's port and the switch, or takes it out again. What `cable` leaves open is as it was
    /// before, also for a port that is another one by now.
    pub(crate) fn rewire(&self, name: &str, host: &HostRecord, cable: Cable) -> anyhow::Result<()> {
        let switch = network::namespace(&self.record.name, "lan");
        let bridge = if name == "uplink" {
            network::UPLINK_BRIDGE
        } else {
            network::BRIDGE
        };
        let folder = self.folder.host(name);
        let (pid_file, quality_file) = (folder.join("wire.pid"), folder.join("wire.json"));
        let before = fs::read(&quality_file).ok();
        let before: Quality = match before {
            Some(text) => serde_json::from_slice(&text).context("the cable's record is damaged")?,
            None => Quality::default(),
        };
        let quality = Quality {
            loss: cable.loss.unwrap_or(before.loss),
            delay: cable.delay.unwrap_or(before.delay),
        };
        let (near, far) = (format!("{}a", host.port), format!("{}b", host.port));
        if let Ok(pid) = fs::read_to_string(&pid_file) {
            drop(run("kill", &[pid.trim()]));
            fs::remove_file(&pid_file)?;
            fs::remove_file(&quality_file)?;
            ip(&format!("-n {switch} link delete {near}"))?;
        }
        if quality == Quality::default() {
            ip(&format!("-n {switch} link set {} master {bridge}", host.port))?;
            return Ok(());
        }
        ip(&format!("-n {switch} link add {near} type veth peer name {far}"))?;
        ip(&format!("-n {switch} link set {far} master {bridge} up"))?;
        ip(&format!("-n {switch} link set {near} up"))?;
        ip(&format!("-n {switch} link set {} nomaster", host.port))?;
        let log_path = self.folder.path().join(format!("wire-{}.log", host.port));
        let log = fs::File::create(&log_path)?;
        let mut child = Command::new("ip")
            .args(["netns", "exec", &switch])
            .arg(daemon::program("faros-lab")?)
            .args(["wire", &host.port, &near, "--loss", &quality.loss.to_string()])
            .args(["--delay-us", &quality.delay.as_micros().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("cannot start the cable")?;
        fs::create_dir_all(&folder)?;
        fs::write(&quality_file, serde_json::to_vec(&quality)?)?;
        fs::write(&pid_file, child.id().to_string())?;
        // Frames sent before it listens would be lost beyond what was asked for.
        let mut says = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut says)?;
        }
        ensure!(
            says.trim() == wire::LISTENS,
            "the cable does not work; see {}",
            log_path.display()
        );
        Ok(())
    }
}
