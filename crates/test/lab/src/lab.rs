//! One lab, from up to down.

mod cables;
mod machines;

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_model::{api::ServiceState, ids::MacAddr, site::Site};
use serde::Serialize;

pub use self::cables::Cable;
use crate::{
    daemon::{self, Process},
    folder::{Folder, HostRecord, Record},
    host, native, network,
    run::ip,
};

/// A lab that is up.
#[derive(Debug)]
pub struct Lab {
    folder: Folder,
    record: Record,
}

/// What `faros-lab status` tells.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Name of the lab.
    pub name: String,
    /// The site file it was brought up with.
    pub site_file: PathBuf,
    /// The lab's folder; all it has on disk is below it.
    pub folder: PathBuf,
    /// The state folder of `farosd`.
    pub state_dir: PathBuf,
    /// The socket of `farosd`.
    pub socket: PathBuf,
    /// The log of `farosd`.
    pub log: PathBuf,
    /// The process number of `farosd`, if it runs.
    pub farosd_pid: Option<u32>,
    /// The bastion's address on the LAN.
    pub bastion_address: Ipv4Addr,
    /// The hosts plugged into the switch.
    pub hosts: BTreeMap<String, HostRecord>,
}

/// Takes a lab's name, which is part of the names of folders, namespaces and interfaces.
///
/// # Errors
/// What a name is.
pub fn lab_name(name: &str) -> Result<String, String> {
    let is_short = (1..=20).contains(&name.len());
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if is_short && name.bytes().all(is_plain) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "`{name}` is no name for a lab: 1 to 20 of a-z, 0-9 and `-`"
        ))
    }
}

fn is_up(name: &str) -> String {
    format!("a lab called {name} is up already; `faros-lab --name {name} down` ends it")
}

impl Lab {
    /// Brings a lab up: namespaces, cables, `farosd`, and the site applied. What was made is removed again
    /// if a part of it fails.
    pub fn up(name: &str, site_file: &Path) -> anyhow::Result<Self> {
        Self::make_new(name, site_file, None)
    }

    /// The same for as long as this process runs: what a crash leaves of it is in nobody's way.
    pub fn up_meanwhile(name: &str, site_file: &Path) -> anyhow::Result<Self> {
        Self::make_new(name, site_file, Some(Process::this()?))
    }

