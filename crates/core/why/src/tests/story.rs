//! Stories: what was recorded, one line for each event, as `SECOND [WHO] KIND [key=value …]`.
//!
//! WHO is `+`, the node in its present session, unless the line says otherwise: `-` the site itself, `~` the node
//! in no session, `/N` the node in session N, `*` another node. A value with spaces is written with `_`. Some words stand for
//! several events; see [`shorthand`].

use faros_model::{
    api::{Discovered, NodeStatus, ServiceState, ServiceStatus, Transfer},
    event::{Event, EventKind, Phase},
    ids::SessionId,
    plan::Service,
    site::{Architecture, Site},
    timeline::Cause,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::{ImageState, Known, why};

pub(super) const NODE: &str = "node-1";

const SITE: &str = r#"apiVersion: faros.dev/v1alpha1
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
      address: 192.168.8.11
      installDisk: /dev/vda
    - name: node-2
      roles: [worker]
      bootMac: "52:54:00:08:00:02"
      address: 192.168.8.12
      installDisk: /dev/vda
"#;

pub(super) fn site() -> Site {
    faros_site::load(SITE).unwrap().site
}

pub(super) fn base() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

pub(super) fn at(second: f64) -> Timestamp {
    base() + SignedDuration::from_secs_f64(second)
}

/// What a line may stand for.
fn shorthand(word: &str) -> &'static [&'static str] {
    match word {
        // The firmware asks, and takes what it is offered.
        "firmware-asks" => &["dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7"],
        "firmware-has" => &[
            "dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7",
            "dhcp-offer address=192.168.8.11 bootFile=snponly.efi",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11 bootFile=snponly.efi",
        ],
        "loader-sent" => &["loader-fetched name=loader/snponly.efi bytes=150000 milliseconds=120"],
        "loader-has" => &[
            "dhcp-discover vendorClass=PXEClient:Arch:00007 userClass=iPXE architecture=7",
            "dhcp-offer address=192.168.8.11 bootFile=http://192.168.8.1:8080/boot/x.ipxe",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11 bootFile=http://192.168.8.1:8080/boot/x.ipxe",
        ],
        "told-install" => &["boot-script-served action=install reason=node-1_is_armed"],
        "told-disk" => &["boot-script-served action=local-disk reason=node-1_is_not_armed"],
        "kernel-sent" => &["kernel-fetched name=debian-13/vmlinuz bytes=11708352 milliseconds=250"],
        "initramfs-sent" => {
            &["initramfs-fetched name=debian-13/initramfs.img bytes=39044657 milliseconds=900"]
        }
        "system-has" => &[
            "dhcp-discover hostname=node-1",
            "dhcp-offer address=192.168.8.11",
            "dhcp-request address=192.168.8.11 state=selecting",
            "dhcp-ack address=192.168.8.11",
        ],
        "booted" => &["node-report report=booted memoryBytes=2147483648"],
        "ignited" => &["node-report report=ignition-fetched ignitionVersion=2.18.0"],
        "installed" => &[
            "node-disarmed by=farosd reason=installed",
            "node-report report=installed seconds=60",
        ],
        "started" => &["node-report report=started encrypted=true"],
        _ => &[],
    }
}

/// The events of a story.
pub(super) fn events(story: &str) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (second, rest) = line.split_once(' ').unwrap();
        let second: f64 = second.parse().unwrap();
        let (who, rest) = match rest.split_once(' ') {
            Some((who, rest)) if !who.starts_with(|c: char| c.is_ascii_lowercase()) => (who, rest),
            _ => ("+", rest),
        };
        let (node, session) = match who {
            "+" => (Some(NODE), Some(7)),
            "~" => (Some(NODE), None),
            "-" => (None, None),
            "*" => (Some("node-2"), Some(8)),
            other => (
                Some(NODE),
                Some(other.strip_prefix('/').unwrap().parse().unwrap()),
            ),
        };
        let word = rest.split(' ').next().unwrap();
        let lines = match shorthand(word) {
            [] => vec![rest],
            lines => lines.to_vec(),
        };
        for (idx, line) in lines.into_iter().enumerate() {
            let (kind, facts) = line.split_once(' ').unwrap_or((line, ""));
            let mut detail = Map::new();
            let mut seq = events.last().map_or(1, |event| event.seq + 1);
            for (key, value) in facts.split_whitespace().map(|fact| fact.split_once('=').unwrap()) {
                let value = value.replace('_', " ");
                let number = value.parse::<u64>().ok();
                if key == "seq" {
                    seq = number.unwrap();
                } else {
                    detail.insert(key.to_owned(), number.map_or_else(|| json!(value), |n| json!(n)));
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            let offset = idx as f64 * 0.01;
            events.push(Event {
                seq,
                at: at(second + offset),
                node: node.map(|node| node.parse().unwrap()),
                session: session.map(SessionId),
                kind: EventKind::from_name(kind).unwrap_or_else(|| panic!("{kind} is no kind of event")),
                detail,
            });
        }
    }
    events
}

