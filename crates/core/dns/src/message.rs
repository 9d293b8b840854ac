//! The message's bytes: header, question, EDNS, and walking over records (RFC 1035, RFC 6891).

/// Length of the header.
pub(crate) const HEADER: usize = 12;
/// The bit of the header's third byte that says that the answer was cut off.
pub(crate) const TRUNCATED: u8 = 0x02;
/// Largest answer over UDP: it fits any network without fragments.
const UDP_SIZE: u16 = 1232;
/// What a client takes over UDP that does not speak EDNS (RFC 1035 section 2.3.4).
const UDP_SIZE_WITHOUT_EDNS: usize = 512;
/// Longest name on the wire (RFC 1035 section 3.1).
const MAX_NAME: usize = 255;

/// Types that are spoken of here.
pub(crate) mod kind {
    pub(crate) const A: u16 = 1;
    pub(crate) const NS: u16 = 2;
    pub(crate) const CNAME: u16 = 5;
    pub(crate) const SOA: u16 = 6;
    pub(crate) const PTR: u16 = 12;
    pub(crate) const TXT: u16 = 16;
    pub(crate) const OPT: u16 = 41;
    pub(crate) const IXFR: u16 = 251;
    pub(crate) const AXFR: u16 = 252;
    pub(crate) const ANY: u16 = 255;
}

/// Response codes (RFC 1035 section 4.1.1, RFC 6891 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rcode {
    /// Fine.
    NoError = 0,
    /// The query cannot be read.
    FormErr = 1,
    /// The server cannot answer now.
    ServFail = 2,
    /// There is no such name.
    NxDomain = 3,
    /// The operation is not understood.
    NotImp = 4,
    /// The server will not answer this.
    Refused = 5,
    /// The version of EDNS is not spoken. Its upper bits stand in the OPT record.
    BadVers = 16,
}

/// A query's one question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    /// The name on the wire, in lower case.
    pub name: Vec<u8>,
    /// Its type.
    pub kind: u16,
    /// Its class.
    pub class: u16,
    /// What it says of signatures: answers to questions that differ in this are not the same.
    pub dnssec: Dnssec,
}

/// What a client says of signatures (RFC 4035 section 3.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Dnssec {
    /// It wants them (the DO bit).
    pub wanted: bool,
    /// It checks them itself, and wants what did not pass a check as well (the CD bit).
    pub unchecked: bool,
}

/// A query that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) question: Question,
    /// Where the question ends in the message.
    pub(crate) end: usize,
    /// The largest answer over UDP that the client takes, if it speaks EDNS.
    pub(crate) edns: Option<u16>,
    /// The version of EDNS is one that is not spoken.
    pub(crate) bad_version: bool,
}

impl Query {
    /// The largest answer over UDP.
    pub(crate) fn room(&self) -> usize {
        self.edns
            .map_or(UDP_SIZE_WITHOUT_EDNS, |own| usize::from(own.min(UDP_SIZE)))
    }
}

/// Reads the one question and what is needed of EDNS. `None` if the message cannot be read.
pub(crate) fn query(bytes: &[u8]) -> Option<Query> {
    let header = bytes.first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        return None;
    }
    let (name, at) = plain_name(bytes, HEADER)?;
    let kind = number(bytes, at)?;
    let class = number(bytes, at + 2)?;
    let end = at + 4;
    let mut query = Query {
        question: Question {
            name,
            kind,
            class,
            dnssec: Dnssec {
                wanted: false,
                unchecked: header[3] & 0x10 != 0,
            },
        },
        end,
        edns: None,
        bad_version: false,
    };
    let mut at = end;
    for _ in 0..u32::from(count(6)) + u32::from(count(8)) + u32::from(count(10)) {
        let (_, after) = skip_name(bytes, at)?;
        let kind = number(bytes, after)?;
        let length = usize::from(number(bytes, after + 8)?);
        if kind == kind::OPT {
            // Two OPT records are a broken query (RFC 6891 section 6.1.1).
            if query.edns.is_some() {
                return None;
            }
            query.edns = Some(number(bytes, after + 2)?.max(512));
            query.bad_version = *bytes.get(after + 5)? != 0;
            query.question.dnssec.wanted = *bytes.get(after + 6)? & 0x80 != 0;
        }
        at = after + 10 + length;
        if at > bytes.len() {
            return None;
        }
    }
    Some(query)
}

/// A name without compression, as a question has it, in lower case; and where it ends.
fn plain_name(bytes: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut at = start;
    loop {
        let length = usize::from(*bytes.get(at)?);
        if length == 0 {
            let name = bytes.get(start..=at)?.to_ascii_lowercase();
            return (name.len() <= MAX_NAME).then_some((name, at + 1));
        }
        if length > 63 || at - start > MAX_NAME {
            return None;
        }
        at += 1 + length;
    }
}

/// Where a name that may be compressed ends; whether it was compressed.
pub(crate) fn skip_name(bytes: &[u8], mut at: usize) -> Option<(bool, usize)> {
    loop {
        match *bytes.get(at)? {
            0 => return Some((false, at + 1)),
            length if length & 0xc0 == 0xc0 => return bytes.get(at + 1).map(|_| (true, at + 2)),
            length if length & 0xc0 != 0 => return None,
            length => at += 1 + usize::from(length),
        }
    }
}

pub(crate) fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

