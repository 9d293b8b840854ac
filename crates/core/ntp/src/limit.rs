//! How often one client is answered (RFC 5905 section 7.4, RFC 8633 section 4.3).
//!
//! A bucket of answers for each address, in a table of fixed size: who floods with forged addresses costs no
//! memory, and makes the table forget others at worst, which is on their side. Who has used its answers up is told
//! so by a kiss-o'-death now and then, and gets nothing otherwise.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

/// Places in the table; a power of two. Addresses of one LAN differ in their low bits.
const PLACES: usize = 4096;
/// Answers at once: eight restarts of a client that begins with a burst of eight.
const BURST: i64 = 64;
/// How long it takes to earn another.
const EVERY: SignedDuration = SignedDuration::from_secs(1);
/// How long a client that was told to slow down is not told again.
const KISS_EVERY: SignedDuration = SignedDuration::from_secs(2);

/// What a client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowed {
    Answer,
    Kiss,
    Nothing,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    client: Ipv4Addr,
    /// When the bucket is full again; that far in the future it lacks answers.
    full_at: Timestamp,
    kissed: Option<Timestamp>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Limit(Box<[Option<Bucket>]>);

impl Default for Limit {
    fn default() -> Self {
        Self(vec![None; PLACES].into_boxed_slice())
    }
}

impl Limit {
    /// Counts one question of a client.
    pub(crate) fn ask(&mut self, client: Ipv4Addr, now: Timestamp) -> Allowed {
        let place = &mut self.0[client.to_bits() as usize % PLACES];
        let room = EVERY * i32::try_from(BURST).unwrap_or(i32::MAX);
        let fresh = Bucket {
            client,
            full_at: now,
            kissed: None,
        };
        let bucket = place.get_or_insert(fresh);
        // A clock that was set back must not lock anyone out.
        if bucket.client != client || bucket.full_at.duration_since(now) > room {
            *bucket = fresh;
        }
        let full_at = bucket.full_at.max(now).saturating_add(EVERY).unwrap_or(now);
        if full_at.duration_since(now) <= room {
            bucket.full_at = full_at;
            return Allowed::Answer;
        }
        let told = bucket
            .kissed
            .is_some_and(|at| now.duration_since(at).abs() < KISS_EVERY);
        if told {
            return Allowed::Nothing;
        }
        bucket.kissed = Some(now);
        Allowed::Kiss
    }
}
