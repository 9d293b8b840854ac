//! Debian's firewalld on a bus of its own beside a real farosd: the same passes as without it, and no more.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::ensure;
use faros_conformance::{Running, eventually};
use faros_lab::daemon;

use crate::world::{BASTION_OUTSIDE, NODE, NODE_ADDRESS, Router, STRANGER, UPLINK};

const PUBLISHED: &str = "    trustedNetworks: [203.0.113.0/24]
    publish:
      - ssh
      - {name: mqtt, port: 8883/tcp, to: [\"node-1:8000\"]}
      - {name: telnet, port: 23/tcp, to: [\"node-1:8000\"], from: [192.0.2.0/24]}
";

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>ADDRESS</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// A lab with a system bus of its own, and firewalld on it.
struct Beside {
    // Programs end before their lab is taken down.
    firewalld: Option<Running>,
    _bus: Running,
    lab: Router,
    address: String,
    config: PathBuf,
}

impl Beside {
    /// farosd was there before, and is away.
    fn up(name: &str) -> anyhow::Result<Self> {
        let lab = Router::up(name)?;
        daemon::stop(lab.site.lab.folder(), true)?;
        let folder = lab.site.lab.folder();
        let address = format!("unix:path={}", folder.system_bus().display());
        let (config, bus) = (folder.path().join("firewalld"), folder.path().join("bus.conf"));
        fs::create_dir_all(&config)?;
        fs::copy("/etc/firewalld/firewalld.conf", config.join("firewalld.conf"))?;
        fs::write(&bus, BUS.replace("ADDRESS", &address))?;
        let bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", bus.display()))
            .args(["--nofork", "--nopidfile"])
            .stdin(Stdio::null())
            .spawn()?;
        let mut beside = Self {
            firewalld: None,
            _bus: Running(bus),
            lab,
            address,
            config,
        };
        beside.start()?;
        Ok(beside)
    }

    fn farosd(&self) -> anyhow::Result<()> {
        daemon::start(self.lab.site.lab.name(), self.lab.site.lab.folder())?;
        self.held_by(THROUGH)
    }

    fn on_bastion(&mut self, words: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.lab.site.in_network("bastion", words)?;
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        Ok(command)
    }

    fn start(&mut self) -> anyhow::Result<()> {
        let config = self.config.display().to_string();
        let log = self.config.join("log").display().to_string();
        let words = ["firewalld", "--nofork", "--nopid", "--system-config", &config];
        let mut command = self.on_bastion(&words)?;
        command.args(["--log-target", "file", "--log-file", &log]);
        self.firewalld = Some(Running(command.stdin(Stdio::null()).spawn()?));
        eventually("firewalld runs", || Ok(self.ask(&["--state"]).is_ok()))
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut firewalld) = self.firewalld.take() {
            Command::new("kill").arg(firewalld.0.id().to_string()).status()?;
            firewalld.0.wait()?;
        }
        Ok(())
    }

    /// What firewalld's own tool says.
    fn ask(&mut self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.on_bastion(&["firewall-cmd"])?.args(words).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "firewall-cmd {words:?}: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Waits until the status says who holds the rules.
    fn held_by(&self, who: &str) -> anyhow::Result<()> {
        eventually(who, || {
            let (said, _) = self.lab.site.farosctl(&["status"])?;
            let line = said.lines().find(|line| line.trim_start().starts_with("router"));
            Ok(line.is_some_and(|line| line.contains(" ready ") && line.trim_end().ends_with(who)))
        })
    }

    fn told(&self, found: &str) -> anyhow::Result<()> {
        eventually("it is told", || {
            let events = self.lab.site.events()?;
            let mut told = events
                .iter()
                .filter(|event| event.kind.as_str() == "router-repaired");
            Ok(told.any(|event| event.detail["found"].to_string().contains(found)))
        })
    }
}

const THROUGH: &str = "by nftables, through firewalld 1.3.3";

#[test]
fn through_firewalld_the_same_passes_and_nothing_more() -> anyhow::Result<()> {
    let mut beside = Beside::up("t-firewalld")?;
    for port in [80, 8000, 22623] {
        beside.lab.serve(NODE, port)?;
    }
    for port in [22, 9090] {
        beside.lab.serve("bastion", port)?;
    }
    beside.lab.serve("uplink", 8001)?;
    // Our table accepts it, and firewalld was told nothing: that is why it has to be.
    assert_eq!(beside.lab.seen_as(NODE, UPLINK, 8001)?, None);

    beside.farosd()?;
    beside.lab.apply(PUBLISHED)?;
    beside.held_by(THROUGH)?;
    let lab = &mut beside.lab;
    assert_eq!(lab.seen_as(NODE, UPLINK, 8001)?.as_deref(), Some(BASTION_OUTSIDE));
    lab.site.run(NODE, &["ping", "-c", "1", "-W", "2", UPLINK])?;
    let asked = ["dig", "+short", "+time=2", "@192.168.8.1", "www.example.net"];
    assert_eq!(lab.site.run(NODE, &asked)?.trim(), "198.51.100.7");
    for port in [8883, 22] {
        eventually("what is published is reached", || {
            Ok(lab.seen_as("uplink", BASTION_OUTSIDE, port)?.as_deref() == Some(UPLINK))
        })?;
        let stranger = lab.seen_from("uplink", Some(STRANGER), BASTION_OUTSIDE, port)?;
        assert_eq!(stranger, None, "a stranger on {port}");
    }
    for (port, why) in [
        (23, "published for others"),
        (9090, "not published"),
        (22623, "machine config"),
        (8000, "not published"),
    ] {
        assert_eq!(lab.seen_as("uplink", BASTION_OUTSIDE, port)?, None, "{why}");
    }
    let via = ["ip", "route", "add", "192.168.8.0/24", "via", BASTION_OUTSIDE];
    lab.site.run("uplink", &via)?;
    assert_eq!(lab.seen_as("uplink", NODE_ADDRESS, 80)?, None, "in mode pat");
    // Each group has its services.
    let registry = ["nc", "-z", "-w", "3", "192.168.8.1", "5000"];
    lab.site.run(NODE, &registry)?;
    // What our own table leads on passes, from the LAN to the LAN.
    eventually("a node reaches itself by the virtual IP", || {
        Ok(lab.seen_as(NODE, "192.168.8.2", 80)?.as_deref() == Some("192.168.8.1"))
    })?;
    assert_eq!(lab.seen_as(NODE, "192.168.8.1", 9090)?, None);
    let technician = "client:laptop=52:54:00:08:09:09";
    lab.site.run(technician, &["dhclient", "-4", "-1", "eth0"])?;
    assert!(lab.seen_as(technician, "192.168.8.1", 9090)?.is_some());
    assert!(
        lab.site.run(technician, &registry).is_err(),
        "the registry is for nodes"
    );

    lab.apply("    gatewayMode: nat\n    trustedNetworks: [203.0.113.0/24]\n")?;
    beside.held_by(THROUGH)?;
    let lab = &mut beside.lab;
    assert_eq!(lab.seen_as("uplink", NODE_ADDRESS, 80)?.as_deref(), Some(UPLINK));
    assert_eq!(lab.seen_as(NODE, UPLINK, 8001)?.as_deref(), Some(NODE_ADDRESS));
    lab.site
        .run("uplink", &["ping", "-c", "1", "-W", "2", NODE_ADDRESS])?;
    for port in [8000, 22623] {
        assert_eq!(lab.seen_as("uplink", NODE_ADDRESS, port)?, None, "{port}");
    }
    let stranger = lab.seen_from("uplink", Some(STRANGER), NODE_ADDRESS, 80)?;
    assert_eq!(stranger, None, "a stranger");
    Ok(())
}

#[test]
fn what_others_do_to_firewalld_is_put_right_and_theirs_stays_theirs() -> anyhow::Result<()> {
    let mut beside = Beside::up("t-firewalld-drift")?;
    beside.ask(&["--permanent", "--zone=work", "--add-port=1234/tcp"])?;
    beside.ask(&["--permanent", "--zone=home", "--add-interface=uplink0"])?;
    beside.lab.serve("uplink", 8001)?;
    beside.lab.serve("bastion", 9090)?;
    for port in [80, 8000] {
        beside.lab.serve(NODE, port)?;
    }
    beside.farosd()?;
    beside.lab.apply(PUBLISHED)?;
    beside.held_by(THROUGH)?;
    let is_open = |beside: &mut Beside| -> anyhow::Result<bool> {
        let out = beside.lab.seen_as(NODE, UPLINK, 8001)?;
        let console = beside.lab.seen_as("uplink", BASTION_OUTSIDE, 9090)?;
        ensure!(console.is_none(), "the console is open to the uplink");
        // What the balancer leads on, from the LAN and from the uplink.
        let balanced = beside.lab.seen_as(NODE, "192.168.8.2", 80)?;
        let published = beside.lab.seen_as("uplink", BASTION_OUTSIDE, 8883)?;
        let is_led = balanced.as_deref() == Some("192.168.8.1") && published.as_deref() == Some(UPLINK);
        Ok(is_led && out.as_deref() == Some(BASTION_OUTSIDE))
    };
    eventually("all is led where it should", || is_open(&mut beside))?;
    let maps = |beside: &mut Beside| {
        beside
            .lab
            .nft(&["-s", "list", "map", "inet", "faros", "to_ingress-http"])
    };
    let led = maps(&mut beside)?;
    ensure!(led.contains(NODE_ADDRESS), "{led}");

    // What is permanent in somebody else's zone stays there, and is read again at each reload.
    for how in ["--reload", "--complete-reload"] {
        beside.ask(&[how])?;
        eventually("nodes get out after a reload", || is_open(&mut beside))?;
        eventually("the uplink is in our zone", || {
            Ok(beside.ask(&["--get-zone-of-interface=uplink0"])? == "faros-uplink")
        })?;
        eventually("the balancer leads as before", || Ok(maps(&mut beside)? == led))?;
        let events = beside.lab.site.events()?;
        let mut repaired = events
            .iter()
            .filter(|event| event.kind.as_str() == "router-repaired");
        ensure!(
            !repaired.any(|event| event.detail["what"] == "rules"),
            "a reload leaves our table alone"
        );
    }
    beside.ask(&["--zone=faros-lan", "--add-port=31337/tcp"])?;
    beside.told("zone faros-lan: `31337/tcp` was in ports and is not ours")?;
    assert_eq!(
        beside.ask(&["--zone=faros-lan", "--query-port=31337/tcp"]).ok(),
        None
    );
    beside.ask(&["--permanent", "--zone=faros-nodes", "--add-service=http"])?;
    beside.told("zone faros-nodes: `http` was in services and is not ours")?;
    beside.ask(&["--zone=public", "--change-interface=lan0"])?;
    beside.told("lan0 was in public and not in faros-lan")?;
    beside.ask(&["--permanent", "--delete-policy=faros-out"])?;
    beside.ask(&["--reload"])?;
    eventually("nodes get out with their policy back", || is_open(&mut beside))?;

    // Without firewalld our own table holds all, from the first moment on; with it again, both do.
    beside.stop()?;
    assert!(is_open(&mut beside)?);
    beside.held_by("by nftables")?;
    assert!(is_open(&mut beside)?);
    beside.start()?;
    beside.held_by(THROUGH)?;
    assert!(is_open(&mut beside)?);
    beside.lab.site.kill_and_start()?;
    beside.held_by(THROUGH)?;

    let off = beside
        .lab
        .write_with(&[("spec:\n", "spec:\n  services:\n    router: {enabled: false}\n")])?;
    beside.lab.site.lab.apply(Path::new(&off))?;
    for place in [
        &["--get-zones"][..],
        &["--permanent", "--get-zones"],
        &["--get-policies"],
        &["--permanent", "--get-policies"],
    ] {
        eventually("ours are gone", || Ok(!beside.ask(place)?.contains("faros-")))?;
    }
    assert_eq!(beside.ask(&["--zone=work", "--list-ports"])?, "1234/tcp");
    assert_eq!(beside.ask(&["--get-zone-of-interface=uplink0"])?, "home");
    Ok(())
}