/// The query with another id, for a forwarder. `None` if it is no query.
pub fn with_id(query: &[u8], id: u16) -> Option<Vec<u8>> {
    let mut bytes = query.to_vec();
    bytes.get_mut(..2)?.copy_from_slice(&id.to_be_bytes());
    Some(bytes)
}

/// An answer to `query` that has nothing but a response code, and an OPT record where the query has one (RFC 6891
/// section 6.1.1).
pub fn with_rcode(query: &[u8], rcode: Rcode) -> Option<Vec<u8>> {
    let read = self::query(query);
    let end = read.as_ref().map_or(HEADER, |query| query.end);
    let mut bytes = query.get(..end)?.to_vec();
    // Keep the opcode and "recursion desired"; a query that cannot be read is not repeated.
    bytes[2] = 0x80 | (query[2] & 0x79);
    bytes[3] = 0x80 | (rcode as u8 & 0x0f);
    bytes[4..12].fill(0);
    if let Some(query) = read {
        bytes[5] = 1;
        if query.edns.is_some() {
            push_opt(&mut bytes, rcode as u8 >> 4);
        }
    }
    Some(bytes)
}

/// An OPT record that says how much is taken (RFC 6891), with the upper bits of the response code.
pub(crate) fn push_opt(out: &mut Vec<u8>, upper_rcode: u8) {
    let [hi, lo] = UDP_SIZE.to_be_bytes();
    out.extend([0, 0, 41, hi, lo, upper_rcode, 0, 0, 0, 0, 0]);
    count_additional(out, |count| count + 1);
}

/// Changes how many records the message says its last section has.
fn count_additional(message: &mut [u8], change: impl Fn(u16) -> u16) {
    let count = change(number(message, 10).unwrap_or_default());
    message[10..HEADER].copy_from_slice(&count.to_be_bytes());
}

/// A forwarder's answer as the client of `query` gets it over UDP: whole, or with nothing but the word that it was cut
/// off, so that the client asks again over TCP.
pub fn fitted(query: &[u8], answer: Vec<u8>) -> Vec<u8> {
    let room = self::query(query).map_or(UDP_SIZE_WITHOUT_EDNS, |query| query.room());
    if answer.len() <= room {
        return answer;
    }
    let mut short = with_rcode(query, Rcode::NoError).unwrap_or_default();
    if let Some(flags) = short.get_mut(2) {
        *flags |= TRUNCATED;
    }
    short
}

/// An answer that was given to somebody else, with the id of `query` and the letter case of its question; without EDNS if
/// the query has none (RFC 6891 section 7), and with it if it has (section 6.1.1). A refusal without is left as it is: that is
/// how a server says that it does not speak EDNS.
pub fn for_client(query: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    if let Some(asked) = self::query(query)
        && answer.len() >= asked.end
    {
        answer[..2].copy_from_slice(&query[..2]);
        answer[HEADER..asked.end].copy_from_slice(&query[HEADER..asked.end]);
        match (asked.edns, opt(&answer)) {
            (None, Some(Opt::Last(at))) => {
                answer.truncate(at);
                count_additional(&mut answer, |count| count.saturating_sub(1));
            }
            (Some(_), Some(Opt::Missing)) if knows(&answer) => push_opt(&mut answer, 0),
            _ => {}
        }
    }
    answer
}

/// What an answer has of EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opt {
    /// Nothing.
    Missing,
    /// An OPT record that begins there, with nothing behind it, as servers have it.
    Last(usize),
    /// An OPT record, and more behind it, which may be pointed to.
    Amid,
}

/// Looks for the OPT record. `None` if the message cannot be read to its end.
fn opt(answer: &[u8]) -> Option<Opt> {
    let mut at = HEADER;
    for _ in 0..number(answer, 4)? {
        at = skip_name(answer, at)?.1 + 4;
    }
    let mut opt = Opt::Missing;
    for section in [6, 8, 10] {
        for _ in 0..number(answer, section)? {
            let after = skip_name(answer, at)?.1;
            opt = match opt {
                Opt::Missing if section == 10 && number(answer, after)? == kind::OPT => Opt::Last(at),
                Opt::Missing => Opt::Missing,
                Opt::Last(_) | Opt::Amid => Opt::Amid,
            };
            at = after + 10 + usize::from(number(answer, after + 8)?);
        }
    }
    (at == answer.len()).then_some(opt)
}

/// Whether whoever sent this answer knows: there is such a name, or there is none. With any other response code it
/// could not or would not say, and another forwarder may.
pub fn knows(answer: &[u8]) -> bool {
    let rcode = answer.get(3).map(|flags| flags & 0x0f);
    rcode == Some(Rcode::NoError as u8) || rcode == Some(Rcode::NxDomain as u8)
}

/// Whether an answer was cut off.
pub fn is_cut_off(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// Whether `answer` is a forwarder's answer to `query`, asked with `id`: its id, and the very question,
/// letter case included, which is one more thing that a forger would have to guess.
pub fn upstream_answers(query: &[u8], id: u16, answer: &[u8]) -> bool {
    let Some(asked) = self::query(query) else {
        return false;
    };
    answer.len() >= asked.end
        && number(answer, 0) == Some(id)
        && answer[2] & 0x80 != 0
        && number(answer, 4) == Some(1)
        && answer.get(HEADER..asked.end) == query.get(HEADER..asked.end)
}
