//! The matrix itself: its rows, when they hold, and whom they mean.

use std::collections::BTreeSet;

use faros_model::{ports::PortRange, site::Site};
use proptest::prelude::*;

use super::{changed, facts, site};
use crate::*;

#[test]
fn every_row_has_a_name_of_its_own_parties_and_a_source() {
    let mut ids = BTreeSet::new();
    for row in rows() {
        assert!(ids.insert(row.id), "{} is there twice", row.id);
        assert!(
            !row.on.is_empty() && !row.peers.is_empty(),
            "{} has no parties",
            row.id
        );
        assert!(
            !row.source.url().is_empty() && !row.source.version().is_empty(),
            "{}",
            row.id
        );
        assert_eq!(
            row.matrix == Matrix::Tectonic,
            row.source == Source::Tectonic,
            "{} is of one matrix and has the other's source",
            row.id
        );
        assert_eq!(
            row.bind == Bind::Loopback,
            row.peers == [Party::Itself],
            "{}: the loopback is for the machine itself",
            row.id
        );
        assert_eq!(
            row.bind == Bind::Client,
            row.direction == Direction::Out,
            "{}",
            row.id
        );
        if row.protocol.transport().is_some() {
            assert_ne!(row.ports, Ports::All, "{} opens everything", row.id);
        }
        if let Ports::These(ports) = row.ports {
            for PortRange(first, last) in ports {
                assert!(0 < *first && first <= last, "{}: {first}-{last}", row.id);
            }
        }
    }
}

#[test]
fn every_source_and_every_feature_is_used() {
    for source in Source::ALL {
        let is_used =
            rows().any(|row| row.source == *source) || patterns().iter().any(|own| own.source == *source);
        assert!(is_used, "{}", source.as_str());
    }
    for feature in Feature::ALL {
        let is_used = rows().any(|row| row.when.contains(&Is::With(*feature)));
        assert!(is_used, "no row asks for {}", feature.as_str());
    }
}

fn share_ports(one: &Row, other: &Row) -> bool {
    let protocols =
        one.protocol == other.protocol || one.protocol == Protocol::Any || other.protocol == Protocol::Any;
    let ports = match (one.ports, other.ports) {
        (Ports::These(own), Ports::These(others)) => own
            .iter()
            .any(|own| others.iter().any(|other| own.0 <= other.1 && other.0 <= own.1)),
        // What the operator publishes is checked against what is forbidden where it is published.
        (Ports::Published, _) | (_, Ports::Published) => false,
        (Ports::All, _) | (_, Ports::All) => true,
    };
    protocols && ports
}

fn share(one: &[Party], other: &[Party]) -> bool {
    one.iter().any(|own| other.contains(own))
}

proptest! {
    #[test]
    fn nothing_is_needed_and_forbidden_under_the_same_conditions(facts in facts()) {
        let holding: Vec<&Row> = rows().filter(|row| row.holds(&facts)).collect();
        for forbidden in holding.iter().filter(|row| row.need == Need::Forbidden) {
            for other in holding.iter().filter(|row| row.need != Need::Forbidden) {
                let clash = forbidden.matrix == other.matrix
                    && forbidden.direction == other.direction
                    && share(forbidden.on, other.on)
                    && share(forbidden.peers, other.peers)
                    && share_ports(forbidden, other);
                prop_assert!(!clash, "{} forbids what {} wants", forbidden.id, other.id);
            }
        }
    }

    #[test]
    fn no_two_rows_say_the_same_under_the_same_conditions(facts in facts()) {
        let holding: Vec<&Row> = rows().filter(|row| row.holds(&facts) && row.ports != Ports::Published).collect();
        for (idx, one) in holding.iter().enumerate() {
            for other in &holding[idx + 1..] {
                let same = one.matrix == other.matrix
                    && (one.direction, one.protocol, one.ports) == (other.direction, other.protocol, other.ports)
                    && one.need == other.need
                    && (one.service, one.source) == (other.service, other.source)
                    && one.on == other.on
                    && one.peers == other.peers;
                prop_assert!(!same, "{} and {} are the same", one.id, other.id);
            }
        }
    }
}

/// What is changed in an example.
type Words = &'static [(&'static str, &'static str)];

