//! The names of a site and their addresses: what DNS answers, listed for people.

use std::{collections::BTreeMap, net::Ipv4Addr};

use faros_model::site::{DnsData, Site};

/// Each name relative to the site's zone with what it says, such as `api` with `A 192.168.8.2`.
pub fn names(site: &Site) -> BTreeMap<String, String> {
    let a = |address: Ipv4Addr| format!("A {address}");
    let own = faros_ports::names(site).into_iter();
    let mut names: BTreeMap<String, String> = own.map(|own| (own.name, a(own.address))).collect();
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
