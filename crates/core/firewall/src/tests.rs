use std::collections::BTreeMap;

use expect_test::{expect, expect_file};
use faros_model::site::Site;

use super::*;

/// A site file's text with this in the place of its uplink.
fn site(uplink: &str) -> Site {
    let text = include_str!("../../../../examples/three-nodes.yaml");
    let text = text.replacen("    interface: uplink0\n", uplink, 1);
    faros_site::load(&text).unwrap().site
}

fn compile(site: &Site) -> Ruleset {
    Ruleset::compile(site, &Interfaces::new("lan0", "uplink0").unwrap())
}

#[test]
fn the_rules_of_the_demo_are_these() {
    let rules = compile(&site("    interface: uplink0\n"));
    expect_file!["../testdata/demo.nft"].assert_eq(&rules.text("faros", &Live::default()));
}

#[test]
fn what_a_bridge_carries_past_is_nobodys_lie_and_what_is_for_the_bastion_may_be() {
    let site = site("    interface: uplink0\n");
    let macs = ["52:54:00:00:00:02", "52:54:00:00:00:01", "52:54:00:00:00:02"];
    let bridge = Interfaces::new("lan0", "uplink0")
        .unwrap()
        .with_bridge(macs.map(|mac| mac.parse().unwrap()));
    let text = Ruleset::compile(&site, &bridge).text("faros", &Live::default());
    let at = |words: &str| {
        text.find(words)
            .unwrap_or_else(|| panic!("no {words} in\n{text}"))
    };
    let past = at(
        "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != { 52:54:00:00:00:01, 52:54:00:00:00:02 } return",
    );
    assert!(at("spoofed: an address of the bastion itself") < past);
    assert!(past < at("spoofed: not an address of the LAN"));
    assert!(past < at("to pods or services, which are not out there"));
    assert!(!compile(&site).text("faros", &Live::default()).contains("ether"));
}

#[test]
fn the_rules_of_a_site_with_everything_are_these() {
    let text = include_str!("../../../../examples/everything.yaml");
    let rules = compile(&faros_site::load(text).unwrap().site);
    expect_file!["../testdata/everything.nft"].assert_eq(&rules.text("faros", &Live::default()));
}

#[test]
fn a_gateway_lets_trusted_networks_to_nodes_and_hides_nodes_from_all_others() {
    let nat = "    interface: uplink0\n    gatewayMode: nat\n    trustedNetworks: [198.51.100.0/24]\n";
    let text = compile(&site(nat)).text("", &Live::default());
    let nodes = "ip daddr 192.168.8.11-192.168.8.13";
    for rule in [
        format!(
            "iifname \"uplink0\" ip saddr 198.51.100.0/24 {nodes} tcp dport {{ 22, 80, 443, 6443, 30000-32767 }} accept"
        ),
        "oifname \"uplink0\" ip saddr 192.168.8.0/24 ip daddr != 198.51.100.0/24 masquerade".to_owned(),
    ] {
        assert!(text.contains(&rule), "{rule} in\n{text}");
    }
    // Without trusted networks there is nobody to let in.
    let alone = compile(&site("    interface: uplink0\n    gatewayMode: nat\n"));
    assert_eq!(alone, compile(&site("    interface: uplink0\n")));
}

#[test]
fn what_is_published_for_nobody_is_not_open() {
    let nobody = "    interface: uplink0\n    publish: [ssh, api]\n";
    let rules = compile(&site(nobody));
    assert_eq!(rules, compile(&site("    interface: uplink0\n")));
    assert_eq!(facts(&site(nobody))["published ssh"], "the bastion, from nobody");
}

#[test]
fn no_rule_accepts_machine_config_from_the_uplink() {
    let open = "    interface: uplink0\n    gatewayMode: nat\n    trustedNetworks: [0.0.0.0/0]\n    publish: [ssh, api, ingress-http]\n";
    let rules = compile(&site(open));
    let chain = |name| rules.chains.iter().find(|chain| chain.name == name).unwrap();
    let is_drop = |rule: &Rule| rule.then == Verdict::Drop && rule.to_string().contains("22623");
    assert!(chain("arriving_uplink").rules.iter().any(is_drop));
    let forward = &chain("forward_to_lan").rules;
    let drop = forward.iter().position(is_drop).unwrap();
    let accept = forward
        .iter()
        .position(|rule| rule.then == Verdict::Accept)
        .unwrap();
    assert!(drop < accept);
}