#[test]
fn conditions_are_asked_of_the_site() {
    let holds = |site: &Site, id: &str| rows().find(|row| row.id == id).unwrap().holds(&Facts::of(site));
    let of = |words: &[(&str, &str)]| changed("everything", words);
    // id, what is changed in the example with everything, whether it holds then
    let cases: &[(&str, Words, bool)] = &[
        ("cilium-vxlan", &[], true),
        ("cilium-geneve", &[], false),
        (
            "cilium-vxlan",
            &[("networkPlugin: cilium", "networkPlugin: flannel")],
            false,
        ),
        (
            "flannel-vxlan",
            &[("networkPlugin: cilium", "networkPlugin: flannel")],
            true,
        ),
        (
            "calico-bgp",
            &[("networkPlugin: cilium", "networkPlugin: calico")],
            true,
        ),
        (
            "cilium-vxlan",
            &[("distribution: kubeadm", "distribution: none")],
            false,
        ),
        (
            "kubernetes-api",
            &[("distribution: kubeadm", "distribution: none")],
            false,
        ),
        (
            "kubernetes-api",
            &[("distribution: kubeadm", "distribution: openshift")],
            false,
        ),
        (
            "openshift-api",
            &[("distribution: kubeadm", "distribution: openshift")],
            true,
        ),
        ("node-exporter", &[], true),
        (
            "node-exporter",
            &[("monitoring: {enabled: true}", "monitoring: {enabled: false}")],
            false,
        ),
        ("ceph-monitors", &[], false),
        ("asks-vault", &[], true),
        (
            "asks-vault",
            &[(
                "backend: {vault: {address: \"https://vault.example.com:8200\"}}",
                "backend: builtin",
            )],
            false,
        ),
        (
            "bastion-unlock",
            &[("unlock: {enabled: true}", "unlock: {enabled: false}")],
            false,
        ),
        ("vrrp", &[], false),
        ("bmc-ipmi", &[], true),
        ("node-ports-control-plane", &[], false),
        ("bastion-asks-dhcp", &[], false),
        ("ssh", &[], true),
    ];
    for (id, words, expected) in cases {
        assert_eq!(holds(&of(words), id), *expected, "{id} with {words:?}");
    }
    let with_ceph = Facts::of(&of(&[]));
    let mut with_ceph = with_ceph;
    with_ceph.features.insert(Feature::CephHostNetwork);
    assert!(
        rows()
            .find(|row| row.id == "ceph-monitors")
            .unwrap()
            .holds(&with_ceph)
    );
}

#[test]
fn the_outside_is_whom_the_site_file_lets_in() {
    let from_outside = |site: &Site, machine: &Machine| -> Vec<String> {
        let facts = Facts::of(site);
        let all = openings(site, &facts, machine);
        let all = all.iter().filter(|opening| opening.row.need != Need::Forbidden);
        let all = all.filter_map(|opening| {
            let from = opening.from.get(&Party::Outside)?;
            let ports = opening.ports.map_or("-".to_owned(), |own| own.to_string());
            Some(format!(
                "{} {}/{ports} from {from}",
                opening.row.id, opening.row.protocol
            ))
        });
        all.collect()
    };
    let pat = site("everything");
    let node = Machine::node(pat.nodes.values().next().unwrap());
    assert_eq!(
        from_outside(&pat, &node),
        [
            "published tcp/8883 from 198.51.100.0/24",
            "kubernetes-api tcp/6443 from 198.51.100.0/24"
        ]
    );
    let nat = changed("everything", &[("gatewayMode: pat", "gatewayMode: nat")]);
    let open = from_outside(&nat, &node);
    assert!(
        open.contains(&"ssh tcp/22 from 198.51.100.0/24".to_owned()),
        "{open:?}"
    );
    assert!(
        open.contains(&"node-ports udp/30000-32767 from 198.51.100.0/24".to_owned())
            || open.contains(&"node-ports-udp udp/30000-32767 from 198.51.100.0/24".to_owned()),
        "{open:?}"
    );
    let bastion = from_outside(&pat, &Machine::bastion(&pat));
    assert!(
        bastion.contains(&"bastion-ssh tcp/22 from 198.51.100.128/25".to_owned()),
        "{bastion:?}"
    );
    assert!(
        bastion.contains(&"vip-published tcp/8883 from 198.51.100.0/24".to_owned()),
        "{bastion:?}"
    );
    assert!(
        !bastion.iter().any(|line| line.starts_with("bastion-console")),
        "{bastion:?}"
    );
}
