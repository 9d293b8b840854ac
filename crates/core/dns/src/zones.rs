//! The site's zones, compiled to answers.
//!
//! For every name there is, and every type it has, the bytes after the question stand ready: owner names are
//! a pointer to the question, so they have the letter case of whoever asks. Names that do not exist get the
//! zone's SOA, whose place in the answer is the same for all.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use faros_model::{
    ids::Generation,
    net::Subnet,
    site::{DnsData, Site},
};

use crate::message::{HEADER, Query, Question, Rcode, kind, query, with_rcode};

/// How long others may keep an answer, in seconds. Addresses hardly ever move, and a change is seen soon.
const TTL: u32 = 300;
/// How long others may keep that something is not there (RFC 2308).
const NEGATIVE_TTL: u32 = 60;
/// Largest answer over UDP: it fits any network without fragments.
const UDP_SIZE: u16 = 1232;

/// Over which protocol a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram: answers are cut to what the client takes.
    Udp,
    /// On a stream: answers may be long.
    Tcp,
}

/// What becomes of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was written.
    Answered(Rcode),
    /// It is for the forwarders.
    Forward(Question),
    /// No answer, for this reason.
    Silent(Silent),
}

/// Why a query gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// It is not even a header, or is itself an answer.
    NoQuery,
    /// It does not come from the LAN.
    Outsider,
}

impl Silent {
    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::NoQuery => "dns_no_query",
            Self::Outsider => "dns_outsider",
        }
    }
}

/// Records of one type at one name, as they stand after the question.
#[derive(Debug, Clone, Default)]
struct Answer {
    bytes: Vec<u8>,
    count: u16,
}

/// What a name has; nothing at all for a name that only has names below it.
type Entry = HashMap<u16, Answer>;

/// One zone that the bastion has authority for.
#[derive(Debug, Clone)]
struct Zone {
    apex: Vec<u8>,
    entries: HashMap<Vec<u8>, Entry>,
    /// The SOA as the authority section of a negative answer: with an owner name of its own.
    soa: Vec<u8>,
}

/// All zones of a site.
#[derive(Debug, Clone)]
pub struct Zones {
    own: Vec<Zone>,
    subnet: Subnet,
    bastion: Ipv4Addr,
    forwarders: Vec<Ipv4Addr>,
}

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

    /// Who answers for the rest of the world.
    pub fn forwarders(&self) -> &[Ipv4Addr] {
        &self.forwarders
    }

    /// Whether this client may ask at all.
    pub fn serves(&self, from: Ipv4Addr) -> bool {
        self.subnet.contains(from) || from == self.bastion || from.is_loopback()
    }

    /// Answers a query into `out`, or says who should.
    pub fn answer(&self, from: Ipv4Addr, transport: Transport, bytes: &[u8], out: &mut Vec<u8>) -> Outcome {
        out.clear();
        if bytes.len() < HEADER || bytes[2] & 0x80 != 0 {
            return Outcome::Silent(Silent::NoQuery);
        }
        if !self.serves(from) {
            return Outcome::Silent(Silent::Outsider);
        }
        let refuse = |out: &mut Vec<u8>, rcode| {
            out.extend(with_rcode(bytes, rcode).unwrap_or_default());
            Outcome::Answered(rcode)
        };
        if bytes[2] & 0x78 != 0 {
            return refuse(out, Rcode::NotImp);
        }
        let Some(query) = query(bytes) else {
            return refuse(out, Rcode::FormErr);
        };
        if query.bad_version {
            // BADVERS is 16: its upper bits stand in the OPT record (RFC 6891 section 6.1.3).
            out.extend(with_rcode(bytes, Rcode::NoError).unwrap_or_default());
            out[3] &= 0xf0;
            push_opt(out, 1);
            return Outcome::Answered(Rcode::NoError);
        }
        let Question {
            name,
            kind: asked,
            class,
        } = &query.question;
        if *class != 1 || matches!(*asked, kind::AXFR | kind::IXFR | kind::OPT) {
            return refuse(out, Rcode::Refused);
        }
        match self.own.iter().find(|zone| is_below(name, &zone.apex)) {
            Some(zone) => zone.answer(bytes, &query, transport, out),
            None if is_local(name) => refuse(out, Rcode::NxDomain),
            None if self.forwarders.is_empty() => refuse(out, Rcode::Refused),
            None => Outcome::Forward(query.question),
        }
    }
}

