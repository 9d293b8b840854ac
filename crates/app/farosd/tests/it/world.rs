//! A bastion to test on: a network namespace, a state folder, and the daemon in it.

mod apply;
mod content;
mod machine;
mod net;

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_client::{Client, ClientError, Events};
use faros_model::{
    api::{ServiceState, ServiceStatus, Status},
    event::Event,
    ids::Generation,
    plan::Service,
};

pub(crate) use self::{
    apply::{keep, request},
    machine::{BOOT, Machine, NODE_MAC, REPORT},
    net::{Guarded, Namespace, run},
};

pub(crate) type Outcome = anyhow::Result<()>;

/// The bastion's address in [`SITE`].
pub(crate) const BASTION: Ipv4Addr = Ipv4Addr::new(192, 168, 8, 1);

/// A site of one node.
pub(crate) const SITE: &str = r#"apiVersion: faros.dev/v1alpha1
kind: Site
metadata:
  name: quay
spec:
  domain: edge.example.com
  sshAuthorizedKeys:
    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample00 ops@example.com
  uplink:
    interface: uplink0
  lan:
    interfaces: [lan0]
    subnet: 192.168.8.0/24
  nodes:
    - name: node-1
      roles: [control-plane, worker]
      bootMac: "52:54:00:08:00:01"
      installDisk: /dev/disk/by-path/pci-0000:00:04.0
"#;

/// The same of a site without a cluster: its machines are installed without a release of Kubernetes.
pub(crate) fn only_machines(site: &str) -> String {
    site.replacen("  nodes:", "  cluster: {distribution: none}\n  nodes:", 1)
}

/// The site with one thing more in it.
pub(crate) fn site_with_printer() -> String {
    let host = "    hosts:\n      - {name: printer, mac: \"52:54:00:08:03:01\"}\n  nodes:";
    SITE.replacen("  nodes:", host, 1)
}

/// With another node beside it.
pub(crate) fn site_of_two() -> String {
    let second = "    - {name: node-2, roles: [worker], bootMac: \"52:54:00:08:00:02\", \
                  installDisk: /dev/disk/by-path/pci-0000:00:04.0}\n";
    SITE.to_owned() + second
}

