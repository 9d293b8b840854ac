//! What clients are told.

use std::net::Ipv4Addr;

use faros_model::net::Subnet;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{at, ms, peer};
use crate::{
    Chosen, Clock, Keeper, KernelClock, LENGTH, Leap, Mode, NtpTime, Outcome, Packet, Server, Short, Silent,
    State, Status, fuzz, stand,
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 8, 11);

fn server() -> Server {
    Server::new(
        Subnet::of(Ipv4Addr::new(192, 168, 8, 0), 24),
        Ipv4Addr::new(192, 168, 8, 1),
    )
}

fn question(version: u8, mode: u8) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH];
    bytes[0] = (version << 3) | mode;
    bytes[2] = 6;
    bytes[40..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    bytes
}

fn good() -> Clock {
    Clock {
        leap: Leap::None,
        stratum: 3,
        reference: [192, 0, 2, 7],
        root_delay: ms(20),
        root_dispersion: ms(5),
        compared: Some(at(0)),
    }
}

fn ask(server: &mut Server, bytes: &[u8], clock: &Clock, now: Timestamp) -> Outcome {
    server.respond(bytes, CLIENT, now, clock, now)
}

#[test]
fn versions_3_and_4_are_answered_in_their_own_version() {
    for version in [3, 4] {
        let Outcome::Answered(answer) = server().respond(
            &question(version, 3),
            CLIENT,
            at(100),
            &good(),
            at(100) + SignedDuration::from_micros(30),
        ) else {
            panic!("version {version} is not answered");
        };
        let answer = Packet::decode(&answer).unwrap();
        assert_eq!(
            (answer.version, answer.mode, answer.stratum),
            (version, Mode::Server, 3)
        );
        assert_eq!(answer.origin, NtpTime(0x0102_0304_0506_0708));
        assert_eq!(answer.receive, NtpTime::of(at(100)));
        let held = answer.transmit.since(answer.receive);
        assert!((held - SignedDuration::from_micros(30)).abs() < SignedDuration::from_nanos(2));
        assert_eq!(answer.reference, [192, 0, 2, 7]);
        // 15 ppm of a hundred seconds came to it.
        let dispersion = answer.root_dispersion.duration();
        assert!(dispersion >= SignedDuration::from_micros(6_500), "{dispersion:?}");
        assert!(dispersion < SignedDuration::from_micros(6_600), "{dispersion:?}");
    }
}

