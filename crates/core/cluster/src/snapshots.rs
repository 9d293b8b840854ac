//! Snapshots of etcd: when one is due, what it is called, and which are kept.
//!
//! One an hour, as what is lost between two has to be done again by people; the latest half day of them, and one of
//! each day for a week. All of them together have a limit, which is a cluster's at the edge many times over, and the
//! two newest are kept whatever their size.

use std::{collections::BTreeSet, fmt, str::FromStr};

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// So often one is taken.
pub const PERIOD: SignedDuration = SignedDuration::from_hours(1);

/// So many of the newest are kept.
const NEWEST: usize = 12;

/// Of so many days the last one is kept.
const DAYS: i64 = 7;

/// So many bytes all of them may have.
const LIMIT: u64 = 4 << 30;

/// So many are kept even if they are larger than that.
const ALWAYS: usize = 2;

const FORM: &str = "%Y%m%dT%H%M%SZ";

/// A snapshot's name: when it was taken, and of which revision it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// When it was taken; whole seconds.
    pub at: Timestamp,
    /// etcd's revision when it was begun; it may have more.
    pub revision: u64,
}

/// Text is no name of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no name of a snapshot, such as 20261121T173000Z-r4711")]
pub struct NoName;

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_zoned(TimeZone::UTC).strftime(FORM);
        write!(f, "{at}-r{}", self.revision)
    }
}

impl FromStr for Name {
    type Err = NoName;

    fn from_str(text: &str) -> Result<Self, NoName> {
        let (at, revision) = text.split_once("-r").ok_or(NoName)?;
        let at = jiff::civil::DateTime::strptime(FORM, at).map_err(|_| NoName)?;
        let at = at.to_zoned(TimeZone::UTC).map_err(|_| NoName)?.timestamp();
        let revision = revision.parse().map_err(|_| NoName)?;
        let name = Self { at, revision };
        // One way to write it.
        if name.to_string() == text {
            Ok(name)
        } else {
            Err(NoName)
        }
    }
}

/// Whether one is to be taken: one an hour, or one since etcd lost its majority, after which nothing is written. One of
/// the future was taken by a clock that was ahead.
pub fn is_due(there: impl IntoIterator<Item = Name>, lost_at: Option<Timestamp>, now: Timestamp) -> bool {
    let is_fresh = |name: Name| match lost_at {
        None => now.duration_since(name.at) < PERIOD,
        // A name has whole seconds.
        Some(lost_at) => name.at.as_second() >= lost_at.as_second(),
    };
    !there.into_iter().any(|name| name.at <= now && is_fresh(name))
}

/// Those that are not kept, of what there is, with its sizes.
pub fn surplus(there: &[(Name, u64)]) -> Vec<Name> {
    let mut all = there.to_vec();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let Some((newest, _)) = all.first() else {
        return vec![];
    };
    let newest = newest.at;
    let (mut days, mut bytes) = (BTreeSet::new(), 0_u64);
    let mut dropped = Vec::new();
    for (rank, (name, size)) in all.iter().enumerate() {
        let age = newest.duration_since(name.at).as_hours() / 24;
        let is_last_of_its_day = age < DAYS && days.insert(age);
        bytes = bytes.saturating_add(*size);
        let is_wanted = rank < NEWEST || is_last_of_its_day;
        if rank >= ALWAYS && (!is_wanted || bytes > LIMIT) {
            dropped.push(*name);
            bytes -= size;
        }
    }
    dropped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + hours * 3600).unwrap()
    }

    #[test]
    fn a_name_says_when_and_of_what() {
        let name = Name {
            at: at(0),
            revision: 4711,
        };
        assert_eq!(name.to_string(), "20261118T110640Z-r4711");
        assert_eq!("20261118T110640Z-r4711".parse(), Ok(name));
        for text in [
            "",
            "x",
            "20261118T110640Z",
            "20261118T110640Z-r04711",
            "20261118T110640Z-r1.age",
            "../etc-r1",
        ] {
            assert_eq!(text.parse::<Name>(), Err(NoName), "{text}");
        }
    }

    #[test]
    fn one_an_hour_is_due_whatever_the_clock_did() {
        let name = |hours| Name {
            at: at(hours),
            revision: 1,
        };
        assert!(is_due([], None, at(0)));
        assert!(!is_due([name(0)], None, at(0)));
        assert!(is_due([name(0)], None, at(1)));
        assert!(is_due([name(5)], None, at(0)), "the clock was ahead");
    }

    #[test]
    fn one_is_due_once_the_majority_is_lost_and_no_other_while_it_is() {
        let name = |hours| Name {
            at: at(hours),
            revision: 1,
        };
        let lost_at = at(1).saturating_add(SignedDuration::from_millis(600)).unwrap();
        assert!(is_due([name(0)], Some(lost_at), lost_at), "of before");
        assert!(!is_due([name(1)], Some(lost_at), lost_at), "in the same second");
        assert!(!is_due([name(2)], Some(lost_at), at(9)), "hours later");
        assert!(is_due([name(9)], Some(lost_at), at(2)), "the clock was ahead");
    }

    #[test]
    fn half_a_day_and_a_week_are_kept() {
        let all: Vec<(Name, u64)> = (0..24 * 30)
            .map(|hours| {
                (
                    Name {
                        at: at(hours),
                        revision: 1,
                    },
                    1000,
                )
            })
            .collect();
        let dropped = surplus(&all);
        let kept: Vec<i64> = all
            .iter()
            .filter(|(name, _)| !dropped.contains(name))
            .map(|(name, _)| at(24 * 30 - 1).duration_since(name.at).as_hours())
            .collect();
        assert_eq!(
            kept,
            [144, 120, 96, 72, 48, 24, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
        );
    }

    proptest! {
        #[test]
        fn the_two_newest_stay_and_the_rest_has_a_limit(
            rows in prop::collection::btree_map(0_i64..2000, 0_u64..6 << 30, 0..40),
        ) {
            let all: Vec<(Name, u64)> = rows.iter().map(|(hours, size)| (Name { at: at(*hours), revision: 1 }, *size)).collect();
            let dropped = surplus(&all);
            let kept: Vec<_> = all.iter().rev().filter(|(name, _)| !dropped.contains(name)).collect();
            prop_assert_eq!(kept.iter().take(2).count(), all.len().min(2));
            prop_assert!(all.iter().rev().take(2).all(|(name, _)| !dropped.contains(name)));
            prop_assert!(kept.len() <= NEWEST + 7);
            let bytes: u64 = kept.iter().map(|(_, size)| size).sum();
            prop_assert!(kept.len() <= ALWAYS || bytes <= LIMIT.max(all.iter().rev().take(2).map(|(_, size)| size).sum()));
            // What is kept is kept the next time.
            let kept: Vec<_> = kept.into_iter().copied().collect();
            prop_assert!(surplus(&kept).is_empty());
        }

        #[test]
        fn a_name_is_read_as_it_was_written(seconds in 0_i64..4_000_000_000, revision in any::<u64>()) {
            let name = Name { at: Timestamp::from_second(seconds).unwrap(), revision };
            prop_assert_eq!(name.to_string().parse(), Ok(name));
        }
    }
}