/// How long anything may take; the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A bastion. The daemon in it runs or does not; its state and its network stay.
pub(crate) struct World {
    daemon: Option<Guarded>,
    pub(crate) net: Namespace,
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    /// With the LAN's interface `lan0` and an uplink, and without a daemon.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let world = Self::without_interface()?;
        world.make_lan()?;
        Ok(world)
    }

    pub(crate) fn without_interface() -> anyhow::Result<Self> {
        let world = Self {
            daemon: None,
            net: Namespace::new()?,
            dir: tempfile::tempdir()?,
        };
        world.make_interface("uplink0")?;
        Ok(world)
    }

    /// With a daemon that serves [`SITE`].
    pub(crate) async fn serving() -> anyhow::Result<Self> {
        let mut world = Self::new()?;
        world.start().await?;
        world.apply(SITE).await?;
        Ok(world)
    }

    pub(crate) fn make_lan(&self) -> Outcome {
        self.make_interface("lan0")
    }

    /// An interface with a cable to nowhere.
    pub(crate) fn make_interface(&self, name: &str) -> Outcome {
        self.net
            .ip(&format!("link add {name} type veth peer name {name}-end"))?;
        self.net.ip(&format!("link set {name}-end up"))?;
        self.net.ip(&format!("link set {name} up"))
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("farosd.sock")
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// What the daemon logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The daemon's command, in the namespace.
    pub(crate) fn farosd(&self) -> Command {
        let mut command = self.net.command(env!("CARGO_BIN_EXE_farosd"));
        command
            .arg("--state-dir")
            .arg(self.state_dir())
            .arg("--socket")
            .arg(self.socket())
            // Neither this machine's firewalld nor its clock is a test's.
            .arg("--system-bus")
            .arg(format!("unix:path={}", self.dir.path().join("bus").display()))
            .args(["--clock", "leave"]);
        command
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) async fn start(&mut self) -> Outcome {
        let command = self.farosd();
        self.start_as(command).await
    }

    pub(crate) async fn start_as(&mut self, mut command: Command) -> Outcome {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = Guarded(command.spawn()?);
        let deadline = Instant::now() + PATIENCE;
        while self.client().status().await.is_err() {
            if let Some(status) = child.0.try_wait()? {
                bail!("farosd ended ({status}):\n{}", self.log());
            }
            ensure!(
                Instant::now() < deadline,
                "farosd does not answer:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.daemon = Some(child);
        Ok(())
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        // `ip netns exec` becomes farosd, so the child's number is farosd's.
        Ok(self.daemon.as_ref().context("no daemon")?.0.id())
    }

    pub(crate) fn signal(&self, signal: &str) -> Outcome {
        run(Command::new("kill").args([signal, &self.pid()?.to_string()])).map(drop)
    }

    /// Waits for the daemon's end.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let mut child = self.daemon.take().context("no daemon")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.0.try_wait()? {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "farosd does not end:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        self.signal("-TERM")?;
        self.ended().await
    }

    /// Ends the daemon as a power cut does.
    pub(crate) async fn kill(&mut self) -> Outcome {
        self.daemon.as_mut().context("no daemon")?.0.kill()?;
        self.ended().await.map(drop)
    }

    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        Ok(self.client().status().await?)
    }

    pub(crate) async fn generation(&self) -> anyhow::Result<Option<Generation>> {
        Ok(self.status().await?.generation)
    }

    /// All that is recorded so far.
    pub(crate) async fn events(&self) -> anyhow::Result<Vec<Event>> {
        let wanted = Events {
            after: Some(0),
            ..Events::default()
        };
        let mut lines = self.client().events(&wanted).await?;
        let mut all = vec![];
        while let Some(event) = lines.next().await? {
            all.push(event);
        }
        Ok(all)
    }

    /// The code of the first cause for which node-1 does not get on.
    pub(crate) async fn why(&self) -> anyhow::Result<String> {
        let name = "node-1".parse().map_err(anyhow::Error::msg)?;
        let causes = self.client().why(&name).await?.causes;
        let first = causes.into_iter().next();
        Ok(first.map(|cause| cause.code).unwrap_or_default())
    }

    /// Waits until all services are in this state.
    pub(crate) async fn all_are(&self, state: ServiceState) -> Outcome {
        // The registry runs only where there is a cluster.
        let is = |service: &ServiceStatus| {
            let is_off = service.service == Service::Registry && service.state == ServiceState::Off;
            service.state == state || is_off
        };
        self.until(|status| status.services.iter().all(is))
            .await
            .map(drop)
    }

    /// Waits until the daemon's status is as wanted.
    pub(crate) async fn until(&self, wanted: impl Fn(&Status) -> bool) -> anyhow::Result<Status> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status().await?;
            if wanted(&status) {
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{status:#?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Another program of the bastion, which takes a port and is given time to.
    pub(crate) async fn other_program(&self, words: &str, port: &str) -> anyhow::Result<Guarded> {
        let mut words = words.split_whitespace();
        let program = words.next().context("no program")?;
        let mut command = self.net.command(program);
        command.args(words).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = Guarded(command.spawn()?);
        let deadline = Instant::now() + PATIENCE;
        while !self.net.output("ss -Huln")?.contains(port) {
            ensure!(child.0.try_wait()?.is_none(), "it ended at once");
            ensure!(Instant::now() < deadline, "it does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(child)
    }
}

/// The code with which the daemon refused.
pub(crate) fn refusal<T>(result: Result<T, ClientError>) -> anyhow::Result<String> {
    match result {
        Err(ClientError::Refused(failure)) => Ok(failure.code),
        Err(error) => Err(error.into()),
        Ok(_) => bail!("it was not refused"),
    }
}

/// The state of one service and its reason.
pub(crate) fn state_of(status: &Status, service: Service) -> (ServiceState, &str) {
    let own = status.services.iter().find(|own| own.service == service);
    own.map_or((ServiceState::Off, "it is not told of"), |own| {
        (own.state, own.reason.as_str())
    })
}

/// Every file below a folder with its size and when it was last written.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<(PathBuf, u64, std::time::SystemTime)>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if meta.is_dir() {
            found.extend(files(&entry.path())?);
        }
        found.push((entry.path(), meta.len(), meta.modified()?));
    }
    found.sort();
    Ok(found)
}
