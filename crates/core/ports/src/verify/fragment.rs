//! A node's own filter, read back from its text.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::{
    net::{Addresses, Range, Subnet},
    ports::PortRange,
};

use super::Rule;
use crate::Protocol;

/// What passes and is no port of the node: itself, what goes through to pods, pods, and the messages without which
/// networks break.
const PASSES: &[&str] = &[
    "iif \"lo\"",
    "fib daddr type != { local, broadcast, multicast }",
    "ip saddr @pods fib ",
    "icmp type {",
    "icmpv6 type {",
];

/// What lets packets pass in it.
///
/// Only what [`crate::nft`] writes is understood; a line of another kind that accepts counts as one that opens
/// everything, so that it is found.
pub fn parse_fragment(text: &str) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut sets: BTreeMap<String, Addresses> = BTreeMap::new();
    let mut set = String::new();
    // Whom the chain is asked about; whoever there is, in the first.
    let mut from = everyone();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("set ") {
            name.trim_end_matches([' ', '{']).clone_into(&mut set);
            sets.insert(set.clone(), Addresses::default());
            continue;
        }
        if let Some(elements) = line.strip_prefix("elements = ") {
            sets.insert(set.clone(), set_of(elements));
            continue;
        }
        if let Some(chain) = line.strip_prefix("chain ") {
            let party = chain.trim_end_matches([' ', '{']).strip_prefix("from_");
            let own = party.map(|party| sets.get(party).cloned().unwrap_or_default());
            from = own.unwrap_or_else(everyone);
            continue;
        }
        let bare = line.split(" comment \"").next().unwrap_or(line);
        let Some(words) = bare.strip_suffix("accept").map(str::trim_end) else {
            continue;
        };
        if line.starts_with('#') || PASSES.iter().any(|own| words.starts_with(own)) {
            continue;
        }
        let (who, words) = match words.strip_prefix("ip saddr ") {
            Some(rest) => {
                let (who, words) = split(rest);
                (set_of(who), words)
            }
            None => (from.clone(), words),
        };
        let mut rule = |protocol, ports| {
            let (text, from) = (line.to_owned(), who.clone());
            rules.push(Rule {
                text,
                protocol,
                ports,
                from,
            });
        };
        if words.starts_with("icmp type echo-request") {
            rule(Protocol::Icmp, None);
        } else if let Some(number) = words.strip_prefix("ip protocol ") {
            let protocols = [Protocol::Ipip, Protocol::Esp, Protocol::Vrrp];
            let own = protocols
                .into_iter()
                .find(|own| own.number().map(|n| n.to_string()).as_deref() == Some(number));
            rule(own.unwrap_or(Protocol::Any), None);
        } else if let Some(ports) = words.strip_prefix("tcp dport ") {
            for range in ranges(ports) {
                rule(Protocol::Tcp, Some(range));
            }
        } else if let Some(ports) = words.strip_prefix("udp dport ") {
            for range in ranges(ports) {
                rule(Protocol::Udp, Some(range));
            }
        } else if words == "udp sport 67 udp dport 68" {
            rule(Protocol::Udp, Some(PortRange(68, 68)));
        } else {
            rule(Protocol::Any, None);
        }
    }
    rules
}

fn everyone() -> Addresses {
    Addresses::of([Subnet::of(Ipv4Addr::UNSPECIFIED, 0)])
}

/// A set in braces or one address, and what comes after it.
fn split(text: &str) -> (&str, &str) {
    let end = if text.starts_with('{') {
        text.find('}').map(|at| at + 1)
    } else {
        text.find(' ')
    };
    let (who, rest) = text.split_at(end.unwrap_or(text.len()));
    (who, rest.trim_start())
}

fn inside(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches(['{', '}', ' ']).split(", ")
}

fn set_of(text: &str) -> Addresses {
    let subnets = inside(text).flat_map(|one| {
        let network = one.parse().or_else(|_| format!("{one}/32").parse());
        let range = one.parse::<Range>().map(Addresses::from).unwrap_or_default();
        network.into_iter().chain(range.subnets())
    });
    Addresses::of(subnets)
}

fn ranges(text: &str) -> Vec<PortRange> {
    let one = |text: &str| -> Option<PortRange> {
        match text.split_once('-') {
            Some((first, last)) => Some(PortRange(first.parse().ok()?, last.parse().ok()?)),
            None => Some(PortRange::from(text.parse::<u16>().ok()?)),
        }
    };
    inside(text).filter_map(one).collect()
}
