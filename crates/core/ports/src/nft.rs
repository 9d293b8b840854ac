//! A node's packet filter as a table of its own for nftables.
//!
//! It judges where a packet first has its port: before the address of a service is put in the place of a node
//! port's, and after its connection is known. It judges only what is for the node itself; what passes through to
//! pods is the cluster's own business, and so is what comes from the node's own pods. What the node sends is never
//! judged, so that it always reaches the bastion to be booted, unlocked and heard.
//!
//! Peers stand in named sets, one for each party, so that a peer can be added to a node that runs:
//! `nft add element inet faros_node worker { 192.168.8.14 }`.

use std::{collections::BTreeMap, fmt::Write as _, net::SocketAddrV4};

use faros_model::{
    net::Addresses,
    ports::PortRange,
    site::{PublishedTarget, Site},
};

use crate::{
    Distribution, Facts, Machine, Opening, Party, Plugin, Protocol,
    openings::{addresses, is_opened, joined, openings},
};

/// The name of the table, of family `inet`.
pub const TABLE: &str = "faros_node";

/// The table of a machine with these parts in a site, as one transaction.
///
/// Open is what MUST and SHOULD be; what only MAY be is not.
pub fn fragment(site: &Site, facts: &Facts, machine: &Machine) -> String {
    let open: Vec<Opening> = openings(site, facts, machine)
        .into_iter()
        .filter(is_opened)
        .collect();
    let is: Vec<&str> = machine.is.iter().map(|party| party.as_str()).collect();
    let is = is.join(", ");
    let peers: Vec<Party> = Party::ALL
        .into_iter()
        .filter(|party| !matches!(party, Party::Outside | Party::Itself))
        .filter(|party| open.iter().any(|opening| opening.row.peers.contains(party)))
        .collect();

    let mut out = format!(
        "# What may reach a node that is {is}: made by Faros from its port matrix.\n\
         table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
    );
    // Writing to a `String` cannot fail.
    for party in &peers {
        let _ = write!(out, "{}", set(&set_name(*party), &addresses(site, *party)));
    }
    if facts.distribution != Distribution::None {
        let cluster = Addresses::of([site.cluster.pod_network]);
        let _ = write!(out, "{}", set("pods", &cluster));
    }
    out += "\tchain arriving {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n\
            \t\tiif \"lo\" accept\n\
            \t\tfib daddr type != { local, broadcast, multicast } accept comment \"passes through\"\n\
            \t\tct state vmap { invalid : drop, established : accept, related : accept }\n";
    out += pods(facts);
    out += "\t\ticmp type { destination-unreachable, time-exceeded, parameter-problem } accept\n\
            \t\ticmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept\n";
    for party in &peers {
        let name = set_name(*party);
        let _ = writeln!(out, "\t\tip saddr @{name} jump from_{name}");
    }
    let from_outside = outside(&open);
    for (from, own) in &from_outside {
        let from = braced(from);
        for line in lines(own) {
            let from = if line.starts_with('#') {
                String::new()
            } else {
                format!("ip saddr {from} ")
            };
            let _ = writeln!(out, "\t\t{from}{line}");
        }
    }
    out += "\t\tcounter drop comment \"not in the port matrix\"\n\t}\n";
    for party in &peers {
        let own: Vec<&Opening> = open
            .iter()
            .filter(|opening| opening.row.peers.contains(party))
            .collect();
        let _ = writeln!(out, "\tchain from_{} {{", set_name(*party));
        for line in lines(&own) {
            let _ = writeln!(out, "\t\t{line}");
        }
        out += "\t}\n";
    }
    out += "}\n";
    out
}

/// What a node's table depends on besides the site: its roles, and what is published on which of its ports. The
/// tables of nodes that are alike in this are the same.
pub fn kind(site: &Site, machine: &Machine) -> (Vec<Party>, Vec<(usize, Vec<u16>)>) {
    let published = site.uplink.publish.iter().enumerate();
    let here = published.filter_map(|(n, published)| {
        let PublishedTarget::Port { to, .. } = &published.what else {
            return None;
        };
        let own = to
            .iter()
            .filter(|to| machine.addresses.covers(&Addresses::each([*to.ip()])));
        let ports: Vec<u16> = own.map(SocketAddrV4::port).collect();
        (!ports.is_empty()).then_some((n, ports))
    });
    (machine.is.clone(), here.collect())
}

