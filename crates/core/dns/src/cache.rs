//! Answers of forwarders, kept for as long as they say (RFC 2181, RFC 2308), within bounds.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::message::{HEADER, Question, is_cut_off, kind, knows, number, skip_name};

/// Most bytes of answers that are kept.
const MAX_BYTES: usize = 4 << 20;
/// Longest that anything is kept, in seconds.
const MAX_TTL: u32 = 86_400;
/// Longest that an absence is kept, in seconds (RFC 2308 section 5 advises one to three hours).
const MAX_NEGATIVE_TTL: u32 = 3_600;
/// How long an old answer may still be given when no forwarder answers (RFC 8767), in seconds.
const STALE: i64 = 86_400;
/// The TTL of such an answer (RFC 8767 section 4).
const STALE_TTL: u32 = 30;

/// An answer from the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cached {
    /// It is good.
    Fresh(Vec<u8>),
    /// It is past its time: good only if nobody can be asked.
    Stale(Vec<u8>),
}

#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    ttls: Vec<usize>,
    at: Timestamp,
    until: Timestamp,
}

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    kept: HashMap<Question, Kept>,
    bytes: usize,
}

impl Cache {
    /// Keeps an answer to `question`, if it may be kept.
    pub fn put(&mut self, now: Timestamp, question: Question, answer: &[u8]) {
        let Some((ttl, ttls)) = lifetime(answer).filter(|(ttl, _)| *ttl > 0) else {
            return;
        };
        if answer.len() > MAX_BYTES / 16 {
            return;
        }
        if self.bytes + answer.len() > MAX_BYTES {
            self.evict(now);
        }
        let until = now + SignedDuration::from_secs(i64::from(ttl));
        self.bytes += answer.len();
        let kept = Kept {
            bytes: answer.to_vec(),
            ttls,
            at: now,
            until,
        };
        if let Some(old) = self.kept.insert(question, kept) {
            self.bytes -= old.bytes.len();
        }
    }

    /// The answer to a question, its times to live counted down. The caller puts its own id and question in.
    pub fn get(&self, now: Timestamp, question: &Question) -> Option<Cached> {
        let kept = self.kept.get(question)?;
        let stale = now >= kept.until;
        if stale && now.duration_since(kept.until).as_secs() > STALE {
            return None;
        }
        let mut bytes = kept.bytes.clone();
        let age = u32::try_from(now.duration_since(kept.at).as_secs()).unwrap_or(0);
        for at in &kept.ttls {
            let field: [u8; 4] = bytes.get(*at..at + 4)?.try_into().ok()?;
            let left = if stale {
                STALE_TTL
            } else {
                u32::from_be_bytes(field).min(MAX_TTL).saturating_sub(age)
            };
            bytes[*at..at + 4].copy_from_slice(&left.to_be_bytes());
        }
        Some(if stale {
            Cached::Stale(bytes)
        } else {
            Cached::Fresh(bytes)
        })
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Makes room: what is past its time goes first, then whatever ends soonest.
    fn evict(&mut self, now: Timestamp) {
        self.kept.retain(|_, kept| kept.until > now);
        self.bytes = self.kept.values().map(|kept| kept.bytes.len()).sum();
        if self.bytes > MAX_BYTES / 2 {
            let mut ends: Vec<Timestamp> = self.kept.values().map(|kept| kept.until).collect();
            ends.sort_unstable();
            let middle = ends.get(ends.len() / 2).copied().unwrap_or(now);
            self.kept.retain(|_, kept| kept.until > middle);
            self.bytes = self.kept.values().map(|kept| kept.bytes.len()).sum();
        }
    }
}

/// For how long an answer may be kept, in seconds, and where its times to live stand. `None` if it may not
/// be kept at all: it was cut off, failed, or cannot be read.
pub(crate) fn lifetime(answer: &[u8]) -> Option<(u32, Vec<usize>)> {
    let count = |at| number(answer, at).map(u32::from);
    let rcode = answer.get(3)? & 0x0f;
    if is_cut_off(answer) || !knows(answer) || count(4)? != 1 {
        return None;
    }
    let (_, after) = skip_name(answer, HEADER)?;
    let mut at = after + 4;
    let (answers, authority, additional) = (count(6)?, count(8)?, count(10)?);
    let mut ttls = Vec::new();
    let mut least = MAX_TTL;
    let negative = rcode == 3 || answers == 0;
    // Without a SOA an absence has no lifetime (RFC 2308 section 5).
    let mut has_soa = false;
    for idx in 0..answers + authority + additional {
        let (_, after) = skip_name(answer, at)?;
        let kind = number(answer, after)?;
        let length = usize::from(number(answer, after + 8)?);
        let data = answer.get(after + 10..after + 10 + length)?;
        if kind != kind::OPT {
            let field: [u8; 4] = answer.get(after + 4..after + 8)?.try_into().ok()?;
            let ttl = u32::from_be_bytes(field);
            // RFC 2181 section 8: the upper bit set means zero.
            let ttl = if ttl > i32::MAX.cast_unsigned() { 0 } else { ttl };
            ttls.push(after + 4);
            if negative && kind == kind::SOA {
                has_soa = true;
                let minimum: [u8; 4] = data.get(length.checked_sub(4)?..)?.try_into().ok()?;
                least = least.min(u32::from_be_bytes(minimum)).min(MAX_NEGATIVE_TTL);
            }
            if idx < answers + authority {
                least = least.min(ttl);
            }
        }
        at = after + 10 + length;
    }
    (!negative || has_soa).then_some((least, ttls))
}
