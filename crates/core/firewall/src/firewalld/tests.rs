use std::{fmt::Write as _, net::Ipv4Addr};

use expect_test::expect;
use faros_model::site::Site;

use super::*;
use crate::rules::{Addresses, Hook, Match, Rule, Ruleset, Side, Verdict};

fn demo(uplink: &str) -> Site {
    let text = include_str!("../../../../../examples/three-nodes.yaml");
    let text = text.replacen("    interface: uplink0\n", uplink, 1);
    faros_site::load(&text).unwrap().site
}

fn everything(from: &str, to: &str) -> Site {
    let text = include_str!("../../../../../examples/everything.yaml");
    assert!(text.contains(from), "{from}");
    faros_site::load(&text.replacen(from, to, 1)).unwrap().site
}

fn interfaces() -> Interfaces {
    Interfaces::new("lan0", "uplink0").unwrap()
}

const SITES: &[&str] = &[
    "    interface: uplink0\n",
    "    interface: uplink0\n    gatewayMode: nat\n    trustedNetworks: [203.0.113.0/24]\n    publish: [ssh, api]\n",
    "    interface: uplink0\n    trustedNetworks: [0.0.0.0/0]\n    publish: [ssh, console, ingress-http]\n",
];

fn sites() -> Vec<Site> {
    let from_file = [
        ("name: harbour-7", "name: harbour-7"),
        ("gatewayMode: pat", "gatewayMode: nat"),
        ("distribution: kubeadm", "distribution: openshift"),
    ]
    .map(|(from, to)| everything(from, to));
    SITES.iter().map(|uplink| demo(uplink)).chain(from_file).collect()
}