#[test]
fn the_plan_says_it_in_words() {
    let text = include_str!("../../../../examples/everything.yaml");
    let site = faros_site::load(text).unwrap().site;
    let lines: Vec<String> = facts(&site)
        .into_iter()
        .map(|(subject, text)| format!("{subject}: {text}"))
        .collect();
    expect![[r"
        192.168.8.128/25 may use: dns
        BMCs are: 192.168.8.91
        BMCs may use: dns, ntp
        LAN has: 192.168.8.0/24, the bastion is 192.168.8.1
        LAN is on: enp2s0
        cluster has: 10.128.0.0/14, 172.30.0.0/16
        hosts are: 192.168.8.60/31
        never from the uplink: machine config (22623/tcp), spoofed sources, what is not published
        nodes are: 192.168.8.11-192.168.8.12
        nodes may use: dns, ntp
        published api: 6443/tcp to 192.168.8.11:6443, from 198.51.100.0/24
        published mqtt: 8883/tcp to 192.168.8.11:8883, 192.168.8.12:8883, from 198.51.100.0/24
        published ssh: the bastion, from 198.51.100.128/25
        uplink is on: the interface with MAC 00:00:5e:00:53:f0, 203.0.113.2/30 via 203.0.113.1
        way in: what is published
        way out: as the bastion; not for BMCs"]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn where_rules_differ_the_words_differ() {
    // Else a plan would have no step for the router.
    let text = include_str!("../../../../examples/everything.yaml");
    let load = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        faros_site::load(&text.replacen(from, to, 1)).unwrap().site
    };
    let before = load("name: harbour-7", "name: harbour-7");
    for (from, to) in [
        ("from: [nodes, bmcs]", "from: [nodes, hosts]"),
        ("address: 192.168.8.11\n", "address: 192.168.8.63\n"),
        ("192.168.8.91", "192.168.8.92"),
        ("distribution: kubeadm", "distribution: openshift"),
        ("bastion: 192.168.8.1", "bastion: 192.168.8.9"),
        ("10.128.0.0/14", "10.132.0.0/14"),
        ("gatewayMode: pat", "gatewayMode: nat"),
        ("port: 8883/tcp", "port: 8883/udp"),
        ("from: [198.51.100.128/25]", "from: [198.51.100.0/25]"),
        ("allow: [dns, ntp]", "allow: [dns]"),
        ("dns: {enabled: true}", "dns: {enabled: false}"),
    ] {
        let after = load(from, to);
        assert!(compile(&before) != compile(&after), "{from} -> {to}");
        assert!(facts(&before) != facts(&after), "{from} -> {to}");
    }
}

#[test]
fn networks_that_touch_are_one_range() {
    let of = |networks: &[&str]| {
        Addresses::of(networks.iter().map(|network| network.parse().unwrap())).to_string()
    };
    assert_eq!(of(&["10.0.0.0/9", "10.128.0.0/9"]), "10.0.0.0/8");
    assert_eq!(of(&["10.0.0.0/8", "10.1.0.0/16"]), "10.0.0.0/8");
    assert_eq!(
        of(&["192.168.8.11/32", "192.168.8.12/32"]),
        "192.168.8.11-192.168.8.12"
    );
    assert_eq!(
        of(&["192.168.8.2/32", "192.168.8.1/32"]),
        "192.168.8.1-192.168.8.2"
    );
    assert_eq!(
        of(&["192.168.8.3/32", "192.168.8.1/32"]),
        "192.168.8.1, 192.168.8.3"
    );
    assert_eq!(of(&["0.0.0.0/0"]), "0.0.0.0/0");
}

#[test]
fn an_interface_that_would_match_others_or_end_its_quotes_is_refused() {
    for bad in ["", "lan*", "a\"b", "a b", "sixteen-letters-x"] {
        let refused = Err(BadInterface::Name(bad.to_owned()));
        assert_eq!(Interfaces::new(bad, "uplink0"), refused);
        assert_eq!(Interfaces::new("lan0", bad), refused);
    }
    assert_eq!(
        Interfaces::new("lan0", "lan0"),
        Err(BadInterface::Both("lan0".to_owned()))
    );
}

#[test]
fn what_was_changed_behind_our_back_is_told_rule_by_rule() {
    let text = compile(&site("    interface: uplink0\n")).text("faros 1", &Live::default());
    let ours = Listing::parse(&text);
    assert_eq!(ours.mark(), Some("faros 1"));
    assert_eq!(
        ours.differences(&Listing::parse(&text.replace('\t', "  ")), &BTreeMap::new()),
        []
    );
    let theirs = text
        .replacen(
            "udp sport 67 udp dport 68 accept comment \"the uplink's own address\"",
            "tcp dport 22 accept # handle 7",
            1,
        )
        .replace("chain leaving", "chain other");
    let told: Vec<String> = ours
        .differences(&Listing::parse(&theirs), &BTreeMap::new())
        .iter()
        .map(ToString::to_string)
        .collect();
    expect![[r#"
        `udp sport 67 udp dport 68 accept comment "the uplink's own address"` was missing from the chain input_uplink
        `tcp dport 22 accept` was in the chain input_uplink and is not ours
        the chain leaving was gone
        there was a chain other that is not ours"#]].assert_eq(&told.join("\n"));
    assert!(Listing::parse("").is_empty());
    assert_eq!(
        ours.differences(&Listing::default(), &BTreeMap::new()),
        [Difference::AllGone]
    );
}

#[test]
fn what_is_balanced_goes_over_to_the_next_table_and_is_told_if_it_is_not() {
    let backend = |last: u8| format!("192.168.8.{last}:6443").parse().unwrap();
    let live = Live {
        slots: BTreeMap::from([("api".to_owned(), [(0, backend(11)), (7, backend(12))].into())]),
        counted: BTreeMap::from([("back_tcp_192.168.8.11_6443".to_owned(), (3, 180))]),
    };
    let rules = compile(&site("    interface: uplink0\n"));
    let text = rules.text("", &live);
    let found = Listing::parse(&text);
    assert_eq!(found.slots()["api"], live.slots["api"]);
    assert_eq!(found.counted()["back_tcp_192.168.8.11_6443"], (3, 180));
    // What changes while the rules stay makes no other table.
    let empty = Listing::parse(&rules.text("", &Live::default()));
    assert_eq!(empty.differences(&found, &live.slots), []);
    let counts = text.replace("counter drop", "counter packets 7 bytes 420 drop");
    assert_eq!(empty.differences(&Listing::parse(&counts), &live.slots), []);
    // As nft breaks its lines, and with a slot that somebody changed.
    let theirs = text.replace(
        "0 : 192.168.8.11 . 6443,\n\t\t\t     7 : 192.168.8.12 . 6443",
        "0 : 192.168.8.13 . 6443, 7 : 192.168.8.12 . 6443,\n\t\t\t     9 : 192.168.8.13 . 6443",
    );
    assert_ne!(theirs, text);
    let told = empty.differences(&Listing::parse(&theirs), &live.slots);
    assert_eq!(told, [Difference::Slots("api".to_owned(), 2)]);
    assert_eq!(told[0].to_string(), "2 slots of api were not the balancer's");
}

#[test]
fn only_slots_that_change_hands_are_touched() {
    let backend = |last: u8| format!("192.168.8.{last}:6443").parse().unwrap();
    let of = |slots: &[(u16, u8)]| {
        let slots = slots.iter().map(|(slot, last)| (*slot, backend(*last)));
        BTreeMap::from([("api".to_owned(), slots.collect())])
    };
    let before = of(&[(0, 11), (1, 11), (2, 12)]);
    assert_eq!(update(&before, &before), "");
    expect![[r"
        delete element inet faros to_api { 1, 2 }
        add element inet faros to_api { 1 : 192.168.8.12 . 6443, 3 : 192.168.8.11 . 6443 }
    "]]
    .assert_eq(&update(&before, &of(&[(0, 11), (1, 12), (3, 11)])));
}

#[test]
fn a_virtual_ip_that_is_the_bastions_own_is_led_to_and_not_held() {
    let text = include_str!("../../../../examples/three-nodes.yaml");
    let subnet = "    subnet: 192.168.8.0/24\n";
    let own = format!("{subnet}    addresses: {{bastion: 192.168.8.1, api: 192.168.8.1}}\n");
    let publish = "    interface: uplink0\n    trustedNetworks: [198.51.100.0/24]\n    publish:\n      - {name: names, port: 53/udp, to: [\"node-1:5353\"]}\n";
    let text = text
        .replacen(subnet, &own, 1)
        .replacen("    interface: uplink0\n", publish, 1);
    let site = faros_site::load(&text).unwrap().site;
    assert_eq!(faros_balancer::virtual_addresses(&site), [].into());
    let text = compile(&site).text("", &Live::default());
    for rule in [
        "iifname \"lan0\" ip daddr 192.168.8.1 goto led",
        "tcp dport 6443 ip saddr 192.168.8.11-192.168.8.13 ip daddr 192.168.8.1 tcp flags syn dnat ip to",
        "iifname \"uplink0\" udp dport 53 fib daddr type local ip saddr 198.51.100.0/24 dnat ip to numgen random mod 128 map @to_names",
        "udp dport 53 fib daddr type local ip saddr 198.51.100.0/24 counter reject comment",
    ] {
        assert!(text.contains(rule), "{rule} in\n{text}");
    }
    // The bastion's own name service is not for nodes to give.
    assert!(!text.contains("ip daddr 192.168.8.1 udp dport 53 dnat"), "{text}");
    let led = text.split("chain led").nth(1).unwrap();
    assert!(!led.contains("udp dport 53"), "{led}");
}
