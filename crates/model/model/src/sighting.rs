//! What a service saw, before anyone has said which node and boot session it belongs to.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::{event::EventKind, ids::MacAddr};

/// One thing that a service of the bastion saw or did. The boot tracker turns it into events.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// When.
    pub at: Timestamp,
    /// The machine's MAC, where the service knows it.
    pub mac: Option<MacAddr>,
    /// The machine's address, where the service knows it.
    pub address: Option<Ipv4Addr>,
    /// What.
    pub kind: EventKind,
    /// Facts about it, as [`EventKind`] describes.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

/// Bounds what is told of machines that are not in the site file: one that invents a MAC for every packet must not wash
/// the nodes' history away, nor keep a service busy with telling.
#[derive(Debug, Clone, Default)]
pub struct StrangersQuota {
    since: Option<Timestamp>,
    taken: u32,
}

impl StrangersQuota {
    /// So much may be told in one window.
    const MOST: u32 = 600;
    /// How long the window is that opens with the first thing told.
    const WINDOW: SignedDuration = SignedDuration::from_mins(1);

    /// Whether one thing more may be told, of six hundred a minute; it counts then. A clock that was set back opens a new window.
    pub fn take(&mut self, now: Timestamp) -> bool {
        let is_open = |since: Timestamp| now >= since && now.duration_since(since) < Self::WINDOW;
        if !self.since.is_some_and(is_open) {
            *self = Self {
                since: Some(now),
                taken: 0,
            };
        }
        let may = self.taken < Self::MOST;
        self.taken += u32::from(may);
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_there_again_after_a_minute_and_when_the_clock_was_set_back() {
        let (mut quota, then) = (StrangersQuota::default(), Timestamp::UNIX_EPOCH);
        let mut taken = |at: Timestamp| (0..1000).filter(|_| quota.take(at)).count();
        assert_eq!(taken(then + SignedDuration::from_hours(1)), 600);
        assert_eq!(taken(then + SignedDuration::from_mins(61)), 600);
        assert_eq!(taken(then + SignedDuration::from_secs(61 * 60 + 59)), 0);
        assert_eq!(taken(then), 600);
    }
}
