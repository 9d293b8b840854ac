use std::collections::BTreeSet;

use faros_model::{ports::PortRange, site::Site};
use proptest::prelude::*;

use super::*;

const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../examples/branch-office.yaml"),
    ),
    ("everything", include_str!("../../../../examples/everything.yaml")),
    ("demo", include_str!("../../../../examples/three-nodes.yaml")),
];

pub(crate) fn site(name: &str) -> Site {
    changed(name, &[])
}

/// An example with other words in places.
pub(crate) fn changed(name: &str, words: &[(&str, &str)]) -> Site {
    let (_, text) = EXAMPLES.iter().find(|(own, _)| *own == name).unwrap();
    let mut text = (*text).to_owned();
    for (from, to) in words {
        assert!(text.contains(from), "{from} is not in {name}");
        text = text.replacen(from, to, 1);
    }
    faros_site::load(&text).unwrap().site
}

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

fn facts() -> impl Strategy<Value = Facts> {
    let of = |words: &'static [Distribution]| prop::sample::select(words);
    let plugins = prop::sample::select(Plugin::ALL);
    let features = prop::sample::subsequence(Feature::ALL, 0..=Feature::ALL.len());
    (of(Distribution::ALL), plugins, features).prop_map(|(distribution, plugin, features)| Facts {
        distribution,
        plugin,
        features: features.into_iter().collect(),
    })
}

