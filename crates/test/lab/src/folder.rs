//! The one folder of a lab, and what it remembers between two commands.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use faros_model::ids::MacAddr;
use serde::{Deserialize, Serialize};

use crate::daemon::Process;

/// Where labs live, one folder each.
const ROOT: &str = "/run/faros-lab";

/// The paths of one lab.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// What a lab remembers between two commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its name.
    pub name: String,
    /// The site file it was brought up with.
    pub site_file: PathBuf,
    /// The bastion's address on the LAN.
    pub bastion: Ipv4Addr,
    /// Number of the next port of the switch.
    pub next_port: u32,
    /// The hosts plugged into the switch, by their name in commands, such as `client:printer`.
    pub hosts: BTreeMap<String, HostRecord>,
    /// The number of the last event before each node was powered on.
    pub powered_on: BTreeMap<String, u64>,
    /// The process that the lab is up for, if it is not to outlive one.
    #[serde(default)]
    pub holder: Option<Process>,
}

/// A host of the lab.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostRecord {
    /// The network namespace it is in.
    pub namespace: String,
    /// Its interface on the switch.
    pub interface: String,
    /// The switch's end of the cable.
    pub port: String,
    /// Its MAC, if the lab gave it one.
    pub mac: Option<MacAddr>,
}

impl Folder {
    /// The folder of the lab called `name`, which need not exist.
    pub fn of(name: &str) -> Self {
        Self {
            path: Path::new(ROOT).join(name),
        }
    }

    /// The names of all labs on this machine.
    pub fn all() -> Vec<String> {
        let entries = fs::read_dir(ROOT).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state folder of the lab's `farosd`.
    pub fn state_dir(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The socket of the lab's `farosd`.
    pub fn socket(&self) -> PathBuf {
        self.path.join("farosd.sock")
    }

    /// Where the lab's `farosd` looks for a system bus; there is one if a test starts it.
    pub fn system_bus(&self) -> PathBuf {
        self.path.join("system-bus")
    }

    /// The log of the lab's `farosd`.
    pub fn log(&self) -> PathBuf {
        self.path.join("farosd.log")
    }

    /// The process number of the lab's `farosd`.
    pub fn pid_file(&self) -> PathBuf {
        self.path.join("farosd.pid")
    }

    /// The folder of one machine.
    pub fn machine(&self, node: &str) -> PathBuf {
        self.path.join("machines").join(node)
    }

    /// The folder that holds what a host has of its own in its file system.
    pub fn host(&self, host: &str) -> PathBuf {
        self.path.join("hosts").join(host.replace(':', "-"))
    }

    /// What the lab remembers; `None` if there is no such lab.
    pub fn load(&self) -> anyhow::Result<Option<Record>> {
        let path = self.path.join("lab.json");
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .with_context(|| format!("{} is damaged", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Remembers; whoever reads sees the old record or the new one, whole.
    pub fn save(&self, record: &Record) -> anyhow::Result<()> {
        let path = self.path.join("lab.json");
        let new = self.path.join("lab.json.new");
        let write = || {
            fs::create_dir_all(&self.path)?;
            fs::write(&new, serde_json::to_vec_pretty(record)?)?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the folder and all in it.
    pub fn remove(&self) -> anyhow::Result<()> {
        remove_all(&self.path)
    }
}

/// Removes a folder and all in it, if it is there. Those above it stay, though they are empty then: another lab may just
/// be making its own in them.
pub(crate) fn remove_all(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