/// What tells a node's own pods, and those that come by the plug-in's tunnel, from somebody on the wire who says
/// that he is a pod.
///
/// Where pods of other nodes are routed over the LAN itself (Bridge; Calico without a tunnel; Flannel's `host-gw`),
/// their packets do come by the wire, and a machine of the LAN that says that it is one of them is taken for it. One
/// that says that it is a pod of this node is not: the way back to those is another interface.
const fn pods(facts: &Facts) -> &'static str {
    match (facts.distribution, facts.plugin) {
        (Distribution::None, _) => "",
        // Its pods come in by one interface and are answered by another.
        (_, Plugin::Cilium) => {
            "\t\tip saddr @pods fib daddr . iif type != local accept comment \"pods, and not by the wire\"\n"
        }
        (_, Plugin::Bridge | Plugin::Calico | Plugin::Flannel) => {
            "\t\tip saddr @pods fib saddr . iif oif exists accept comment \"pods, from where they are\"\n"
        }
    }
}

fn set_name(party: Party) -> String {
    party.as_str().replace('-', "_")
}

fn set(name: &str, who: &Addresses) -> String {
    let elements = if who.is_empty() {
        String::new()
    } else {
        format!("\t\telements = {{ {who} }}\n")
    };
    format!("\tset {name} {{\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\tauto-merge\n{elements}\t}}\n")
}

/// What is open to the outside, by who may come.
fn outside(open: &[Opening]) -> Vec<(Addresses, Vec<&Opening>)> {
    let mut all: Vec<(Addresses, Vec<&Opening>)> = Vec::new();
    for opening in open {
        let Some(from) = opening.from.get(&Party::Outside) else {
            continue;
        };
        match all.iter_mut().find(|(own, _)| own == from) {
            Some((_, openings)) => openings.push(opening),
            None => all.push((from.clone(), vec![opening])),
        }
    }
    all
}

/// One rule for each protocol, with what it is about before it.
fn lines(open: &[&Opening]) -> Vec<String> {
    let mut by_protocol: BTreeMap<Protocol, (Vec<PortRange>, Vec<&str>)> = BTreeMap::new();
    let mut lines = Vec::new();
    for opening in open {
        if opening.row.id == DHCP {
            lines.push(format!("# {}", opening.row.id));
            lines.push("udp sport 67 udp dport 68 accept".to_owned());
            continue;
        }
        let (ports, why) = by_protocol.entry(opening.row.protocol).or_default();
        ports.extend(opening.ports);
        if !why.contains(&opening.row.id) {
            why.push(opening.row.id);
        }
    }
    for (protocol, (ports, why)) in by_protocol {
        lines.push(format!("# {}", why.join(", ")));
        lines.push(match (protocol, protocol.transport(), protocol.number()) {
            (Protocol::Icmp, ..) => {
                "icmp type echo-request limit rate 100/second burst 200 packets accept".to_owned()
            }
            (_, Some(transport), _) => {
                format!("{} dport {} accept", transport.as_str(), listed(&joined(ports)))
            }
            (_, None, Some(number)) => format!("ip protocol {number} accept"),
            (_, None, None) => "accept".to_owned(),
        });
    }
    lines
}

/// The row whose packets come from one port alone.
const DHCP: &str = "dhcp-client";

fn listed(ports: &[PortRange]) -> String {
    let texts: Vec<String> = ports.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [only] => only.clone(),
        all => format!("{{ {} }}", all.join(", ")),
    }
}

fn braced(who: &Addresses) -> String {
    let text = who.to_string();
    if text.contains(", ") {
        format!("{{ {text} }}")
    } else {
        text
    }
}
