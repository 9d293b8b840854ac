//! Which refusals were told lately. A node that waits for its disk asks twice a second, so an equal refusal within a
//! minute is counted and told with the next one.

use std::{collections::BTreeMap, net::Ipv4Addr};

use jiff::{SignedDuration, Timestamp};

use crate::Refusal;

/// How long an equal refusal is not told again.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

/// So many are remembered; whoever has more addresses than that is heard of in the counters alone.
const MOST: usize = 4096;

/// The refusals that were told lately.
#[derive(Debug, Clone)]
pub struct Told<What = Refusal> {
    last: BTreeMap<(Ipv4Addr, What), Last>,
    /// When room was made, which takes longer than all the rest.
    tidied: Option<Timestamp>,
}

#[derive(Debug, Clone)]
struct Last {
    at: Timestamp,
    repeated: u64,
}

impl<What> Default for Told<What> {
    fn default() -> Self {
        Self {
            last: BTreeMap::new(),
            tidied: None,
        }
    }
}

impl<What: Ord> Told<What> {
    /// Takes note of a refusal: `None` if it need not be told, else how often it was repeated since it last was.
    pub fn refused(&mut self, from: Ipv4Addr, what: What, now: Timestamp) -> Option<u64> {
        let is_recent = |then: Timestamp| {
            let age = now.duration_since(then);
            // A clock that was set back must not keep refusals quiet for long.
            !age.is_negative() && age < AGAIN
        };
        let key = (from, what);
        if let Some(last) = self.last.get_mut(&key) {
            if is_recent(last.at) {
                last.repeated += 1;
                return None;
            }
            last.at = now;
            return Some(std::mem::take(&mut last.repeated));
        }
        if self.last.len() >= MOST && !self.tidied.is_some_and(is_recent) {
            self.tidied = Some(now);
            self.last.retain(|_, last| is_recent(last.at));
        }
        if self.last.len() >= MOST {
            return None;
        }
        self.last.insert(key, Last { at: now, repeated: 0 });
        Some(0)
    }
}