proptest! {
    #[test]
    fn a_filter_is_what_the_matrix_has_whatever_there_is_on_a_node(
        facts in facts(),
        is in prop::sample::subsequence(Party::NODES, 1..=Party::NODES.len()),
    ) {
        let site = site("branch-office");
        let machine = Machine::any(&site, &is);
        let rules = verify::parse_fragment(&nft::fragment(&site, &facts, &machine));
        let findings = verify::rules(&site, &facts, &machine, "node", &rules);
        prop_assert_eq!(told(&findings), Vec::<String>::new());
    }

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

#[test]
fn the_filters_of_nodes_are_these() {
    for (name, role) in [
        ("demo", "node-1"),
        ("everything", "node-1"),
        ("branch-office", "node-4"),
    ] {
        let site = site(name);
        let node = site
            .nodes
            .values()
            .find(|node| node.name.as_str() == role)
            .unwrap();
        let text = nft::fragment(&site, &Facts::of(&site), &Machine::node(node));
        expect_test::expect_file![format!("../testdata/{name}-{role}.nft")].assert_eq(&text);
    }
}

#[test]
fn other_filters_are_told_the_same() {
    let site = site("everything");
    let facts = Facts::of(&site);
    let worker = Machine::any(&site, &[Party::Worker]);
    let zone = firewalld::zone(&site, &facts, &worker);
    expect_test::expect_file!["../testdata/everything-worker.xml"].assert_eq(&zone);
    let groups = openstack::groups(&site, &facts, &[Party::ControlPlane, Party::Worker]);
    expect_test::expect_file!["../testdata/everything-groups.sh"].assert_eq(&groups);
}

#[test]
fn fields_with_commas_and_quotes_stay_one_field() {
    let site = site("demo");
    let wanted = show::Wanted {
        matrix: Matrix::Tectonic,
        on: vec![Party::Frontend],
        all: false,
    };
    expect_test::expect![[r#"
        id,what,on,direction,peers,protocol,ports,bind,when,holds,need,source,url,note
        I-I-1,ingress of console and dex,frontend,in,bastion control-plane worker meta-worker frontend arbiter bmc host unknown outside,tcp,443,address,,yes,MUST,Tectonic: generic platform,https://github.com/coreos/tectonic-docs/blob/14a36d87084c098268c36b3687c783b58149b3b0/Documentation/generic-platform.md,"peer not stated; today API, 80, 443 and VRRP"
        I-E-1,image pulls,frontend,out,outside,tcp,443,client,,yes,MUST,Tectonic: generic platform,https://github.com/coreos/tectonic-docs/blob/14a36d87084c098268c36b3687c783b58149b3b0/Documentation/generic-platform.md,"protocol not stated; today the same, or a mirror"
    "#]]
    .assert_eq(&show::csv(&Facts::of(&site), &wanted).replace("\r\n", "\n"));
}

#[test]
fn who_listens_is_held_against_the_matrix() {
    let site = site("demo");
    let facts = Facts::of(&site);
    let listener = |protocol, address: &str, port| verify::Listener {
        protocol,
        address: address.parse().unwrap(),
        port,
        holder: "someone".to_owned(),
        is_ephemeral: port > 32767,
    };
    let node = Machine::node(site.nodes.values().next().unwrap());
    let found = [
        listener(Protocol::Tcp, "0.0.0.0", 22),
        listener(Protocol::Tcp, "127.0.0.1", 631),
        listener(Protocol::Tcp, "::", 10255),
        listener(Protocol::Tcp, "0.0.0.0", 10259),
        listener(Protocol::Udp, "0.0.0.0", 5355),
        listener(Protocol::Udp, "0.0.0.0", 45678),
        listener(Protocol::Tcp, "0.0.0.0", 45678),
    ];
    let findings = verify::listeners(&facts, &node, "node-1", &found, false);
    expect_test::expect![[r"
        node-1 unexpected-listener tcp/10255 ::: someone
        node-1 exposed-listener tcp/10259 0.0.0.0: someone
        node-1 unexpected-listener udp/5355 0.0.0.0: someone
        node-1 unexpected-listener tcp/45678 0.0.0.0: someone"]]
    .assert_eq(&told(&findings).join("\n"));
    let bastion = Machine::bastion(&site);
    let found = [
        listener(Protocol::Udp, "192.168.8.1", 53),
        listener(Protocol::Udp, "0.0.0.0", 67),
    ];
    let findings = verify::listeners(&facts, &bastion, "bastion", &found, true);
    expect_test::expect![[r"
        bastion missing-listener tcp/53 : DNS server, long answers (bastion-dns-tcp)
        bastion missing-listener udp/123 : time server (bastion-ntp)
        bastion missing-listener udp/69 : boot loaders by TFTP (bastion-tftp)
        bastion missing-listener tcp/8080 : boot scripts, kernels, images, reports (bastion-netboot)
        bastion missing-listener tcp/8080 : Ignition configs, and reports (bastion-ignition)
        bastion missing-listener tcp/8082 : unlocking of disks (bastion-unlock)
        bastion missing-listener tcp/5000 : container images, and what nodes join the cluster with (bastion-registry)"]]
    .assert_eq(&told(&findings).join("\n"));
}

fn told(findings: &[verify::Finding]) -> Vec<String> {
    let one = |own: &verify::Finding| {
        format!(
            "{} {} {} {}: {}",
            own.on,
            own.kind.as_str(),
            own.port,
            own.who,
            own.what
        )
    };
    findings.iter().map(one).collect()
}

#[test]
fn no_filter_of_a_node_is_wider_than_the_matrix_and_none_lacks_what_must_be() {
    let nat = changed("everything", &[("gatewayMode: pat", "gatewayMode: nat")]);
    let sites = EXAMPLES.iter().map(|(name, _)| site(name)).chain([nat]);
    for site in sites {
        let facts = Facts::of(&site);
        for node in site.nodes.values() {
            let machine = Machine::node(node);
            let rules = verify::parse_fragment(&nft::fragment(&site, &facts, &machine));
            assert!(!rules.is_empty());
            let findings = verify::rules(&site, &facts, &machine, node.name.as_str(), &rules);
            assert_eq!(told(&findings), Vec::<String>::new());
        }
    }
}

#[test]
fn a_filter_that_was_changed_by_hand_is_told() {
    let site = site("demo");
    let facts = Facts::of(&site);
    let node = site.nodes.values().next().unwrap();
    let machine = Machine::node(node);
    let text = nft::fragment(&site, &facts, &machine);
    let after = |from: &str, to: &str| {
        assert!(text.contains(from), "{from} in {text}");
        let rules = verify::parse_fragment(&text.replace(from, to));
        told(&verify::rules(&site, &facts, &machine, "node-1", &rules)).join("\n")
    };
    let last = "\t\tcounter drop";
    expect_test::expect![[r#"
        node-1 wider tcp/9999 0.0.0.0-192.168.8.10, 192.168.8.12-255.255.255.255: tcp dport 9999 accept comment "mine"
        ---
        node-1 forbidden tcp/10255 192.168.8.12/31: ip saddr { 192.168.8.12-192.168.8.13 } tcp dport 10255 accept
        ---
        node-1 wider any 0.0.0.0-192.168.8.10, 192.168.8.12-255.255.255.255: accept
        ---
        node-1 missing tcp/10250 192.168.8.12/31: kubelet API (kubelet)
        ---
        node-1 missing udp/68 192.168.8.1-192.168.8.2: answers of DHCP (dhcp-client)"#]]
    .assert_eq(
        &[
            after(last, &format!("\t\ttcp dport 9999 accept comment \"mine\"\n{last}")),
            after(last, &format!("\t\tip saddr {{ 192.168.8.12-192.168.8.13 }} tcp dport 10255 accept\n{last}")),
            after(last, &format!("\t\taccept\n{last}")),
            after(", 10250", ""),
            after("udp sport 67 udp dport 68 accept", ""),
        ]
        .join("\n---\n"),
    );
}
