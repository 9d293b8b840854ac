//! From a site to its zones: its names and the site file's records forward, and the way back from addresses.
//!
//! A name that only has names below it is entered as well, with nothing: it exists, and is no place for a wildcard.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use faros_model::{
    ids::Generation,
    net::Subnet,
    site::{DnsData, Site},
};

use super::{
    Zone, Zones,
    name::{is_below, parent, reverse_name, wire},
};
use crate::message::kind;

/// How long others may keep an answer, in seconds. Addresses hardly ever move, and a change is seen soon.
const TTL: u32 = 300;
/// How long others may keep that something is not there (RFC 2308).
const NEGATIVE_TTL: u32 = 60;

impl Zones {
    /// The zones of a site; the generation is their serial number.
    pub fn compile(site: &Site, generation: Generation) -> Self {
        let zone = site.zone();
        let own = site.lan.addresses;
        let apex = wire(zone.as_str());
        let primary = wire(&format!("bastion.{zone}"));
        let serial = u32::try_from(generation.0).unwrap_or(u32::MAX);
        let mut forward = Builder::new(&apex, &primary, serial);
        let mut pointers: BTreeMap<Ipv4Addr, Vec<String>> = BTreeMap::new();
        for own in faros_ports::names(site) {
            let name = format!("{}.{zone}", own.name);
            forward.add(&wire(&name), kind::A, &own.address.octets());
            if own.has_pointer {
                pointers.entry(own.address).or_default().push(name);
            }
        }
        for record in &site.dns.records {
            let name = wire(&format!("{}.{zone}", record.name));
            match &record.data {
                DnsData::A(address) => forward.add(&name, kind::A, &address.octets()),
                DnsData::Cname(target) => forward.add(&name, kind::CNAME, &wire(target.as_str())),
                DnsData::Txt(text) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "the check allows at most 255 bytes"
                    )]
                    let data = [&[text.len() as u8], text.as_bytes()].concat();
                    forward.add(&name, kind::TXT, &data);
                }
            }
        }
        let mut zones = vec![forward.build()];
        for apex in reverse_apexes(site.lan.subnet) {
            let mut reverse = Builder::new(&apex, &primary, serial);
            for (address, names) in &pointers {
                let name = reverse_name(*address);
                if name.ends_with(&reverse.zone.apex) {
                    for target in names {
                        reverse.add(&name, kind::PTR, &wire(target));
                    }
                }
            }
            zones.push(reverse.build());
        }
        Self {
            own: zones,
            subnet: site.lan.subnet,
            bastion: own.bastion,
            forwarders: site.dns.forwarders.clone(),
        }
    }
}

/// Makes a zone.
struct Builder {
    zone: Zone,
}

impl Builder {
    fn new(apex: &[u8], primary: &[u8], serial: u32) -> Self {
        // The mailbox of the zone's keeper, by convention.
        let mailbox = [b"\x0ahostmaster", apex].concat();
        let mut data = [primary, &mailbox].concat();
        for number in [serial, 7200, 900, 1_209_600, NEGATIVE_TTL] {
            data.extend(number.to_be_bytes());
        }
        let soa = [apex, &fixed(kind::SOA, NEGATIVE_TTL, data.len()), &data].concat();
        let mut builder = Self {
            zone: Zone {
                apex: apex.to_vec(),
                entries: HashMap::new(),
                soa,
            },
        };
        builder.add(apex, kind::SOA, &data);
        builder.add(apex, kind::NS, primary);
        builder
    }

    fn add(&mut self, name: &[u8], kind: u16, data: &[u8]) {
        let answer = self
            .zone
            .entries
            .entry(name.to_vec())
            .or_default()
            .entry(kind)
            .or_default();
        answer.bytes.extend([0xc0, 12]);
        answer.bytes.extend(fixed(kind, TTL, data.len()));
        answer.bytes.extend_from_slice(data);
        answer.count += 1;
        // Every name between this one and the apex exists, if only to have names below it.
        let mut rest = name;
        while let Some(up) = parent(rest).filter(|up| is_below(up, &self.zone.apex)) {
            self.zone.entries.entry(up.to_vec()).or_default();
            rest = up;
        }
    }

    fn build(self) -> Zone {
        self.zone
    }
}

/// Type, class, TTL and length of a record.
fn fixed(kind: u16, ttl: u32, length: usize) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX);
    [
        &kind.to_be_bytes()[..],
        &[0, 1],
        &ttl.to_be_bytes(),
        &length.to_be_bytes(),
    ]
    .concat()
}

/// The reverse zones of a subnet: one for each /24 it touches, or the one of its octets if it is larger than
/// a /16. A subnet smaller than a /24 gets the whole octet's zone: the addresses are private, and nobody
/// else answers for their neighbors.
fn reverse_apexes(subnet: Subnet) -> Vec<Vec<u8>> {
    let [a, b, c, _] = subnet.network().octets();
    match subnet.prefix() {
        24..=32 => vec![wire(&format!("{c}.{b}.{a}.in-addr.arpa"))],
        16..24 => {
            let zones = 1_u16 << (24 - subnet.prefix());
            (0..zones)
                .map(|n| wire(&format!("{}.{b}.{a}.in-addr.arpa", u16::from(c) + n)))
                .collect()
        }
        8..16 => {
            let zones = 1_u16 << (16 - subnet.prefix());
            (0..zones)
                .map(|n| wire(&format!("{}.{a}.in-addr.arpa", u16::from(b) + n)))
                .collect()
        }
        _ => vec![wire(&format!("{a}.in-addr.arpa"))],
    }
}
