//! A site of two nodes, and the script language of the tests.
//!
//! One line is one sighting: `SECOND WHO KIND key=value…`. WHO is `one`, `two` (boot MACs), `bond` (the second
//! member of node-2's bond), `nas` (an extra host), `bmc` (node-1's), `new` (an unknown machine), or an address.

use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr};

use expect_test::Expect;
use faros_model::{
    event::EventKind,
    ids::{HostName, MacAddr, SessionId},
    net::{Range, Subnet},
    sighting::Sighting,
    site::{
        Architecture, Balancer, Bmc, Bond, BondMode, Cluster, ContentPolicy, DiskRef, Distribution, Dns,
        Encryption, ExtraHost, GatewayMode, IngressAffinity, InterfaceRef, Lan, LanAddresses, Node,
        NodeAddressing, NodeNetwork, Role, SealKeysWith, Services, Site, Time, Unlock, UnlockPolicy, Uplink,
        UplinkAddressing,
    },
};
use jiff::Timestamp;
use serde_json::Map;

use crate::Tracker;

const MACS: [(&str, u8); 6] = [
    ("one", 1),
    ("two", 2),
    ("bond", 3),
    ("nas", 4),
    ("bmc", 5),
    ("new", 9),
];

pub(super) fn mac(last: u8) -> MacAddr {
    MacAddr([0x52, 0x54, 0, 8, 0, last])
}

fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 8, last)
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn node(n: u8) -> Node {
    let bond = (n == 2).then(|| Bond {
        mode: BondMode::ActiveBackup,
        macs: vec![mac(2), mac(3)],
    });
    let bmc = (n == 1).then(|| Bmc {
        scheme: "redfish+https".to_owned(),
        address: ip(61),
        mac: Some(mac(5)),
        credentials_ref: None,
    });
    Node {
        name: name(&format!("node-{n}")),
        roles: vec![Role::Worker],
        boot_mac: mac(n),
        network: NodeNetwork {
            addressing: NodeAddressing::Dhcp,
            bond,
        },
        address: ip(10 + n),
        architecture: Architecture::X86_64,
        image: "debian-13".parse().unwrap(),
        install_disk: DiskRef::Path("/dev/disk/by-path/x".to_owned()),
        data_disks: vec![],
        bmc,
        encryption: Encryption {
            threshold: 0,
            of: vec![],
        },
        labels: BTreeMap::new(),
        taints: vec![],
        kernel_arguments: vec![],
    }
}

pub(super) fn site() -> Site {
    let nas = ExtraHost {
        name: name("nas"),
        mac: Some(mac(4)),
        address: ip(70),
    };
    Site {
        name: name("harbour"),
        domain: "edge.example.com".parse().unwrap(),
        labels: BTreeMap::new(),
        ssh_authorized_keys: vec![],
        uplink: Uplink {
            interface: InterfaceRef::Name("up".to_owned()),
            addressing: UplinkAddressing::Dhcp,
            gateway_mode: GatewayMode::Pat,
            trusted_networks: vec![],
            publish: vec![],
        },
        lan: Lan {
            interfaces: vec!["lan".to_owned()],
            subnet: Subnet::of(ip(0), 24),
            mtu: 1500,
            dynamic_range: Range::new(ip(200), ip(250)).unwrap(),
            ignored_macs: vec![],
            addresses: LanAddresses {
                bastion: ip(1),
                api: ip(2),
                ingress: ip(2),
                bootstrap: ip(3),
            },
            hosts: BTreeMap::from([(name("nas"), nas)]),
            firewall: None,
        },
        dns: Dns {
            forwarders: vec![],
            records: vec![],
        },
        time: Time {
            sources: vec![],
            orphan_stratum: 10,
        },
        cluster: Cluster {
            distribution: Distribution::None,
            version: None,
            pod_network: "10.128.0.0/14".parse().unwrap(),
            service_network: "172.30.0.0/16".parse().unwrap(),
            network_plugin: "none".to_owned(),
        },
        nodes: [1, 2].map(|n| (node(n).name, node(n))).into(),
        unlock: Unlock {
            policy: UnlockPolicy::BootSession,
            seal_keys_with: SealKeysWith::Nothing,
        },
        content: ContentPolicy::Always,
        balancer: Balancer {
            ingress_affinity: IngressAffinity::None,
            api_ca: None,
        },
        services: Services {
            dhcp: true,
            dns: true,
            netboot: true,
            ignition: true,
            unlock: true,
            ntp: true,
            router: true,
            balancer: true,
        },
        later: BTreeMap::new(),
    }
}

pub(super) fn tracker() -> Tracker {
    Tracker::new(vec![], vec![], SessionId(1))
}

pub(super) fn sighting(line: &str) -> Sighting {
    let mut words = line.split_whitespace();
    let second = words.next().unwrap().parse().unwrap();
    let who = words.next().unwrap();
    let known = MACS.iter().find(|(name, _)| *name == who);
    let kind = EventKind::from_name(words.next().unwrap()).unwrap();
    let mut detail = Map::new();
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        let value = value.replace('_', " ");
        detail.insert(
            key.to_owned(),
            value.parse::<u64>().map_or_else(|_| value.into(), Into::into),
        );
    }
    let leased = detail.get("address").and_then(|text| text.as_str());
    Sighting {
        at: at(second),
        mac: known.map(|(_, last)| mac(*last)),
        address: who.parse().ok().or_else(|| leased?.parse().ok()),
        kind,
        detail,
    }
}

/// Runs a script: each line, the events that come of it, and at its end how the nodes stand.
pub(super) fn run(tracker: &mut Tracker, script: &str) -> String {
    let site = site();
    let mut told = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        writeln!(told, "{line}").unwrap();
        for draft in tracker.observe(Some(&site), sighting(line)) {
            let node = draft.node.as_ref().map_or("-", HostName::as_str);
            let session = draft
                .session
                .map_or("-".to_owned(), |session| session.to_string());
            write!(told, "  -> {node} {session} {}", draft.kind).unwrap();
            if draft.kind == EventKind::PhaseChanged {
                let word = |key: &str| draft.detail.get(key).and_then(|v| v.as_str()).unwrap_or("");
                write!(
                    told,
                    ": {} to {}, by {}",
                    word("from"),
                    word("to"),
                    word("evidence")
                )
                .unwrap();
                if !word("reason").is_empty() {
                    write!(told, ", because {}", word("reason")).unwrap();
                }
            }
            told.push('\n');
        }
    }
    for node in tracker.nodes(&site, |_| false) {
        let session = node.session.map_or("-".to_owned(), |session| session.to_string());
        let firmware = node.firmware.as_deref().unwrap_or("-");
        let since = node
            .since
            .map_or("-".to_owned(), |since| since.as_second().to_string());
        writeln!(
            told,
            "{}: {} since {since}, {session}, {firmware}",
            node.name, node.phase
        )
        .unwrap();
    }
    told
}

/// Runs a script with nobody known yet.
pub(super) fn check(script: &str, expected: &Expect) {
    expected.assert_eq(&run(&mut tracker(), script));
}
