//! What is done to the clock.

use jiff::SignedDuration;

use super::{
    at, ms, peer,
    upstream::{FINE, Upstream},
};
use crate::{Chosen, Correction, Discipline, Leap, Source, Status, choose};

/// A clock that goes wrong by itself, and does what it is told.
struct FakeClock {
    /// How far it is ahead of true time, in seconds.
    error: f64,
    ppm: f64,
    slewing: f64,
}

impl FakeClock {
    fn pass(&mut self, seconds: f64) {
        self.error += self.ppm * 1e-6 * seconds;
        // About what the kernel's loop does: most of the offset is gone after a few minutes.
        let now = self.slewing * (1.0 - (-seconds / 64.0).exp());
        self.error += now;
        self.slewing -= now;
    }

    fn correct(&mut self, correction: Correction) {
        match correction {
            Correction::Step(by) => {
                self.error += by.as_secs_f64();
                self.slewing = 0.0;
            }
            Correction::Slew { offset, .. } => self.slewing = offset.as_secs_f64(),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
/// Runs a bastion for some hours; what was set, and the largest error at the end of each poll after an hour.
fn run(mut clock: FakeClock, hours: i64, set_by: impl Fn(i64) -> f64) -> (Vec<i64>, f64) {
    let mut source = Source::new(peer(1));
    let mut discipline = Discipline::default();
    let (mut steps, mut worst, mut now) = (vec![], 0.0_f64, 0);
    while now < hours * 3600 {
        clock.error += set_by(now);
        let reading = at(now) + SignedDuration::try_from_secs_f64(clock.error).unwrap();
        let upstream = Upstream {
            ahead: SignedDuration::try_from_secs_f64(-clock.error).unwrap(),
            ..FINE
        };
        upstream.exchange(&mut source, reading).unwrap();
        if let (_, Status::Chosen(chosen)) = choose(&[source.estimate()], &[], reading)
            && let Some(correction) = discipline.decide(&chosen, reading)
        {
            if let Correction::Step(by) = correction {
                steps.push(by.as_secs_f64().round() as i64);
                source.clock_was_set();
            }
            clock.correct(correction);
        }
        if now > 3600 {
            worst = worst.max(clock.error.abs());
        }
        let rest = i64::try_from(source.rest().as_secs()).unwrap();
        for _ in 0..rest {
            clock.pass(1.0);
        }
        now += rest;
    }
    (steps, worst)
}

#[test]
fn a_bastion_without_a_battery_is_set_once_and_then_steered() {
    let clock = FakeClock {
        error: -1_000_000_000.0,
        ppm: 20.0,
        slewing: 0.0,
    };
    let (steps, worst) = run(clock, 24, |_| 0.0);
    assert_eq!(steps, [1_000_000_000]);
    assert!(worst < 0.05, "{worst} s off");
}

#[test]
fn a_clock_that_someone_sets_by_an_hour_is_set_back_when_the_sources_insist() {
    let clock = FakeClock {
        error: 0.010,
        ppm: 0.0,
        slewing: 0.0,
    };
    let by_hand = |now: i64| if (7200..8224).contains(&now) { 3600.0 } else { 0.0 };
    let done = std::cell::Cell::new(false);
    let (steps, _) = run(clock, 6, |now| {
        let by = by_hand(now);
        if by == 0.0 || done.replace(true) { 0.0 } else { by }
    });
    assert_eq!(
        steps.iter().map(|step| step / 100).collect::<Vec<_>>(),
        [-36],
        "once, by an hour"
    );
}

#[test]
fn a_spike_does_not_set_a_clock_that_runs() {
    let mut discipline = Discipline::default();
    let mut chosen = Chosen {
        peer: peer(1),
        stratum: 2,
        leap: Leap::None,
        offset: ms(1),
        root_delay: ms(0),
        root_dispersion: ms(1),
        at: at(0),
        samples: 8,
    };
    assert!(matches!(
        discipline.decide(&chosen, at(0)),
        Some(Correction::Slew { .. })
    ));
    assert_eq!(discipline.decide(&chosen, at(1)), None, "no sample is used twice");
    chosen = Chosen {
        offset: ms(5_000),
        at: at(64),
        ..chosen
    };
    assert_eq!(discipline.decide(&chosen, at(64)), None);
    chosen = Chosen {
        offset: ms(1),
        at: at(128),
        ..chosen
    };
    assert!(matches!(
        discipline.decide(&chosen, at(128)),
        Some(Correction::Slew { .. })
    ));
    chosen = Chosen {
        offset: ms(5_000),
        at: at(400),
        ..chosen
    };
    assert_eq!(
        discipline.decide(&chosen, at(400)),
        None,
        "the five minutes begin anew"
    );
    assert_eq!(
        discipline.decide(&chosen, at(700)),
        Some(Correction::Step(ms(5_000)))
    );
}
