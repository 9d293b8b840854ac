//! The site's zones, compiled to answers.
//!
//! For every name there is, and every type it has, the bytes after the question stand ready: owner names are
//! a pointer to the question, so they have the letter case of whoever asks. Names that do not exist get the
//! zone's SOA, whose place in the answer is the same for all.

mod compile;
mod name;

use std::{collections::HashMap, net::Ipv4Addr};

use faros_model::net::Subnet;

use self::name::{is_below, is_local, parent};
use crate::message::{HEADER, Query, Question, Rcode, TRUNCATED, kind, push_opt, query, with_rcode};

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
            return refuse(out, Rcode::BadVers);
        }
        let Question {
            name,
            kind: asked,
            class,
            ..
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
            Transport::Udp => query.room(),
        };
        let opt = if query.edns.is_some() { 11 } else { 0 };
        if out.len() + opt > room {
            out.truncate(query.end);
            out[2] |= TRUNCATED;
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
