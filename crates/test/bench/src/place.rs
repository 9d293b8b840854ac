//! Where a server and its clients are: a network of namespaces of its own for each, all of the same shape.
//!
//! Ours is a lab, with farosd on the bastion. A peer gets what the lab is made of (a switch, an uplink, a bastion and
//! the cables between them) without a lab's farosd, with the same addresses. So each server has the ports that it is
//! known by, and none has rules or connections of another's before it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddrV4, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_bench::load::enter;
use faros_lab::{folder::HostRecord, network, run::ip};
use faros_model::{ids::MacAddr, site::Site};

use crate::cpu::Group;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// The networks that were made for peers and are there, for whoever has to remove all.
static MADE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// The client's address on the LAN, and that of clients without one of their own behind it.
pub(crate) const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 64, 1);

/// The networks of one contender.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    lab: String,
    /// The bastion's address on the LAN.
    pub(crate) address: Ipv4Addr,
    prefix: u8,
    folder: PathBuf,
}

impl Place {
    /// Around a bastion that is there.
    pub(crate) fn around(lab: &str, site: &Site, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join(lab);
        fs::create_dir_all(&folder)?;
        Ok(Self {
            lab: lab.to_owned(),
            address: site.lan.addresses.bastion,
            prefix: site.lan.subnet.prefix(),
            folder,
        })
    }

    /// New networks, with a bastion that nothing runs on.
    pub(crate) fn make(name: &str, site: &Site, folder: &Path) -> anyhow::Result<Self> {
        let place = Self::around(&format!("bench-{name}"), site, folder)?;
        place.remove()?;
        // Another work may have had one of this name, with files that are not to be found now, such as keys.
        fs::remove_dir_all(&place.folder)?;
        fs::create_dir(&place.folder)?;
        made().insert(place.lab.clone());
        network::make(&place.lab)?;
        let bastion = HostRecord {
            namespace: place.bastion(),
            interface: network::BASTION_LAN.to_owned(),
            port: "port0".to_owned(),
            mac: None,
        };
        network::plug(&place.lab, &bastion)?;
        let lan = network::BASTION_LAN;
        for address in [place.address, site.lan.addresses.api, site.lan.addresses.ingress] {
            let (inside, prefix) = (&bastion.namespace, place.prefix);
            ip(&format!("-n {inside} address add {address}/{prefix} dev {lan}"))?;
        }
        Ok(place)
    }

    /// Ends all that runs in it.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        network::remove(&self.lab)?;
        made().remove(&self.lab);
        Ok(())
    }

    /// The same of all that are there.
    pub(crate) fn remove_all() -> anyhow::Result<()> {
        let all = made().clone();
        // Each is tried, whatever becomes of the others.
        let removed = all.iter().map(|lab| network::remove(lab));
        removed.reduce(anyhow::Result::and).unwrap_or(Ok(()))
    }

    /// A folder for the server's files.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn bastion(&self) -> String {
        network::namespace(&self.lab, "bastion")
    }

    pub(crate) fn uplink(&self) -> String {
        network::namespace(&self.lab, "uplink")
    }

    /// The namespace of the clients on the LAN, made on first use. The bastion finds 10.9.64.0/18 behind it, so that
    /// one client can be thousands without as many neighbors.
    pub(crate) fn client(&self) -> anyhow::Result<String> {
        let namespace = self.host("load", CLIENT, None)?;
        // Each time: without the ways to and fro every client would be a neighbor, and the table of neighbors, which all
        // namespaces share, would be full.
        ip(&format!("-n {namespace} route replace local 10.9.64.0/18 dev lo"))?;
        let bastion = self.bastion();
        ip(&format!("-n {bastion} route replace 10.9.64.0/18 via {CLIENT}"))?;
        Ok(namespace)
    }

    /// The namespace of a node, made on first use.
    pub(crate) fn node(&self, name: &str, address: Ipv4Addr, mac: MacAddr) -> anyhow::Result<String> {
        self.host(name, address, Some(mac))
    }

    /// A host of the LAN with this address, which goes by the bastion; made on first use.
    fn host(&self, name: &str, address: Ipv4Addr, mac: Option<MacAddr>) -> anyhow::Result<String> {
        let namespace = network::client_namespace(&self.lab, name);
        if Path::new("/run/netns").join(&namespace).exists() {
            return Ok(namespace);
        }
        network::make_namespace(&namespace)?;
        let host = HostRecord {
            namespace: namespace.clone(),
            interface: "eth0".to_owned(),
            port: format!("b-{name}"),
            mac,
        };
        network::plug(&self.lab, &host)?;
        ip(&format!(
            "-n {namespace} address add {address}/{} dev eth0",
            self.prefix
        ))?;
        ip(&format!("-n {namespace} route add default via {}", self.address))?;
        Ok(namespace)
    }

    /// A file for the server to read, in its folder.
    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts a program on the bastion.
    pub(crate) fn start(&self, words: &[&str]) -> anyhow::Result<Program> {
        self.start_in(&self.bastion(), words)
    }

    /// Starts one of this program's own controls on the bastion.
    pub(crate) fn start_control(&self, words: &[&str]) -> anyhow::Result<Program> {
        let own = std::env::current_exe()?;
        let own = own.to_str().context("this program's path is no text")?;
        self.start(&[&[own, "control"], words].concat())
    }

    /// Starts a program in one of the namespaces; what it says is in the folder.
    pub(crate) fn start_in(&self, namespace: &str, words: &[&str]) -> anyhow::Result<Program> {
        let name = words.first().context("no program")?;
        let name = Path::new(name)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let log = self.folder.join(format!("{name}.log"));
        let mut program = Program {
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            namespace: namespace.to_owned(),
            log,
            child: None,
            group: None,
        };
        program.begin()?;
        Ok(program)
    }
}

