//! A site of two nodes, and what is known of the first besides what was recorded.

use faros_model::{
    api::{Discovered, NodeStatus, ServiceState, ServiceStatus, Transfer},
    event::{Event, Phase},
    plan::Service,
    site::{Architecture, Site},
    timeline::Cause,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::story::{NODE, at, base};
use crate::{ImageState, Known, why};

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
