//! What sources are worth.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::{
    at, ms, peer,
    upstream::{FINE, Upstream},
};
use crate::{Estimate, Leap, Mode, NtpTime, Packet, Short, Source, Status, Unfit, Verdict, choose};

#[test]
fn a_source_tells_the_offset_and_the_delay_of_its_best_sample() {
    let mut source = Source::new(peer(1));
    assert_eq!(source.estimate(), Err(Verdict::Asking));
    let fast = Upstream {
        ahead: ms(40),
        ..FINE
    };
    let queued = Upstream {
        there: ms(90),
        ..fast
    };
    for (idx, upstream) in [fast, queued, queued, queued].iter().enumerate() {
        assert_eq!(
            upstream.exchange(&mut source, at(2 * i64::try_from(idx).unwrap())),
            Ok(())
        );
    }
    let estimate = source.estimate().unwrap();
    assert!((estimate.offset - ms(40)).abs() < SignedDuration::from_micros(1));
    assert!((estimate.delay - ms(10)).abs() < SignedDuration::from_micros(1));
    assert!(estimate.jitter > ms(30), "{:?}", estimate.jitter);
    assert_eq!((estimate.samples, source.reach()), (4, 0b1111));
}

#[test]
fn only_the_answer_to_the_question_counts_and_only_once() {
    let mut source = Source::new(peer(1));
    let question = source.ask(42, at(0));
    let good = FINE.answer(&question, at(0));
    let wrong = Packet {
        origin: NtpTime(43),
        ..good
    };
    let symmetric = Packet {
        mode: Mode::Other(1),
        ..good
    };
    for bogus in [wrong, symmetric] {
        assert_eq!(source.answered(&bogus.encode(), at(1)), Err(Unfit::Bogus));
    }
    assert_eq!(source.answered(&good.encode(), at(0) + ms(10)), Ok(()));
    assert_eq!(
        source.answered(&good.encode(), at(0) + ms(11)),
        Err(Unfit::Bogus),
        "again"
    );
}

#[test]
fn a_source_that_knows_no_time_is_no_source() {
    for (what, spoil) in [
        (
            "leap",
            (|p: Packet| Packet {
                leap: Leap::Unknown,
                ..p
            }) as fn(Packet) -> Packet,
        ),
        ("stratum 0", |p| Packet { stratum: 0, ..p }),
        ("stratum 16", |p| Packet { stratum: 16, ..p }),
        ("far", |p| Packet {
            root_dispersion: Short(16 << 16),
            ..p
        }),
    ] {
        let mut source = Source::new(peer(1));
        for idx in 0..4 {
            FINE.exchange(&mut source, at(idx)).unwrap();
        }
        let question = source.ask(42, at(2));
        let answer = spoil(FINE.answer(&question, at(2))).encode();
        assert_eq!(
            source.answered(&answer, at(2)),
            Err(Unfit::Unsynchronized),
            "{what}"
        );
        assert_eq!(source.estimate(), Err(Verdict::Unsynchronized), "{what}");
    }
}

#[test]
fn a_source_that_asks_for_peace_gets_it() {
    let mut source = Source::new(peer(1));
    for (code, seconds) in [(b"RATE", 128), (b"RATE", 256), (b"DENY", 1024)] {
        let question = source.ask(42, at(0));
        let kiss = Packet {
            stratum: 0,
            reference: *code,
            ..FINE.answer(&question, at(0))
        };
        assert_eq!(source.answered(&kiss.encode(), at(0)), Err(Unfit::Kissed));
        assert_eq!(source.rest().as_secs(), seconds);
    }
}

#[test]
fn a_source_is_asked_in_a_burst_and_then_rarely_and_is_given_up_after_eight_losses() {
    let mut source = Source::new(peer(1));
    let mut rests = Vec::new();
    for idx in 0..40 {
        FINE.exchange(&mut source, at(idx * 64)).unwrap();
        rests.push(source.rest().as_secs());
    }
    assert_eq!(rests[..5], [2, 2, 2, 64, 64]);
    assert_eq!(rests[39], 1024);
    for lost in 0..8 {
        assert!(source.estimate().is_ok(), "{lost} losses are none yet");
        source.ask(1, at(5000));
        assert_eq!(source.rest().as_secs(), if lost < 7 { 8 } else { 1024 });
    }
    assert_eq!(source.estimate(), Err(Verdict::Unreachable));
}