/// What is known besides what was recorded.
pub(super) struct World {
    pub(super) site: Site,
    pub(super) status: NodeStatus,
    pub(super) services: Vec<ServiceStatus>,
    pub(super) image: ImageState,
    pub(super) lockdown: bool,
    pub(super) discovered: Vec<Discovered>,
}

impl World {
    /// All is well, and the node is armed.
    pub(super) fn new(events: &[Event]) -> Self {
        let site = site();
        let node = &site.nodes[&NODE.parse().unwrap()];
        let own = |event: &&Event| event.node.as_ref() == Some(&node.name);
        let status = NodeStatus {
            name: node.name.clone(),
            boot_mac: node.boot_mac,
            address: node.address,
            roles: node.roles.clone(),
            phase: Phase::Netbooting,
            since: None,
            reason: String::new(),
            armed: true,
            session: events.iter().filter(own).rev().find_map(|event| event.session),
            firmware: Some("uefi-x86_64".to_owned()),
            last_event: None,
            transfer: None,
        };
        let ready = |service: Service| ServiceStatus {
            service,
            state: ServiceState::Ready,
            reason: String::new(),
            listens: vec![],
            generation: None,
            counters: std::collections::BTreeMap::new(),
        };
        Self {
            status,
            services: Service::ALL.into_iter().map(ready).collect(),
            image: ImageState::Present(Architecture::X86_64),
            lockdown: false,
            discovered: vec![],
            site,
        }
    }

    /// Changes that a test names by a word.
    pub(super) fn but(mut self, what: &str) -> Self {
        let fail = |service: Service, services: &mut Vec<ServiceStatus>| {
            for own in services.iter_mut().filter(|own| own.service == service) {
                own.state = ServiceState::Failed;
                own.reason = "dnsmasq has the port".to_owned();
            }
        };
        match what.split_once(':').unwrap_or((what, "")) {
            ("", _) => (),
            ("not-armed", _) => self.status.armed = false,
            ("no-image", _) => self.image = ImageState::Missing,
            ("image", word) => {
                self.image = ImageState::Present(match word {
                    "aarch64" => Architecture::Aarch64,
                    _ => Architecture::X86_64,
                });
            }
            ("no-tang", _) => {
                for node in self.site.nodes.values_mut() {
                    node.encryption.threshold = 0;
                }
            }
            ("no-session", _) => self.status.session = None,
            ("lockdown", _) => self.lockdown = true,
            ("firmware", word) => self.status.firmware = Some(word.to_owned()),
            ("no-dhcp", _) => fail(Service::Dhcp, &mut self.services),
            ("no-netboot", _) => fail(Service::Netboot, &mut self.services),
            ("no-ignition", _) => fail(Service::Ignition, &mut self.services),
            ("no-unlock", _) => fail(Service::Unlock, &mut self.services),
            ("ignored", _) => self.site.lan.ignored_macs.push(self.status.boot_mac),
            ("stranger", second) => {
                let last_seen = at(second.parse().unwrap());
                self.discovered.push(Discovered {
                    mac: "52:54:00:ff:00:01".parse().unwrap(),
                    first_seen: base(),
                    last_seen,
                    address: None,
                    said: Map::from_iter([(
                        "vendorClass".to_owned(),
                        Value::from("PXEClient:Arch:00007:UNDI:003000"),
                    )]),
                });
            }
            ("sending", bytes) => {
                self.status.transfer = Some(Transfer {
                    name: "debian-13/initramfs.img".to_owned(),
                    bytes: bytes.parse().unwrap(),
                    of: 39_044_657,
                });
            }
            (other, _) => panic!("{other} is no change of the world"),
        }
        self
    }

    pub(super) fn why(&self, now: Timestamp, events: &[Event]) -> Vec<Cause> {
        why(&Known {
            now,
            site: &self.site,
            node: &self.site.nodes[&NODE.parse().unwrap()],
            status: &self.status,
            events,
            services: &self.services,
            image: self.image,
            lockdown: self.lockdown,
            discovered: &self.discovered,
        })
    }
}