impl Zone {
    fn answer(&self, bytes: &[u8], query: &Query, transport: Transport, out: &mut Vec<u8>) -> Outcome {
        out.extend_from_slice(&bytes[..query.end]);
        // An answer with authority; recursion is to be had here.
        out[2] = 0x84 | (bytes[2] & 0x01);
        out[3] = 0x80;
        out[4..12].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
        let Question {
            name, kind: asked, ..
        } = &query.question;
        let entry = self.entries.get(name).or_else(|| self.wildcard(name));
        let (answer, alias) = match entry {
            None => (None, None),
            Some(entry) => {
                let own = match *asked {
                    // One type stands for all (RFC 8482).
                    kind::ANY => [kind::A, kind::CNAME, kind::PTR, kind::TXT, kind::SOA]
                        .iter()
                        .find_map(|kind| entry.get(kind)),
                    kind => entry.get(&kind),
                };
                (own, entry.get(&kind::CNAME))
            }
        };
        let mut count = 0;
        if let Some(answer) = answer.or(alias) {
            out.extend_from_slice(&answer.bytes);
            count = answer.count;
            if answer_is_alias(answer, alias) && *asked != kind::CNAME {
                count += self.follow(answer, *asked, out);
            }
        }
        out[6..8].copy_from_slice(&count.to_be_bytes());
        let mut rcode = Rcode::NoError;
        if count == 0 {
            if entry.is_none() {
                rcode = Rcode::NxDomain;
                out[3] |= rcode as u8;
            }
            out.extend_from_slice(&self.soa);
            out[9] = 1;
        }
        let room = match transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => query.edns.map_or(512, |own| usize::from(own.min(UDP_SIZE))),
        };
        let opt = if query.edns.is_some() { 11 } else { 0 };
        if out.len() + opt > room {
            out.truncate(query.end);
            out[2] |= 0x02;
            out[6..12].fill(0);
        }
        if query.edns.is_some() {
            push_opt(out, 0);
        }
        Outcome::Answered(rcode)
    }

    /// The wildcard that stands for a name that does not exist (RFC 4592): the one below its closest
    /// encloser, that is the longest of its ancestors that exists.
    fn wildcard(&self, name: &[u8]) -> Option<&Entry> {
        let mut rest = name;
        while let Some(parent) = parent(rest) {
            if self.entries.contains_key(parent) {
                let wildcard = [b"\x01*", parent].concat();
                return self.entries.get(&wildcard);
            }
            rest = parent;
        }
        None
    }

    /// What an alias leads to, inside of this zone: the records are added with owner names of their own.
    fn follow(&self, alias: &Answer, asked: u16, out: &mut Vec<u8>) -> u16 {
        // Pointer, type, class, TTL, length: the target begins after twelve bytes.
        let Some(target) = alias.bytes.get(12..) else {
            return 0;
        };
        let Some(answer) = self.entries.get(target).and_then(|entry| entry.get(&asked)) else {
            return 0;
        };
        let mut at = 0;
        while at < answer.bytes.len() {
            let length = usize::from(u16::from_be_bytes([answer.bytes[at + 10], answer.bytes[at + 11]]));
            out.extend_from_slice(target);
            out.extend_from_slice(&answer.bytes[at + 2..at + 12 + length]);
            at += 12 + length;
        }
        answer.count
    }
}

fn answer_is_alias(answer: &Answer, alias: Option<&Answer>) -> bool {
    alias.is_some_and(|alias| std::ptr::eq(alias, answer))
}

/// An OPT record that says how much is taken (RFC 6891), with the upper bits of the response code.
fn push_opt(out: &mut Vec<u8>, upper_rcode: u8) {
    let [hi, lo] = UDP_SIZE.to_be_bytes();
    out.extend([0, 0, 41, hi, lo, upper_rcode, 0, 0, 0, 0, 0]);
    out[11] = 1;
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

/// A name as it is on the wire, in lower case.
fn wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "labels of the site have at most 63 bytes"
        )]
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes().map(|b| b.to_ascii_lowercase()));
    }
    bytes.push(0);
    bytes
}

fn parent(name: &[u8]) -> Option<&[u8]> {
    match name {
        [] | [0, ..] => None,
        [length, rest @ ..] => rest.get(usize::from(*length)..),
    }
}

fn is_below(name: &[u8], apex: &[u8]) -> bool {
    let mut rest = Some(name);
    while let Some(own) = rest {
        if own == apex {
            return true;
        }
        if own.len() <= apex.len() {
            return false;
        }
        rest = parent(own);
    }
    false
}

fn reverse_name(address: Ipv4Addr) -> Vec<u8> {
    let [a, b, c, d] = address.octets();
    wire(&format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
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

/// Names that no forwarder is asked for (RFC 6303, RFC 6761, RFC 8375): they are of this network or of none.
fn is_local(name: &[u8]) -> bool {
    const LOCAL: &[&str] = &[
        "localhost",
        "local",
        "invalid",
        "test",
        "onion",
        "home.arpa",
        "internal",
        "10.in-addr.arpa",
        "168.192.in-addr.arpa",
        "254.169.in-addr.arpa",
        "127.in-addr.arpa",
        "0.in-addr.arpa",
    ];
    LOCAL.iter().any(|own| is_below(name, &wire(own)))
        || (16..32).any(|octet| is_below(name, &wire(&format!("{octet}.172.in-addr.arpa"))))
}