#[test]
fn firewalld_is_told_this_of_the_demo() {
    let told = Firewalld::compile(&demo(SITES[1]), &interfaces());
    let mut lines = String::new();
    for (name, settings) in told.zones.iter().chain(&told.policies) {
        writeln!(lines, "{name}: {}", settings.target().unwrap()).unwrap();
        for (setting, value) in &settings.0 {
            if let Value::Set(items) = value
                && !items.is_empty()
            {
                let items: Vec<&str> = items.iter().map(String::as_str).collect();
                writeln!(lines, "  {setting}: {}", items.join(", ")).unwrap();
            }
        }
    }
    expect![[r#"
        faros-hosts: DROP
          ports: 123/udp, 22/tcp, 53/tcp, 53/udp, 67/udp, 68/udp, 69/udp, 8080/tcp, 8082/tcp, 9090/tcp
          protocols: icmp, ipv6-icmp
          sources: 192.168.8.49
        faros-lan: DROP
          interfaces: lan0
          ports: 123/udp, 22/tcp, 53/tcp, 53/udp, 67/udp, 68/udp, 69/udp, 8080/tcp, 8082/tcp, 9090/tcp
          protocols: icmp, ipv6-icmp
        faros-nodes: DROP
          ports: 123/udp, 5000/tcp, 53/tcp, 53/udp, 67/udp, 68/udp, 69/udp, 8080/tcp, 8082/tcp
          protocols: icmp, ipv6-icmp
          sources: 192.168.8.11, 192.168.8.12/31
        faros-uplink: DROP
          interfaces: uplink0
          ports: 68/udp
          protocols: icmp, ipv6-icmp
          rules_str: rule family="ipv4" source address="203.0.113.0/24" port port="22" protocol="tcp" accept
        faros-in-nodes: CONTINUE
          egress_zones: faros-nodes
          ingress_zones: faros-uplink
          rich_rules: rule family="ipv4" source address="203.0.113.0/24" port port="22" protocol="tcp" accept, rule family="ipv4" source address="203.0.113.0/24" port port="30000-32767" protocol="tcp" accept, rule family="ipv4" source address="203.0.113.0/24" port port="30000-32767" protocol="udp" accept, rule family="ipv4" source address="203.0.113.0/24" port port="443" protocol="tcp" accept, rule family="ipv4" source address="203.0.113.0/24" port port="6443" protocol="tcp" accept, rule family="ipv4" source address="203.0.113.0/24" port port="80" protocol="tcp" accept
        faros-in-pings: CONTINUE
          egress_zones: faros-hosts, faros-lan, faros-nodes
          ingress_zones: faros-uplink
          rich_rules: rule family="ipv4" source address="203.0.113.0/24" protocol value="icmp" accept
        faros-out: ACCEPT
          egress_zones: faros-uplink
          ingress_zones: faros-hosts, faros-lan, faros-nodes
    "#]].assert_eq(&lines);
}

/// The first packet of a connection; `to` is `None` for the bastion itself.
#[derive(Debug, Clone, Copy)]
struct Packet {
    from: &'static str,
    to: Option<&'static str>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    /// `None` for a ping.
    ports: Option<(Transport, u16, u16)>,
}

/// Whether our own table lets it pass, after it arrived.
fn table_accepts(rules: &Ruleset, packet: &Packet) -> bool {
    let hook = if packet.to.is_some() {
        Hook::Forward
    } else {
        Hook::Input
    };
    let of_hook = rules.chains.iter().filter(|chain| chain.hook == Some(hook));
    of_hook
        .filter_map(|chain| walk(rules, &chain.rules, packet))
        .all(|accepted| accepted)
}

fn walk(rules: &Ruleset, chain: &[Rule], packet: &Packet) -> Option<bool> {
    let named = |name: &str| {
        rules
            .chains
            .iter()
            .find(|chain| chain.name == name)
            .unwrap()
            .rules
            .as_slice()
    };
    for rule in chain
        .iter()
        .filter(|rule| rule.when.iter().all(|one| is_so(one, packet)))
    {
        match &rule.then {
            Verdict::Accept => return Some(true),
            Verdict::Drop | Verdict::Reset | Verdict::Refuse => return Some(false),
            Verdict::Goto(name) => return walk(rules, named(name), packet),
            Verdict::Jump(name) => {
                if let Some(verdict) = walk(rules, named(name), packet) {
                    return Some(verdict);
                }
            }
            Verdict::Return => return None,
            Verdict::ByConnection | Verdict::ClampSegments => (),
            other => panic!("{other:?} in a chain that filters"),
        }
    }
    None
}

fn is_so(one: &Match, packet: &Packet) -> bool {
    let within = |who: &Addresses, address| who.covers(&Addresses::each([address]));
    match one {
        Match::InBy(name) => packet.from == name,
        Match::OutBy(name) => packet.to == Some(name.as_str()),
        Match::Source(is, who) => within(who, packet.source) == *is,
        Match::Destination(is, who) => within(who, packet.destination) == *is,
        Match::Ports(transport, side, ports) => packet.ports.is_some_and(|(own, source, destination)| {
            let port = match side {
                Side::Source => source,
                Side::Destination => destination,
            };
            own == *transport && ports.iter().any(|range| range.0 <= port && port <= range.1)
        }),
        Match::AnyIcmp | Match::ModestPing => packet.ports.is_none(),
        Match::Opening => packet
            .ports
            .is_some_and(|(transport, ..)| transport == Transport::Tcp),
        _ => false,
    }
}

/// Whether firewalld does, as its manual has it.
fn firewalld_accepts(told: &Firewalld, packet: &Packet) -> bool {
    let zone = |address: Ipv4Addr, interface: &str| {
        let by_source = told.zones.iter().find(|(_, zone)| {
            zone.items("sources")
                .any(|source| subnet(source).contains(address))
        });
        let by_interface = || {
            told.zones
                .iter()
                .find(|(_, zone)| zone.items("interfaces").any(|own| own == interface))
        };
        by_source.or_else(by_interface).unwrap()
    };
    let (from, settings) = zone(packet.source, packet.from);
    let Some(to) = packet.to else {
        return opens(settings, "rules_str", packet);
    };
    let (to, _) = zone(packet.destination, to);
    let policies = told.policies.values().filter(|policy| {
        policy.items("ingress_zones").any(|zone| zone == from)
            && policy.items("egress_zones").any(|zone| zone == to)
    });
    policies
        .into_iter()
        .any(|policy| policy.target() == Some("ACCEPT") || opens(policy, "rich_rules", packet))
}

fn opens(settings: &Settings, rules: &str, packet: &Packet) -> bool {
    let by_port = |range: &str, transport: &str| {
        packet.ports.is_some_and(|(own, _, port)| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            own.as_str() == transport && (first.parse().unwrap()..=last.parse().unwrap()).contains(&port)
        })
    };
    let of_ports = settings.items("ports").any(|own| {
        let (range, transport) = own.split_once('/').unwrap();
        by_port(range, transport)
    });
    let of_protocols = packet.ports.is_none() && settings.items("protocols").any(|own| own == "icmp");
    let of_rules = settings.items(rules).any(|rule| {
        let quoted = |name: &str| {
            rule.split_once(&format!("{name}=\""))?
                .1
                .split_once('"')
                .map(|it| it.0)
        };
        let source = quoted("source address").is_none_or(|from| subnet(from).contains(packet.source));
        let what = match quoted("port port") {
            Some(range) => by_port(range, quoted("protocol").unwrap()),
            None => packet.ports.is_none() && quoted("protocol value") == Some("icmp"),
        };
        source && what
    });
    of_ports || of_protocols || of_rules
}

fn subnet(text: &str) -> Subnet {
    let text = if text.contains('/') {
        text.to_owned()
    } else {
        format!("{text}/32")
    };
    text.parse().unwrap()
}

#[test]
fn firewalld_and_our_table_say_the_same_of_every_packet() {
    let mut passed = 0;
    for site in sites() {
        let rules = Ruleset::compile(&site, &interfaces());
        let told = Firewalld::compile(&site, &interfaces());
        // Of each group, its neighbors, and the ends of networks.
        let inside = [
            0, 1, 3, 4, 10, 11, 12, 13, 14, 48, 49, 50, 59, 60, 61, 62, 91, 92, 127, 128, 200, 255,
        ];
        let outside = [
            [203, 0, 113, 1],
            [203, 0, 113, 130],
            [198, 51, 100, 9],
            [9, 9, 9, 9],
        ]
        .map(Ipv4Addr::from);
        let mut ways: Vec<(&str, Option<&str>, Ipv4Addr, Ipv4Addr)> = vec![];
        for inner in inside.map(|last| Ipv4Addr::new(192, 168, 8, last)) {
            let bastion = site.lan.addresses.bastion;
            ways.push(("lan0", None, inner, bastion));
            ways.push(("lan0", None, inner, site.lan.addresses.api));
            for outer in outside {
                ways.push(("lan0", Some("uplink0"), inner, outer));
                ways.push(("uplink0", Some("lan0"), outer, inner));
                ways.push(("uplink0", None, outer, bastion));
            }
        }
        ways.push(("uplink0", Some("uplink0"), outside[0], outside[2]));
        for (from, to, source, destination) in ways {
            let ports = [
                22, 53, 67, 68, 69, 80, 123, 443, 5000, 6443, 8080, 8082, 9090, 22623, 30000, 31337,
            ];
            let ports = ports.into_iter().flat_map(|port| {
                [Transport::Tcp, Transport::Udp].map(|transport| {
                    // Who asks as a DHCP server is one.
                    let source = if port == DHCP_CLIENT { DHCP_SERVER } else { 40000 };
                    Some((transport, source, port))
                })
            });
            for ports in ports.chain([None]) {
                let packet = Packet {
                    from,
                    to,
                    source,
                    destination,
                    ports,
                };
                let ours = table_accepts(&rules, &packet);
                assert_eq!(ours, firewalld_accepts(&told, &packet), "{packet:?}");
                passed += usize::from(ours);
            }
        }
    }
    assert!(passed > 1_000, "{passed}");
}

#[test]
fn what_others_change_in_our_zones_is_told_setting_by_setting() {
    let told = Firewalld::compile(&demo(SITES[0]), &interfaces());
    let ours = &told.zones[LAN];
    assert_eq!(ours.differences(ours), Vec::<String>::new());
    let mut theirs = ours.clone();
    theirs.0.insert("masquerade".to_owned(), Value::Flag(true));
    theirs.0.insert("target".to_owned(), Value::text("ACCEPT"));
    theirs
        .0
        .insert("ports".to_owned(), Value::set(["31337/tcp".to_owned()]));
    theirs.0.remove("interfaces");
    // firewalld leaves out what is empty.
    theirs.0.remove("services");
    expect![[r"
        `lan0` was missing from interfaces
        masquerade was on
        `123/udp` was missing from ports
        `22/tcp` was missing from ports
        `53/tcp` was missing from ports
        `53/udp` was missing from ports
        `67/udp` was missing from ports
        `68/udp` was missing from ports
        `69/udp` was missing from ports
        `8080/tcp` was missing from ports
        `8082/tcp` was missing from ports
        `9090/tcp` was missing from ports
        `31337/tcp` was in ports and is not ours
        target was ACCEPT and not DROP"]]
    .assert_eq(&ours.differences(&theirs).join("\n"));
}
