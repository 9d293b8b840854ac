//! How the clock is put right, where farosd keeps it.
//!
//! The kernel's own phase-locked loop does the steering (RFC 5905 appendix A.5.5, `adjtimex(2)`): it is told an
//! offset now and then and goes on alone, so a daemon that dies leaves no clock that runs off. A clock that is
//! far off is set: at once when the daemon starts, for a bastion without a battery begins in 1970, and later only
//! if the sources say so for five minutes on end.

use jiff::{SignedDuration, Timestamp};

use crate::{Chosen, Leap};

/// Further off than this, the clock is set and not steered (RFC 5905's STEPT).
pub(crate) const STEP: SignedDuration = SignedDuration::from_millis(128);
/// For how long sources must say so.
const PERSISTS: SignedDuration = SignedDuration::from_secs(300);
/// On how many samples the first setting stands.
const ENOUGH: usize = 3;

/// What is to be done to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// Set it: add this.
    Step(SignedDuration),
    /// Steer it by this, with the loop's time constant; say how far it may be off, and which leap is coming.
    Slew {
        /// What it is behind.
        offset: SignedDuration,
        /// How sluggish the loop is to be, as a power of two (`adjtimex(2)`).
        time_constant: u8,
        /// How far it may be off.
        max_error: SignedDuration,
        /// Which leap second is coming.
        leap: Leap,
    },
}

/// What was done to the clock so far.
#[derive(Debug, Clone, Default)]
pub struct Discipline {
    /// The latest sample that was used: none is used twice.
    used: Option<Timestamp>,
    steered: bool,
    far_off_since: Option<Timestamp>,
}

impl Discipline {
    /// What is to be done after a measurement, if anything.
    pub fn decide(&mut self, chosen: &Chosen, now: Timestamp) -> Option<Correction> {
        if self.used.is_some_and(|used| chosen.at <= used && used <= now) {
            return None;
        }
        if chosen.offset.abs() > STEP {
            let since = *self.far_off_since.get_or_insert(now);
            let persists = now.duration_since(since) >= PERSISTS;
            // The clock was set back meanwhile, by someone else.
            if now < since {
                self.far_off_since = Some(now);
            }
            let first = !self.steered && chosen.samples >= ENOUGH;
            if !first && !persists {
                return None;
            }
            *self = Self {
                steered: true,
                ..Self::default()
            };
            return Some(Correction::Step(chosen.offset));
        }
        let since = self.used.map(|used| chosen.at.duration_since(used).as_secs());
        self.used = Some(chosen.at);
        self.steered = true;
        self.far_off_since = None;
        Some(Correction::Slew {
            offset: chosen.offset,
            // The rarer the measurements, the slower: 2 for one a minute, 6 for one each quarter of an hour.
            time_constant: match since {
                Some(seconds @ 64..) => u8::try_from(seconds.ilog2()).map_or(6, |log| log - 4).min(6),
                Some(_) | None => 2,
            },
            max_error: chosen.root_delay / 2 + chosen.root_dispersion + chosen.offset.abs(),
            leap: chosen.leap,
        })
    }
}