#[test]
fn a_clock_that_was_set_makes_what_was_measured_before_worthless() {
    let mut source = Source::new(peer(1));
    for idx in 0..8 {
        FINE.exchange(&mut source, at(idx * 64)).unwrap();
    }
    let hour = Upstream {
        ahead: ms(3_600_000),
        ..FINE
    };
    hour.exchange(&mut source, at(600)).unwrap();
    let estimate = source.estimate().unwrap();
    assert_eq!(((estimate.offset + ms(1)).as_secs(), estimate.samples), (3600, 1));
    source.clock_was_set();
    assert_eq!(
        source.estimate(),
        Err(Verdict::Asking),
        "nothing is known until it is measured again"
    );
    assert_eq!(source.rest().as_secs(), 2);
    hour.exchange(&mut source, at(602)).unwrap();
    // A packet that was held up is not mistaken for that.
    let held_up = Upstream {
        there: ms(2000),
        ..hour
    };
    held_up.exchange(&mut source, at(664)).unwrap();
    assert_eq!((source.estimate().unwrap().offset + ms(1)).as_secs(), 3600);
}

#[expect(clippy::unnecessary_wraps, reason = "beside sources that have none")]
fn estimate(last: u8, offset: i64, error: i64) -> Result<Estimate, Verdict> {
    Ok(Estimate {
        peer: peer(last),
        stratum: 2,
        leap: Leap::None,
        reference: [192, 0, 2, 200],
        offset: ms(offset),
        delay: ms(1),
        jitter: ms(0),
        root_delay: ms(0),
        root_dispersion: ms(error),
        at: at(0),
        samples: 4,
    })
}

#[test]
fn the_majority_is_believed() {
    use Verdict::{Agrees, Asking, Best, Disagrees, TooFar, Unreachable};
    let own = [peer(250)];
    for (what, sources, verdicts, offset) in [
        ("one", vec![estimate(1, 7, 5)], vec![Best], Some(7)),
        (
            "a liar among three",
            vec![estimate(1, 1, 5), estimate(2, 9_000, 5), estimate(3, 1, 4)],
            vec![Agrees, Disagrees, Best],
            Some(1),
        ),
        (
            "two that contradict each other",
            vec![estimate(1, 0, 5), estimate(2, 900, 5)],
            vec![Disagrees; 2],
            None,
        ),
        (
            "two that know little contradict nobody",
            vec![estimate(1, 0, 5), estimate(2, 900, 1_000)],
            vec![Best, Agrees],
            Some(4),
        ),
        ("too far", vec![estimate(1, 0, 1_600)], vec![TooFar], None),
        (
            "some do not answer",
            vec![Err(Unreachable), estimate(1, 3, 5), Err(Asking)],
            vec![Unreachable, Best, Asking],
            Some(3),
        ),
    ] {
        let (found, status) = choose(&sources, &own, at(0));
        assert_eq!(found, verdicts, "{what}");
        let found = match status {
            Status::Chosen(chosen) => Some(i64::try_from(chosen.offset.as_millis()).unwrap()),
            Status::Disagree | Status::Asking | Status::None => None,
        };
        assert_eq!(found, offset, "{what}");
    }
}

#[test]
fn a_source_that_goes_by_this_bastion_is_no_source() {
    let (verdicts, status) = choose(&[estimate(1, 0, 5)], &["192.0.2.200".parse().unwrap()], at(0));
    assert_eq!((verdicts, status), (vec![Verdict::Loop], Status::None));
    assert_eq!(choose(&[Err(Verdict::Asking)], &[], at(0)).1, Status::Asking);
    assert_eq!(choose(&[], &[], at(0)).1, Status::None);
}

proptest! {
    /// Half of the round trip is all that a network can pretend.
    #[test]
    fn the_truth_is_within_what_a_source_claims(
        ahead in -3_600_000_i64..3_600_000,
        paths in prop::collection::vec((0_i64..400, 0_i64..400), 1..12),
    ) {
        let mut source = Source::new(peer(1));
        let mut now = at(0);
        for (there, back) in paths {
            let upstream = Upstream { ahead: ms(ahead), there: ms(there), back: ms(back) };
            prop_assert_eq!(upstream.exchange(&mut source, now), Ok(()));
            now += SignedDuration::from_secs(64);
        }
        let estimate = source.estimate().unwrap();
        let error = (estimate.offset - ms(ahead)).abs();
        prop_assert!(error <= estimate.distance(now), "{error:?} in {:?}", estimate.distance(now));
    }

    /// With more truthful sources than liars, what is believed is true.
    #[test]
    fn a_minority_of_liars_changes_nothing(
        truth in -100_i64..100,
        liars in prop::collection::vec(-100_000_i64..100_000, 0..3),
    ) {
        let honest = (0..=liars.len()).map(|idx| estimate(u8::try_from(idx).unwrap(), truth, 10));
        let sources: Vec<_> = honest.chain(liars.iter().map(|lie| estimate(99, *lie, 10))).collect();
        let (_, status) = choose(&sources, &[], at(0));
        let Status::Chosen(chosen) = status else { return Err(TestCaseError::fail("nobody is believed")) };
        prop_assert!((chosen.offset - ms(truth)).abs() <= ms(20));
    }
}
