//! What is there, held against the matrix.

use proptest::prelude::*;

use super::{EXAMPLES, changed, facts, site};
use crate::*;

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
