//! The names of a site and their addresses: what DNS answers, listed for people.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::site::{DnsData, Site};

/// Each name relative to the site's zone with what it says, such as `api` with `A 192.168.8.2`.
pub fn names(site: &Site) -> BTreeMap<String, String> {
    let a = |address: Ipv4Addr| format!("A {address}");
    let own = site.lan.addresses;
    let mut names: BTreeMap<String, String> = [
        ("bastion", own.bastion),
        ("ns", own.bastion),
        ("api", own.api),
        ("api-int", own.api),
        ("*.apps", own.ingress),
        ("bootstrap", own.bootstrap),
    ]
    .into_iter()
    .map(|(name, address)| (name.to_owned(), a(address)))
    .collect();
    for node in site.nodes.values() {
        names.insert(node.name.to_string(), a(node.address));
        names.extend(
            node.bmc
                .as_ref()
                .map(|bmc| (format!("{}-mgmt", node.name), a(bmc.address))),
        );
    }
    names.extend(
        site.lan
            .hosts
            .values()
            .map(|host| (host.name.to_string(), a(host.address))),
    );
    for record in &site.dns.records {
        let says = match &record.data {
            DnsData::A(address) => a(*address),
            DnsData::Cname(name) => format!("CNAME {name}"),
            DnsData::Txt(text) => format!("TXT {text:?}"),
        };
        names.insert(record.name.to_string(), says);
    }
    names
}