fn made() -> MutexGuard<'static, BTreeSet<String>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets a cable carry big frames that nobody splits, as network cards do. Where it is off, each frame is as on the
/// wire, and its checksum whole.
pub(crate) fn offload(namespace: &str, interface: &str) -> anyhow::Result<()> {
    said(inside(namespace, &["ethtool", "-K", interface, "tx", "on"]).output())?;
    Ok(())
}

/// A command in a namespace.
pub(crate) fn inside(namespace: &str, words: &[&str]) -> Command {
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", namespace])
        .args(words)
        .stdin(Stdio::null());
    command
}

/// What a command said, if it did what it should.
pub(crate) fn said(output: std::io::Result<Output>) -> anyhow::Result<String> {
    let output = output.context("cannot start a program")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "a program failed ({}): {}{}",
        output.status,
        text(&output.stderr),
        text(&output.stdout)
    );
    Ok(text(&output.stdout))
}

/// A program that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    command: Vec<String>,
    namespace: String,
    log: PathBuf,
    child: Option<Child>,
    group: Option<Group>,
}

impl Program {
    fn begin(&mut self) -> anyhow::Result<()> {
        let log = File::create(&self.log)?;
        let name = self.log.file_stem().unwrap_or_default().to_string_lossy();
        self.group = Group::make(&format!("{}-{name}", self.namespace));
        let door = self.group.as_ref().map_or("/dev/null".into(), Group::door);
        // It goes into the group before it is the program: its children are to be in it from the first on. `ip netns
        // exec` becomes the program too, so the child's number is its own.
        let child = Command::new("sh")
            .args(["-c", "echo $$ >\"$0\"; exec ip netns exec \"$@\""])
            .arg(door)
            .arg(&self.namespace)
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        let child = child.with_context(|| format!("cannot start {}", self.command[0]))?;
        self.child = Some(child);
        Ok(())
    }

    /// What it took with all its children; `None` where that is not known.
    pub(crate) fn spent(&self) -> Option<Duration> {
        self.group.as_ref()?.spent()
    }

    /// The program, and all that it has said.
    pub(crate) fn words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        format!("{}:\n{said}", self.command[0])
    }

    /// It and its children.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let own = self.group.as_ref().map(Group::processes);
        own.unwrap_or_else(|| vec![self.pid()])
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Ends it in good order and starts it again, as a service manager does.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.end();
        self.begin()
    }

    /// Waits until it takes connections.
    pub(crate) fn wait_for_tcp(&mut self, namespace: &str, to: SocketAddrV4) -> anyhow::Result<()> {
        self.wait_for(namespace, move || {
            TcpStream::connect_timeout(&to.into(), Duration::from_secs(1)).is_ok()
        })
    }

    /// Waits until a question asked in `namespace` is answered.
    pub(crate) fn wait_for(
        &mut self,
        namespace: &str,
        answered: impl Fn() -> bool + Clone + Send + 'static,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answered = answered.clone();
            if enter(namespace, move || Ok(answered()))? {
                return Ok(());
            }
            let ended = self
                .child
                .as_mut()
                .and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                bail!("no answer from {}", self.words());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let pid = child.id().to_string();
        // In good order, so that it ends its own workers; at once if it does not.
        drop(Command::new("kill").args(["-TERM", &pid]).output());
        let deadline = Instant::now() + Duration::from_secs(3);
        while !matches!(child.try_wait(), Ok(Some(_))) {
            if Instant::now() > deadline {
                drop(child.kill());
                drop(child.wait());
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.group = None;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
    }
}