#[test]
fn everything_else_is_left_alone_and_named() {
    let with_tail = |version, n: usize| [question(version, 3), vec![0; n]].concat();
    for (what, bytes, why) in [
        ("nothing", vec![], Silent::Malformed),
        ("a byte short", question(4, 3)[..47].to_vec(), Silent::Malformed),
        ("a tail of one byte", with_tail(4, 1), Silent::Malformed),
        ("a field in version 3", with_tail(3, 28), Silent::Malformed),
        ("a MAC", with_tail(4, 20), Silent::Authenticated),
        ("version 2", question(2, 3), Silent::Version),
        ("version 5", question(5, 3), Silent::Version),
        ("symmetric", question(4, 1), Silent::NoQuestion),
        ("an answer", question(4, 4), Silent::NoQuestion),
        ("broadcast", question(4, 5), Silent::NoQuestion),
        (
            "readvar",
            vec![0x16, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            Silent::Control,
        ),
        ("monlist", vec![0x17, 0, 3, 0x2a, 0, 0, 0, 0], Silent::Control),
    ] {
        let outcome = ask(&mut server(), &bytes, &good(), at(0));
        assert_eq!(outcome, Outcome::Silent(why), "{what}");
    }
    // Fields that are not known do not stand in the way (RFC 7822).
    let outcome = ask(&mut server(), &with_tail(4, 28), &good(), at(0));
    assert!(matches!(outcome, Outcome::Answered(_)));
}

#[test]
fn who_is_not_on_the_lan_gets_nothing() {
    for from in ["203.0.113.1", "192.168.9.1", "192.168.8.1"] {
        let outcome = server().respond(&question(4, 3), from.parse().unwrap(), at(0), &good(), at(0));
        assert_eq!(outcome, Outcome::Silent(Silent::Outsider), "{from}");
    }
}

#[test]
fn who_asks_too_often_is_told_once_and_then_not_at_all_and_others_are_answered() {
    let mut server = server();
    let (mut answered, mut slowed, mut silent) = (0, 0, 0);
    for idx in 0..1000 {
        match ask(&mut server, &question(4, 3), &good(), at(0) + ms(idx)) {
            Outcome::Answered(_) => answered += 1,
            Outcome::Slowed(kiss) => {
                slowed += 1;
                let kiss = Packet::decode(&kiss).unwrap();
                assert_eq!(
                    (kiss.stratum, &kiss.reference, kiss.leap),
                    (0, b"RATE", Leap::Unknown)
                );
                assert_eq!(kiss.origin, NtpTime(0x0102_0304_0506_0708));
            }
            Outcome::Silent(why) => {
                assert_eq!(why, Silent::TooOften);
                silent += 1;
            }
        }
    }
    assert_eq!((answered, slowed, silent), (64, 1, 935));
    let other = Ipv4Addr::new(192, 168, 8, 12);
    let outcome = server.respond(&question(4, 3), other, at(1), &good(), at(1));
    assert!(matches!(outcome, Outcome::Answered(_)));
    // After a while the first one has answers again; also if the clock was set back meanwhile.
    for later in [at(120), at(-7200)] {
        let outcome = ask(&mut server, &question(4, 3), &good(), later);
        assert!(matches!(outcome, Outcome::Answered(_)));
    }
}

#[test]
fn a_clock_of_which_nothing_is_known_says_so() {
    let Outcome::Answered(answer) = ask(&mut server(), &question(4, 3), &Clock::UNKNOWN, at(0)) else {
        panic!("an unsynchronized server answers that it is");
    };
    let answer = Packet::decode(&answer).unwrap();
    assert_eq!(
        (answer.leap, answer.stratum, &answer.reference),
        (Leap::Unknown, 0, b"INIT")
    );
}

fn chosen(offset: SignedDuration) -> Status {
    Status::Chosen(Chosen {
        peer: peer(1),
        stratum: 2,
        leap: Leap::Insert,
        offset,
        root_delay: ms(10),
        root_dispersion: ms(3),
        at: at(0),
        samples: 4,
    })
}

#[test]
fn what_is_claimed_is_never_better_than_what_is_known() {
    let vouched = KernelClock {
        synchronized: true,
        max_error: ms(40),
    };
    let expired = KernelClock {
        synchronized: true,
        max_error: SignedDuration::from_secs(16),
    };
    let unknown = KernelClock::default();
    let chrony = || Keeper::Host("chronyd".to_owned());
    let nobody = || Keeper::Nobody("not allowed".to_owned());
    for (what, kernel, sources, keeper, state, stratum) in [
        (
            "right",
            unknown,
            chosen(ms(2)),
            Keeper::Farosd,
            State::Synchronized,
            3,
        ),
        (
            "right, and nobody keeps it",
            unknown,
            chosen(ms(-100)),
            nobody(),
            State::Synchronized,
            3,
        ),
        (
            "far off",
            vouched,
            chosen(ms(3_600_000)),
            Keeper::Farosd,
            State::Unsynchronized,
            0,
        ),
        (
            "far off whoever vouches",
            vouched,
            chosen(ms(-129)),
            chrony(),
            State::Unsynchronized,
            0,
        ),
        (
            "sources disagree",
            vouched,
            Status::Disagree,
            chrony(),
            State::Unsynchronized,
            0,
        ),
        (
            "no source, but chronyd",
            vouched,
            Status::None,
            chrony(),
            State::Synchronized,
            10,
        ),
        (
            "chronyd has lost its own",
            expired,
            Status::None,
            chrony(),
            State::Orphan,
            10,
        ),
        (
            "what farosd said before it died",
            vouched,
            Status::Asking,
            Keeper::Farosd,
            State::Unsynchronized,
            0,
        ),
        (
            "just started",
            unknown,
            Status::Asking,
            Keeper::Farosd,
            State::Unsynchronized,
            0,
        ),
        ("alone", unknown, Status::None, Keeper::Farosd, State::Orphan, 10),
    ] {
        let standing = stand(kernel, &sources, &keeper, 10, at(0));
        assert_eq!(
            (standing.state, standing.clock.stratum),
            (state, stratum),
            "{what}"
        );
        assert_eq!(
            standing.clock.leap == Leap::Unknown,
            state == State::Unsynchronized,
            "{what}"
        );
    }
    // What the clock is off is in what it may be off.
    let standing = stand(unknown, &chosen(ms(-100)), &nobody(), 10, at(0));
    assert_eq!(standing.clock.dispersion(at(0)), ms(103));
    assert_eq!(standing.clock.leap, Leap::Insert);
}

#[test]
fn timestamps_are_right_across_the_end_of_the_era() {
    let before: Timestamp = "2036-02-07T06:28:15Z".parse().unwrap();
    let after: Timestamp = "2036-02-07T06:28:17.5Z".parse().unwrap();
    assert!(NtpTime::of(before).0 > NtpTime::of(after).0);
    assert_eq!(NtpTime::of(after).since(NtpTime::of(before)), ms(2500));
    assert_eq!(NtpTime::of(before).since(NtpTime::of(after)), ms(-2500));
    let unix: Timestamp = "1970-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(NtpTime::of(unix).0, 2_208_988_800 << 32);
}

proptest! {
    #[test]
    fn no_bytes_break_anything(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
        fuzz::packet(&bytes);
    }

    #[test]
    fn no_question_breaks_anything(
        first in any::<u8>(),
        rest in prop::collection::vec(any::<u8>(), 47..120),
    ) {
        fuzz::packet(&[vec![first & 0b11_100_000 | 0b00_000_011], rest].concat());
    }

    #[test]
    fn differences_are_those_of_the_clock(seconds in 0_i64..4_000_000_000, nanos in -2_000_000_000_000_i64..2_000_000_000_000) {
        let one = Timestamp::from_second(seconds).unwrap();
        let difference = SignedDuration::from_nanos(nanos);
        let other = one + difference;
        let found = NtpTime::of(other).since(NtpTime::of(one));
        prop_assert!((found - difference).abs() <= SignedDuration::from_nanos(2));
    }

    #[test]
    fn no_error_is_told_smaller_than_it_is(nanos in 0_i64..60_000_000_000_000) {
        let error = SignedDuration::from_nanos(nanos);
        let told = Short::of(error).duration();
        prop_assert!(told + SignedDuration::from_nanos(1) >= error && told - error < SignedDuration::from_micros(16));
    }
}
