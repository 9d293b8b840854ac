//! Native nodes: machines without a machine, for what runs after the disk is open.
//!
//! A native node is a process with its own control groups, mounts, network, host name and process numbers, on the
//! root file system of the very image that installed nodes have. It boots as a node does: asks for its address, gets
//! its boot script and its Ignition config from the bastion, has the files and units of that config written to its
//! disk, reports, and runs them. So Kubernetes runs in it at full speed, a control plane too, which no emulated
//! machine would.
//!
//! What differs is in `files/native`: there is no disk to encrypt, systemd is not the first process (a stand-in for
//! `systemctl` starts units), and kubelet, containerd and kubeadm are told by drop-ins that this machine's control
//! groups may be of version 1 and that they cannot change everything about it. Those come with the lab alone; the node's
//! own files stay as they are.

mod groups;
mod ignite;

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

use crate::{Lab, folder::HostRecord, lab::Cable, network, run::ip};

/// Where the disks of native nodes are; a lab's own folder is in memory.
const DISKS: &str = "/var/tmp/faros-lab";

/// The file system of a disk that can be full.
const SMALL: &str = "small.ext4";

/// Programs of the lab on a node, by where they stand on it.
const PROGRAMS: [(&str, &str); 6] = [
    ("usr/lib/faros-lab/init", include_str!("../files/native/init")),
    (
        "usr/lib/faros-lab/network",
        include_str!("../files/native/network"),
    ),
    ("usr/bin/systemctl", include_str!("../files/native/systemctl")),
    ("usr/bin/journalctl", include_str!("../files/native/journalctl")),
    (
        "usr/bin/systemd-sysext",
        include_str!("../files/native/systemd-sysext"),
    ),
    // Before the one that comes with the extension.
    ("usr/sbin/kubeadm", include_str!("../files/native/kubeadm")),
];

/// What the lab has to add to a node's files, each at a place that is meant for additions.
const ADDITIONS: [(&str, &str); 3] = [
    (
        "etc/systemd/system/kubelet.service.d/90-lab.conf",
        include_str!("../files/native/kubelet-unit.conf"),
    ),
    (
        "etc/faros-lab/kubelet.d/lab.conf",
        include_str!("../files/native/kubelet.yaml"),
    ),
    (
        "etc/containerd/conf.d/lab.toml",
        include_str!("../files/native/containerd.toml"),
    ),
];

/// A native node of a lab, on or off.
#[derive(Debug)]
pub struct Native {
    disk: PathBuf,
    namespace: String,
    group: String,
}

impl Native {
    fn at(lab: &str, node: &str) -> Self {
        Self {
            disk: disks(lab).join(node),
            namespace: network::node_namespace(lab, node),
            group: format!("faros-lab/{lab}-{node}"),
        }
    }

    /// The command that runs `words` on the node, which must be on.
    ///
    /// # Errors
    /// If it is off.
    pub fn command(&self, words: &[&str]) -> anyhow::Result<Command> {
        let pid = self.init().context("the node is off")?.to_string();
        let mut command = Command::new("nsenter");
        command
            .args(["--all", "--target", &pid, "--root", "--wd", "--"])
            .args(["env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"])
            .args(words);
        Ok(command)
    }

    /// What a command on the node printed; fails if the command does.
    ///
    /// # Errors
    /// With what it said.
    pub fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command(words)?.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{words:?} on {}: {} {}",
            self.disk.display(),
            output.status,
            said.trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A file on the node's disk; the node may be off, unless it has a disk that can be full.
    pub fn path(&self, path: &str) -> PathBuf {
        match self.init().filter(|_| self.disk.join(SMALL).exists()) {
            Some(pid) => Path::new(&format!("/proc/{pid}/root")).join(path.trim_start_matches('/')),
            None => on_disk(&self.disk, path),
        }
    }

    /// Gives the node a disk of so many MiB, from its next installation on; else it has what this machine has.
    ///
    /// # Errors
    /// If that cannot be written down.
    pub fn has_disk_of(&self, mib: u32) -> anyhow::Result<()> {
        make_disk(&self.disk)?;
        fs::write(self.disk.join("size"), mib.to_string()).context("cannot write the size of the disk")
    }

    /// The log of a unit, or `console`.
    pub fn log(&self, unit: &str) -> String {
        let name = if unit == "console" {
            unit.to_owned()
        } else {
            format!("{unit}.log")
        };
        fs::read_to_string(on_disk(&self.disk, "/var/log/lab").join(name)).unwrap_or_default()
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.init().is_some()
    }

    /// Whether its first process runs from its disk.
    fn has_its_root(&self) -> bool {
        let runs = |pid| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        self.init()
            .is_some_and(|pid| runs(pid).contains("/usr/lib/faros-lab/init"))
    }

