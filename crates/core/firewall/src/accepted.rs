//! What a table lets pass, in the words of the port matrix, so that one can be held against the other.
//!
//! It is read from the rules and knows nothing of how they were made. Whatever a rule asks for that is not told
//! here makes it narrower than it is taken for.

use std::net::Ipv4Addr;

use faros_model::{
    net::{Addresses, Subnet},
    ports::PortRange,
    site::Site,
};
use faros_ports::{Facts, Machine, Party, Protocol, verify};

use crate::{
    policy::Interfaces,
    rules::{Match, Rule, Ruleset, Side, Verdict},
};

/// Where a table differs from the port matrix: opens what that has not, or lacks what it says MUST be.
pub fn against_matrix(site: &Site, facts: &Facts) -> Vec<verify::Finding> {
    let Ok(interfaces) = Interfaces::new(LAN, UPLINK) else {
        return vec![];
    };
    let rules = Ruleset::compile(site, &interfaces);
    let bastion = verify::rules(
        site,
        facts,
        &Machine::bastion(site),
        "bastion",
        &to_bastion(site, &rules),
    );
    let nodes = Machine::any(site, Party::NODES);
    let passing = through(site, &rules);
    let mut findings = bastion;
    // What a node lacks is for its own filter to tell: the LAN's machines reach it without the bastion.
    findings.extend(
        verify::rules(site, facts, &nodes, "nodes from outside", &passing)
            .into_iter()
            .filter(|finding| finding.kind != verify::Kind::Missing),
    );
    findings
}

const LAN: &str = "lan";
const UPLINK: &str = "uplink";

/// What is let in to the bastion itself, and to what it leads on from its own addresses.
fn to_bastion(site: &Site, rules: &Ruleset) -> Vec<verify::Rule> {
    let mut found = Vec::new();
    for chain in &rules.chains {
        let by = match chain.name {
            "input_lan" => Some(LAN),
            "input_uplink" => Some(UPLINK),
            _ => None,
        };
        for rule in &chain.rules {
            let opens = match rule.then {
                Verdict::Accept | Verdict::Goto("pings") => by.is_some(),
                Verdict::LeadTo(_) => true,
                // The bastion may ask itself.
                Verdict::Spread(..) => chain.name != "asking",
                _ => false,
            };
            if opens {
                found.extend(told(site, rule, by));
            }
        }
    }
    found
}

/// What is let through from the outside to nodes by their own addresses.
fn through(site: &Site, rules: &Ruleset) -> Vec<verify::Rule> {
    let chain = rules.chains.iter().find(|chain| chain.name == "forward_to_lan");
    let rules = chain.into_iter().flat_map(|chain| &chain.rules);
    // What was led on is judged where it is led.
    let own = rules.filter(|rule| {
        matches!(rule.then, Verdict::Accept | Verdict::Goto(_)) && !rule.when.contains(&Match::WasPublished)
    });
    own.flat_map(|rule| told(site, rule, None)).collect()
}