    fn make_new(name: &str, site_file: &Path, holder: Option<Process>) -> anyhow::Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "the lab makes network namespaces, which needs root"
        );
        lab_name(name).map_err(anyhow::Error::msg)?;
        ensure!(daemon::pid(&Folder::of(name)).is_none(), "{}", is_up(name));
        let folder = Folder::of(name);
        // What a crash or a power cut left behind.
        native::remove(name)?;
        network::remove(name)?;
        folder.remove()?;

        let text = fs::read_to_string(site_file)
            .with_context(|| format!("cannot read the site file {}", site_file.display()))?;
        let site = match faros_site::load(&text) {
            Ok(loaded) => loaded.site,
            Err(problems) => {
                let name = site_file.display().to_string();
                let report =
                    faros_site::report(faros_site::Severity::Error, &problems.problems, &name, &text);
                bail!("the site file has problems\n{report}");
            }
        };
        let record = Record {
            name: name.to_owned(),
            site_file: fs::canonicalize(site_file)?,
            bastion: site.lan.addresses.bastion,
            next_port: 0,
            hosts: BTreeMap::new(),
            powered_on: BTreeMap::new(),
            holder,
        };
        let mut lab = Self { folder, record };
        if let Err(error) = lab.make(&site) {
            if let Err(second) = lab.take_down() {
                return Err(error.context(format!("and what was made could not be removed: {second:#}")));
            }
            return Err(error);
        }
        Ok(lab)
    }

    /// Fails if there is anything of a lab called `name`, be it one whose farosd is stopped. Whether what a crash
    /// left of one had to be removed.
    pub fn must_be_new(name: &str) -> anyhow::Result<bool> {
        let folder = Folder::of(name);
        let record = folder.load()?;
        if record
            .as_ref()
            .and_then(|record| record.holder)
            .is_some_and(|holder| !holder.runs())
        {
            Self::down(name)?;
            return Ok(true);
        }
        ensure!(daemon::pid(&folder).is_none(), "{}", is_up(name));
        ensure!(
            record.is_none(),
            "there is a lab called {name}, whose farosd does not run; `faros-lab --name {name} down` removes it"
        );
        Ok(false)
    }

    /// The lab called `name`, which must be up.
    pub fn open(name: &str) -> anyhow::Result<Self> {
        let folder = Folder::of(name);
        let record = folder.load()?;
        let record =
            record.with_context(|| format!("no lab called {name} is up; `faros-lab up SITE` makes one"))?;
        Ok(Self { folder, record })
    }

    fn make(&mut self, site: &Site) -> anyhow::Result<()> {
        self.folder.save(&self.record)?;
        network::make(&self.record.name).context("cannot make the network")?;
        let bastion = HostRecord {
            namespace: network::namespace(&self.record.name, "bastion"),
            interface: network::BASTION_LAN.to_owned(),
            port: self.take_port()?,
            mac: None,
        };
        self.plug("bastion", bastion)?;
        self.serve_uplink(&site.dns.forwarders)?;
        daemon::start(&self.record.name, &self.folder)?;
        self.apply(&self.record.site_file.clone())?;
        self.wait_until_ready()
    }

    /// Waits until every service that the site wants answers.
    pub fn wait_until_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(15);
        loop {
            let output = self.farosctl(&["status", "--output", "json"])?;
            let status: faros_model::api::Status =
                serde_json::from_slice(&output.stdout).with_context(|| {
                    let said = String::from_utf8_lossy(&output.stdout).into_owned();
                    format!("farosctl status is not understood: {}", said.trim())
                })?;
            let late = status
                .services
                .iter()
                .find(|service| !matches!(service.state, ServiceState::Ready | ServiceState::Off));
            let Some(late) = late else { return Ok(()) };
            ensure!(
                Instant::now() < deadline,
                "{} is not ready: {}",
                late.service.as_str(),
                late.reason
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Applies a site file, as an operator would who has seen the plan and stands beside the bastion.
    pub fn apply(&self, site_file: &Path) -> anyhow::Result<()> {
        let site_file = site_file.to_str().context("the site file's path is no text")?;
        let said = self.farosctl(&["apply", "--yes", "--no-revert", "--without-content", site_file])?;
        ensure!(
            said.status.success(),
            "farosctl apply failed:\n{}",
            String::from_utf8_lossy(&said.stderr)
        );
        Ok(())
    }

    /// Runs `farosctl` against the lab's `farosd` and gives what it said.
    pub fn farosctl(&self, args: &[&str]) -> anyhow::Result<std::process::Output> {
        let output = self.farosctl_command()?.args(args).stdin(Stdio::null()).output();
        output.context("cannot run farosctl")
    }

    /// The `farosctl` of the lab, ready for its arguments.
    pub fn farosctl_command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(daemon::program("farosctl")?);
        command.arg("--socket").arg(self.folder.socket());
        Ok(command)
    }

    /// A resolver beyond the uplink, so that forwarding has someone to ask: every name below
    /// `example.net` is 198.51.100.7 there. It has the addresses of the site's forwarders.
    fn serve_uplink(&self, forwarders: &[Ipv4Addr]) -> anyhow::Result<()> {
        let uplink = network::namespace(&self.record.name, "uplink");
        for address in forwarders {
            ip(&format!("-n {uplink} address add {address}/32 dev lo"))?;
        }
        let words: Vec<String> = [
            "dnsmasq",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--pid-file=",
            "--user=root",
            "--address=/example.net/198.51.100.7",
            "--local-ttl=300",
            "--txt-record=txt.example.net,beyond the uplink",
        ]
        .map(str::to_owned)
        .to_vec();
        let output = host::command(&self.folder, "uplink", &uplink, &words)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "cannot start the uplink's resolver: {}",
            said.trim()
        );
        Ok(())
    }

    /// A host's place in the lab; a `client:NAME` or `client:NAME=MAC` is made on first use.
    pub fn host(&mut self, name: &str) -> anyhow::Result<(String, HostRecord)> {
        if name == "uplink" {
            let namespace = network::namespace(&self.record.name, "uplink");
            let record = HostRecord {
                namespace,
                interface: "eth0".into(),
                port: network::UPLINK_PORTS.0.to_owned(),
                mac: None,
            };
            return Ok((name.to_owned(), record));
        }
        let (name, mac) = match name.split_once('=') {
            None => (name, None),
            Some((name, mac)) => {
                let parsed: Result<MacAddr, _> = mac.parse();
                (
                    name,
                    Some(parsed.map_err(|why| anyhow::anyhow!("`{mac}` {why}"))?),
                )
            }
        };
        if let Some(host) = self.record.hosts.get(name) {
            ensure!(
                mac.is_none_or(|mac| host.mac == Some(mac)),
                "{name} has another MAC already"
            );
            return Ok((name.to_owned(), host.clone()));
        }
        let Some(client) = name.strip_prefix("client:") else {
            bail!("there is no host `{name}`: use bastion, uplink, client:NAME or client:NAME=MAC");
        };
        let plain = client
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(
            (1..=30).contains(&client.len()) && plain,
            "`{client}` is no name for a client: a-z, 0-9, `-`"
        );
        let record = HostRecord {
            namespace: network::client_namespace(&self.record.name, client),
            interface: "eth0".to_owned(),
            port: self.take_port()?,
            mac: Some(mac.unwrap_or_else(|| network::mac_of(&self.record.name, client))),
        };
        network::make_namespace(&record.namespace)?;
        self.plug(name, record.clone())?;
        Ok((name.to_owned(), record))
    }

    /// The command that runs `words` on a host.
    pub fn command(&mut self, host: &str, words: &[&str]) -> anyhow::Result<Command> {
        let (name, record) = self.host(host)?;
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        host::command(&self.folder, &name, &record.namespace, &words)
    }

    /// The tap of a machine, by its node's name and for further ones `:1`, `:2`…; made on first use.
    pub fn tap(&mut self, node: &str) -> anyhow::Result<String> {
        let key = format!("machine:{node}");
        if let Some(host) = self.record.hosts.get(&key) {
            return Ok(host.port.clone());
        }
        let port = self.take_port()?;
        network::make_tap(&self.record.name, &port)?;
        let namespace = network::namespace(&self.record.name, "lan");
        let record = HostRecord {
            namespace,
            interface: port.clone(),
            port: port.clone(),
            mac: None,
        };
        self.record.hosts.insert(key, record);
        self.folder.save(&self.record)?;
        Ok(port)
    }

    pub(crate) fn take_port(&mut self) -> anyhow::Result<String> {
        let port = format!("port{}", self.record.next_port);
        self.record.next_port += 1;
        self.folder.save(&self.record)?;
        Ok(port)
    }

    pub(crate) fn plug(&mut self, name: &str, host: HostRecord) -> anyhow::Result<()> {
        network::plug(&self.record.name, &host)?;
        self.record.hosts.insert(name.to_owned(), host);
        self.folder.save(&self.record)
    }

    /// What there is to know about the lab.
    pub fn status(&self) -> Status {
        Status {
            name: self.record.name.clone(),
            site_file: self.record.site_file.clone(),
            folder: self.folder.path().to_owned(),
            state_dir: self.folder.state_dir(),
            socket: self.folder.socket(),
            log: self.folder.log(),
            farosd_pid: daemon::pid(&self.folder),
            bastion_address: self.record.bastion,
            hosts: self.record.hosts.clone(),
        }
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        &self.record.name
    }

    /// The lab's folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Ends everything and removes all that was made.
    pub fn down(name: &str) -> anyhow::Result<()> {
        let folder = Folder::of(name);
        native::remove(name)?;
        daemon::stop(&folder, false)?;
        network::remove(name)?;
        folder.remove()
    }

    fn take_down(&self) -> anyhow::Result<()> {
        Self::down(&self.record.name)
    }
}