    /// The number of its first process, as this machine sees it.
    fn init(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.disk.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// If something of it stays.
    pub fn cut(&self) -> anyhow::Result<()> {
        let pid = fs::read_to_string(self.disk.join("pid"));
        if let Some(init) = self.init() {
            // All of the node's processes go with its first one.
            drop(crate::run::run("kill", &["-KILL", &init.to_string()]));
        }
        if let Ok(pid) = pid {
            let deadline = Instant::now() + Duration::from_secs(30);
            let cmdline = format!("/proc/{}/cmdline", pid.trim());
            while fs::read(&cmdline).is_ok_and(|words| !words.is_empty()) {
                ensure!(Instant::now() < deadline, "process {} does not end", pid.trim());
                thread::sleep(Duration::from_millis(50));
            }
            fs::remove_file(self.disk.join("pid"))?;
        }
        groups::remove(&self.group)
    }
}

impl Lab {
    /// The native node of this name.
    pub fn native(&self, node: &str) -> Native {
        Native::at(self.name(), node)
    }

    /// Powers a native node on. It network-boots, and installs itself if it is armed; what is left on its disk goes
    /// then. Returns when it starts from its disk.
    ///
    /// # Errors
    /// If it is on, if it gets no address or config, or if there is nothing on its disk to start.
    pub fn start_native(&mut self, node: &str, tell: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
        let own = self.native(node);
        ensure!(!own.is_on(), "{node} is on already");
        own.cut()?;
        let row = self.node(node)?;
        self.provide_image(node, tell)?;
        self.note_power_on(node)?;
        self.plug_native(node, row.boot_mac)?;
        if let Some(config) = ignite::boot(&own.namespace, &own.disk)? {
            let base = ignite::install(&own.namespace, &own.disk, &config)?;
            fs::write(own.disk.join("base"), base.display().to_string())?;
            own.equip()?;
            ignite::report_installed(&own.namespace, &own.disk)?;
        }
        // The disk's own start asks for everything anew.
        self.plug_native(node, row.boot_mac)?;
        own.power_on()
    }

    /// A new cable for a node, as good or bad as the one before, with nothing configured at its end.
    fn plug_native(&mut self, node: &str, mac: faros_model::ids::MacAddr) -> anyhow::Result<()> {
        let namespace = network::node_namespace(self.name(), node);
        let key = format!("native:{node}");
        let port = match self.status().hosts.get(&key) {
            Some(host) => host.port.clone(),
            None => self.take_port()?,
        };
        let mut cable = None;
        if network::namespaces(self.name())?.contains(&namespace) {
            cable = self.cable(&port);
            ip(&format!("netns delete {namespace}"))?;
            let switch = network::namespace(self.name(), "lan");
            // The cable goes with the namespace, some time later.
            drop(ip(&format!("-n {switch} link delete {port}")));
        }
        network::make_namespace(&namespace)?;
        let host = HostRecord {
            namespace,
            interface: "eth0".to_owned(),
            port,
            mac: Some(mac),
        };
        self.plug(&key, host.clone())?;
        let Some(cable) = cable else { return Ok(()) };
        self.rewire(&key, &host, Cable::default())?;
        self.link(&key, cable)
    }
}

impl Native {
    /// Writes what is the lab's to the node's disk.
    fn equip(&self) -> anyhow::Result<()> {
        for (path, text) in PROGRAMS {
            ignite::write(&self.disk, path, text.as_bytes(), 0o755)?;
        }
        for (path, text) in ADDITIONS {
            ignite::write(&self.disk, path, text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    fn power_on(&self) -> anyhow::Result<()> {
        let base =
            fs::read_to_string(self.disk.join("base")).context("there is nothing on the disk to start")?;
        let power = self.disk.join("power");
        fs::write(&power, include_str!("../files/native/power"))?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.disk.join("power.log"))?;
        let child = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", self.namespace))
            .args(["setsid", "bash"])
            .arg(&power)
            .arg(&self.disk)
            .args([base.trim(), &self.group])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run nsenter")?;
        fs::write(self.disk.join("pid"), child.id().to_string())?;
        let deadline = Instant::now() + Duration::from_secs(20);
        // Before, what is run on it would run in the root of this machine.
        while !self.has_its_root() {
            ensure!(
                Instant::now() < deadline,
                "the node does not start:\n{}",
                crate::daemon::last_lines(&self.disk.join("power.log"), 5)
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// The folder of a node's disk; there are keys on it.
fn make_disk(disk: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(disk);
    made.with_context(|| format!("cannot make {}", disk.display()))
}

fn disks(lab: &str) -> PathBuf {
    Path::new(DISKS).join(lab)
}

/// Where a node's own version of a file is. `/var` is not an overlay, because more of these stand in it.
fn on_disk(disk: &Path, path: &str) -> PathBuf {
    let path = path.trim_start_matches('/');
    match path.strip_prefix("var/") {
        Some(rest) => disk.join("var").join(rest),
        None => disk.join("upper").join(path),
    }
}

/// Ends all native nodes of a lab, and removes their disks.
pub(crate) fn remove(lab: &str) -> anyhow::Result<()> {
    let disks = disks(lab);
    for entry in fs::read_dir(&disks).into_iter().flatten().flatten() {
        if let Ok(node) = entry.file_name().into_string() {
            Native::at(lab, &node).cut()?;
        }
    }
    crate::folder::remove_all(&disks)
}
