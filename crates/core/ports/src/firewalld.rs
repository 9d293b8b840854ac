//! What may reach a machine, as a zone of firewalld: one XML file for `/etc/firewalld/zones`.

use std::fmt::Write as _;

use faros_model::site::Site;

use crate::{Facts, Machine, Protocol, openings::open};

/// The zone of a machine; its interface belongs in it, and whoever is not named is dropped.
pub fn zone(site: &Site, facts: &Facts, machine: &Machine) -> String {
    let is: Vec<&str> = machine.is.iter().map(|party| party.as_str()).collect();
    let is = is.join(", ");
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<zone target=\"DROP\">\n  <short>Faros node</short>\n  \
         <description>What may reach a node of {} that is {is}: made by Faros from its port matrix.</description>\n",
        site.name
    );
    for (protocol, ports, from) in open(site, facts, machine) {
        let what = match (protocol, protocol.number(), ports) {
            (Protocol::Icmp, ..) => "<icmp-type name=\"echo-request\"/>".to_owned(),
            (_, _, Some(ports)) => format!("<port port=\"{ports}\" protocol=\"{protocol}\"/>"),
            (_, Some(number), None) => format!("<protocol value=\"{number}\"/>"),
            // No row of today opens everything.
            (_, None, None) => continue,
        };
        for subnet in from.subnets() {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "  <rule family=\"ipv4\"><source address=\"{subnet}\"/>{what}<accept/></rule>"
            );
        }
    }
    out += "</zone>\n";
    out
}
