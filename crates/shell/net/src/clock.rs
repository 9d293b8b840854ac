//! The time of day for those who count from it: it does not jump when the clock is set.
//!
//! A bastion may start with a clock that is years off, and hear the time only when nodes are booting already. What
//! was to be so for ten minutes must then neither end at once nor go on for years. So time here goes on as it did
//! when the clock of the machine is set, and follows it only where that runs a little faster or slower.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

/// Up to how much the machine's clock may go wrong between two looks without having been set.
const SLEWED: SignedDuration = SignedDuration::from_secs(2);

/// A clock that does not jump. Clones are the same clock.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<Steps>>);

impl Clock {
    /// What time it is, for deadlines and intervals.
    pub fn now(&self) -> Timestamp {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.read(Timestamp::now(), since_boot())
    }

    /// What the machine's clock shows at a time of this one, for people and for other machines.
    pub fn shown(&self, at: Timestamp) -> Timestamp {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.saturating_add(steps.all).unwrap_or(at)
    }

    /// What time it is by this clock when the machine's shows `shown`.
    pub fn counted(&self, shown: Timestamp) -> Timestamp {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.saturating_sub(steps.all).unwrap_or(shown)
    }
}

/// Time since the machine started, which nobody can set; it goes on while the machine sleeps.
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    // Both are in their range, says the kernel.
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or_default(), nanos.unwrap_or_default())
}

/// By how much the machine's clock was set.
#[derive(Debug, Default)]
struct Steps {
    /// What the clock showed when the machine started, by the last look at it.
    started: Option<Timestamp>,
    /// All steps together.
    all: SignedDuration,
}

impl Steps {
    fn read(&mut self, shows: Timestamp, since_boot: Duration) -> Timestamp {
        let since_boot = SignedDuration::try_from(since_boot).unwrap_or_default();
        let started = shows.saturating_sub(since_boot).unwrap_or(shows);
        let off = self
            .started
            .map_or(SignedDuration::ZERO, |before| started.duration_since(before));
        self.started = Some(started);
        if off.abs() > SLEWED {
            self.all = self.all.saturating_add(off);
        }
        shows.saturating_sub(self.all).unwrap_or(shows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine's clock, and how long the machine runs.
    struct Machine {
        shows: Timestamp,
        up: Duration,
        steps: Steps,
    }

    impl Machine {
        fn new() -> Self {
            Self {
                shows: Timestamp::UNIX_EPOCH,
                up: Duration::from_secs(20),
                steps: Steps::default(),
            }
        }

        fn goes_on(&mut self, real: Duration, shown: Duration) -> Timestamp {
            self.up += real;
            self.shows += shown;
            self.steps.read(self.shows, self.up)
        }

        fn is_set(&mut self, by: SignedDuration) {
            self.shows += by;
        }
    }

    #[test]
    fn time_goes_on_when_the_clock_is_set() {
        let mut machine = Machine::new();
        let second = Duration::from_secs(1);
        let mut before = machine.goes_on(second, second);
        for hours in [1, -1, 490_000, -3, 2] {
            machine.is_set(SignedDuration::from_hours(hours));
            let now = machine.goes_on(second, second);
            assert_eq!(
                now.duration_since(before),
                SignedDuration::from_secs(1),
                "{hours} h"
            );
            before = now;
        }
    }

    #[test]
    fn a_clock_that_runs_too_fast_is_followed() {
        let mut machine = Machine::new();
        let first = machine.goes_on(Duration::ZERO, Duration::ZERO);
        let mut now = first;
        for _ in 0..100 {
            now = machine.goes_on(Duration::from_secs(100), Duration::from_millis(100_050));
        }
        assert_eq!(now.duration_since(first), SignedDuration::from_secs(10_005));
        assert_eq!(now, machine.shows);
    }

    #[test]
    fn what_is_told_is_told_by_the_machines_clock() {
        let clock = Clock::default();
        let now = clock.now();
        assert_eq!((clock.shown(now), clock.counted(now)), (now, now));
        clock.0.lock().unwrap_or_else(PoisonError::into_inner).all = SignedDuration::from_hours(1);
        assert_eq!(
            clock.shown(now).duration_since(now),
            SignedDuration::from_hours(1)
        );
        assert_eq!(clock.counted(clock.shown(now)), now);
    }
}
