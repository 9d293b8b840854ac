//! What may reach nodes, as security groups of `OpenStack`: one for each role, as commands of its client.
//!
//! Commands and not a template for Heat: they need no service beside the network's, and can be read and tried one
//! by one. Roles stand as groups, so that a node that is added needs no new rule.

use std::fmt::Write as _;

use faros_model::{net::Addresses, site::Site};

use crate::{
    Facts, Machine, Opening, Party, Protocol,
    openings::{is_opened, openings},
};

/// Commands that make the groups of these roles, and fill them.
pub fn groups(site: &Site, facts: &Facts, roles: &[Party]) -> String {
    let name = |party: Party| format!("{}-{}", site.name, party.as_str());
    let mut out =
        "#!/bin/sh\n# Security groups of nodes: made by Faros from its port matrix.\nset -eu\n".to_owned();
    // Writing to a `String` cannot fail. Rules name groups, so that all groups come first.
    for role in Party::NODES {
        let _ = writeln!(
            out,
            "openstack security group show {own} >/dev/null 2>&1 || openstack security group create --description 'Faros: {}' {own}",
            role.meaning(),
            own = name(*role)
        );
    }
    for role in roles {
        let group = name(*role);
        for opening in openings(site, facts, &Machine::any(site, &[*role])) {
            if !is_opened(&opening) {
                continue;
            }
            let what = what(&opening);
            // Where everybody on the LAN may come, one network says it all.
            let is_for_all = [Party::NODES, &[Party::Host, Party::Unknown]]
                .concat()
                .iter()
                .all(|party| opening.row.peers.contains(party));
            let as_groups = |party: &Party| !is_for_all && Party::NODES.contains(party);
            for peer in opening.row.peers.iter().filter(|peer| as_groups(peer)) {
                let _ = writeln!(out, "{RULE}--remote-group {} {what} {group}", name(*peer));
            }
            let others = opening.from.iter().filter(|(party, _)| !as_groups(party));
            let others = Addresses::of(others.flat_map(|(_, from)| from.subnets()));
            for subnet in others.subnets() {
                let _ = writeln!(out, "{RULE}--remote-ip {subnet} {what} {group}");
            }
        }
    }
    out
}

const RULE: &str = "openstack security group rule create --ingress --ethertype IPv4 ";

fn what(opening: &Opening) -> String {
    let protocol = match (opening.row.protocol, opening.ports) {
        (Protocol::Icmp, _) => "--protocol icmp --icmp-type 8".to_owned(),
        (protocol, Some(ports)) => format!("--protocol {protocol} --dst-port {}:{}", ports.0, ports.1),
        (protocol, None) => match protocol.number() {
            Some(number) => format!("--protocol {number}"),
            None => "--protocol any".to_owned(),
        },
    };
    format!("{protocol} --description '{}'", opening.row.id)
}