/// A rule in the matrix's words: one for each range of ports.
fn told(site: &Site, rule: &Rule, by: Option<&str>) -> Vec<verify::Rule> {
    let lan = Addresses::of([site.lan.subnet]);
    let everyone = Addresses::of([Subnet::of(Ipv4Addr::UNSPECIFIED, 0)]);
    let own = rule.when.iter().find_map(|one| match one {
        Match::InBy(name) => Some(name.as_str()),
        _ => None,
    });
    let mut from = match own.or(by) {
        Some(LAN) => lan,
        Some(_) => everyone.minus(&lan),
        None => everyone,
    };
    let mut what: Vec<(Protocol, Option<PortRange>)> = vec![(Protocol::Any, None)];
    for one in &rule.when {
        match one {
            Match::Source(true, who) => from = from.minus(&from.minus(who)),
            Match::Source(false, who) => from = from.minus(who),
            Match::Ports(transport, Side::Destination, ports) => {
                what = ports
                    .iter()
                    .map(|range| ((*transport).into(), Some(*range)))
                    .collect();
            }
            Match::AnyIcmp => what = vec![(Protocol::Icmp, None)],
            _ => (),
        }
    }
    let text = rule.to_string();
    what.into_iter()
        .map(|(protocol, ports)| verify::Rule {
            text: text.clone(),
            protocol,
            ports,
            from: from.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn findings(text: &str) -> String {
        let site = faros_site::load(text).unwrap().site;
        let found = against_matrix(&site, &Facts::of(&site));
        let line = |own: &verify::Finding| {
            format!(
                "{} {} {} {}: {}",
                own.on,
                own.kind.as_str(),
                own.port,
                own.who,
                own.what
            )
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn no_rule_of_the_bastion_is_wider_than_the_matrix_and_none_that_must_be_is_missing() {
        let demo = include_str!("../../../../examples/three-nodes.yaml");
        let uplink = |more: &str| {
            demo.replacen(
                "    interface: uplink0\n",
                &format!("    interface: uplink0\n{more}"),
                1,
            )
        };
        let published = "    trustedNetworks: [198.51.100.0/24]\n    publish: [ssh, console, api, ingress-http, ingress-https]\n";
        let open = "    trustedNetworks: [0.0.0.0/0]\n    publish: [ssh, console, api, ingress-http, ingress-https]\n";
        let nat = uplink(&format!("    gatewayMode: nat\n{published}"));
        for text in [
            demo,
            include_str!("../../../../examples/smallest.yaml"),
            include_str!("../../../../examples/branch-office.yaml"),
            &uplink(published),
            &nat,
            &nat.replace(
                "  nodeDefaults:",
                "  cluster: {distribution: none}\n  nodeDefaults:",
            ),
            &nat.replace(
                "  nodeDefaults:",
                "  cluster: {distribution: openshift}\n  nodeDefaults:",
            ),
            &uplink(open),
            &uplink(open).replace(
                "  nodeDefaults:",
                "  services: {balancer: {enabled: false}}\n  nodeDefaults:",
            ),
            &demo.replace(
                "  nodeDefaults:",
                "  cluster: {distribution: openshift}\n  nodeDefaults:",
            ),
            &demo.replace(
                "  nodeDefaults:",
                "  cluster: {distribution: none}\n  nodeDefaults:",
            ),
        ] {
            assert_eq!(findings(text), "", "{text}");
        }
    }

    #[test]
    fn what_the_site_file_opens_or_forgets_is_told() {
        let text = include_str!("../../../../examples/everything.yaml");
        let text = text.replace("allow: [dns]", "allow: [dns, registry]");
        expect![[r#"
            bastion wider tcp/5000 192.168.8.128/25: ip saddr 192.168.8.128/25 tcp dport { 53, 5000 } accept comment "192.168.8.128/25"
            bastion missing udp/67 192.168.8.0, 192.168.8.4-192.168.8.255: DHCP server (bastion-dhcp)
            bastion missing udp/53 192.168.8.0, 192.168.8.4-192.168.8.10, 192.168.8.13-192.168.8.90, 192.168.8.92-192.168.8.127: DNS server (bastion-dns)
            bastion missing tcp/53 192.168.8.0, 192.168.8.4-192.168.8.10, 192.168.8.13-192.168.8.90, 192.168.8.92-192.168.8.127: DNS server, long answers (bastion-dns-tcp)
            bastion missing udp/123 192.168.8.0, 192.168.8.4-192.168.8.10, 192.168.8.13-192.168.8.90, 192.168.8.92-192.168.8.255: time server (bastion-ntp)
            bastion missing udp/69 192.168.8.11-192.168.8.12: boot loaders by TFTP (bastion-tftp)
            bastion missing tcp/8080 192.168.8.11-192.168.8.12: boot scripts, kernels, images, reports (bastion-netboot)
            bastion missing tcp/8080 192.168.8.11-192.168.8.12: Ignition configs, and reports (bastion-ignition)
            bastion missing tcp/8082 192.168.8.11-192.168.8.12: unlocking of disks (bastion-unlock)
            bastion missing tcp/5000 192.168.8.11-192.168.8.12: container images, and what nodes join the cluster with (bastion-registry)
            bastion missing tcp/6443 192.168.8.11-192.168.8.12: Kubernetes API on its virtual IP (vip-api)"#]].assert_eq(&findings(&text));
    }
}
