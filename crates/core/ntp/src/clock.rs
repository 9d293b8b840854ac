//! How the bastion's clock stands, which is what clients are told.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::{Chosen, Leap, Mode, NtpTime, Packet, Short, discipline::STEP, source::wander};

/// What an orphan claims that it may be off: its clock is the site's time by definition.
const ORPHAN_DISPERSION: SignedDuration = SignedDuration::from_millis(10);
/// The kernel calls a clock unsynchronized from there on.
const KERNEL_GIVES_UP: SignedDuration = SignedDuration::from_secs(16);
/// The reference of a clock that stands on itself, as other servers write it.
const ITSELF: [u8; 4] = [127, 127, 1, 1];
/// How exact reading the clock is: 2^-20 seconds.
const PRECISION: i8 = -20;

/// What clients are told about the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Leap indicator.
    pub leap: Leap,
    /// Distance from a reference clock in hops; 0 if not synchronized.
    pub stratum: u8,
    /// Where the time comes from.
    pub reference: [u8; 4],
    /// Round trip to the reference clock.
    pub root_delay: SignedDuration,
    /// How far the clock may have been off at `compared` besides half of that.
    pub root_dispersion: SignedDuration,
    /// When it was last compared with what it is measured by.
    pub compared: Option<Timestamp>,
}

impl Clock {
    /// A clock of which nothing is known.
    pub const UNKNOWN: Self = Self {
        leap: Leap::Unknown,
        stratum: 0,
        reference: *b"INIT",
        root_delay: SignedDuration::ZERO,
        root_dispersion: SignedDuration::ZERO,
        compared: None,
    };

    /// How far the clock may be off by now besides half of the delay; it grows from comparison to comparison.
    pub fn dispersion(&self, now: Timestamp) -> SignedDuration {
        let since = self.compared.map(|at| now.duration_since(at));
        self.root_dispersion + since.map(wander).unwrap_or_default()
    }

    /// The answer to a question.
    pub(crate) fn answer(&self, question: &Packet, received: Timestamp, now: Timestamp) -> Packet {
        Packet {
            leap: self.leap,
            version: question.version,
            mode: Mode::Server,
            stratum: self.stratum,
            poll: question.poll,
            precision: PRECISION,
            root_delay: Short::of(self.root_delay),
            root_dispersion: Short::of(self.dispersion(now)),
            reference: self.reference,
            reference_time: self.compared.map(NtpTime::of).unwrap_or_default(),
            origin: question.transmit,
            receive: NtpTime::of(received),
            transmit: NtpTime::of(now),
        }
    }
}

/// What the kernel knows of its clock (`adjtimex(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelClock {
    /// Whether whoever keeps the clock has said that it is right.
    pub synchronized: bool,
    /// How far it may be off; grows by itself.
    pub max_error: SignedDuration,
}

/// Who keeps the bastion's clock right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// farosd.
    Farosd,
    /// A time daemon of the host, by its name.
    Host(String),
    /// Nobody, and why.
    Nobody(String),
}

/// What the clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Measured against sources, or vouched for by the host's time daemon.
    Synchronized,
    /// No source answers: the site goes by the bastion's clock.
    Orphan,
    /// Known to be wrong, or not known to be right yet.
    Unsynchronized,
}

/// How the clock stands, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What it is worth.
    pub state: State,
    /// What clients are told.
    pub clock: Clock,
    /// The reason, in words; empty if synchronized with sources.
    pub why: String,
}

/// What is known of the sources.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Sources agree, with this result.
    Chosen(Chosen),
    /// Some answer, and no majority agrees.
    Disagree,
    /// They were not asked often enough yet to be given up.
    Asking,
    /// There are none, or none answers with a time.
    None,
}

/// Decides how the clock stands.
pub fn stand(
    kernel: KernelClock,
    sources: &Status,
    keeper: &Keeper,
    orphan_stratum: u8,
    now: Timestamp,
) -> Standing {
    let unsynchronized = |why: String| Standing {
        state: State::Unsynchronized,
        clock: Clock::UNKNOWN,
        why,
    };
    let vouched = kernel.synchronized && kernel.max_error < KERNEL_GIVES_UP;
    match (sources, keeper) {
        (Status::Chosen(chosen), _) if chosen.offset.abs() > STEP => {
            let off = chosen.offset.as_secs_f64();
            let what = match keeper {
                Keeper::Farosd => "it is about to be set".to_owned(),
                Keeper::Host(daemon) => format!("{daemon} has not set it yet"),
                Keeper::Nobody(why) => format!("nobody sets it: {why}"),
            };
            unsynchronized(format!("the clock is {off:.3} s off; {what}"))
        }
        (Status::Chosen(chosen), _) if chosen.stratum >= 15 => {
            unsynchronized("the sources are too many hops away from a reference clock".to_owned())
        }
        (Status::Chosen(chosen), _) => Standing {
            state: State::Synchronized,
            clock: Clock {
                leap: chosen.leap,
                stratum: chosen.stratum + 1,
                reference: chosen.peer.octets(),
                root_delay: chosen.root_delay,
                // What the clock is off is told as an error that it may have: it is not taken out at once.
                root_dispersion: chosen.root_dispersion + chosen.offset.abs(),
                compared: Some(chosen.at),
            },
            why: String::new(),
        },
        (Status::Disagree, _) => unsynchronized("no majority of the sources agrees on the time".to_owned()),
        (Status::Asking | Status::None, Keeper::Host(daemon)) if vouched => Standing {
            state: State::Synchronized,
            clock: Clock {
                leap: Leap::None,
                stratum: orphan_stratum,
                reference: Ipv4Addr::LOCALHOST.octets(),
                root_delay: SignedDuration::ZERO,
                root_dispersion: kernel.max_error,
                compared: Some(now),
            },
            why: format!(
                "{daemon} vouches for the clock; how many hops away it is from a reference clock is not known"
            ),
        },
        (Status::Asking, _) => unsynchronized("the sources have not answered yet".to_owned()),
        (Status::None, _) => Standing {
            state: State::Orphan,
            clock: Clock {
                leap: Leap::None,
                stratum: orphan_stratum,
                reference: ITSELF,
                root_delay: SignedDuration::ZERO,
                root_dispersion: ORPHAN_DISPERSION,
                compared: Some(now),
            },
            why: "no source answers: the site goes by the bastion's clock".to_owned(),
        },
    }
}
