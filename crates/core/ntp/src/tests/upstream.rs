//! A server that a source asks.

use jiff::{SignedDuration, Timestamp};

use super::ms;
use crate::{LENGTH, Leap, Mode, NtpTime, Packet, Short, Source, Unfit};

/// An upstream server: its clock is ahead of ours by `ahead`, and packets take this long there and back.
#[derive(Clone, Copy)]
pub(super) struct Upstream {
    pub(super) ahead: SignedDuration,
    pub(super) there: SignedDuration,
    pub(super) back: SignedDuration,
}

pub(super) const FINE: Upstream = Upstream {
    ahead: SignedDuration::ZERO,
    there: SignedDuration::from_millis(5),
    back: SignedDuration::from_millis(5),
};

impl Upstream {
    pub(super) fn answer(&self, question: &[u8; LENGTH], now: Timestamp) -> Packet {
        let question = Packet::decode(question).unwrap();
        let receive = now + self.there + self.ahead;
        Packet {
            leap: Leap::None,
            mode: Mode::Server,
            stratum: 2,
            precision: -20,
            root_delay: Short::of(ms(8)),
            root_dispersion: Short::of(ms(2)),
            reference: [192, 0, 2, 99],
            reference_time: NtpTime::of(receive),
            origin: question.transmit,
            receive: NtpTime::of(receive),
            transmit: NtpTime::of(receive),
            ..question
        }
    }

    pub(super) fn exchange(&self, source: &mut Source, now: Timestamp) -> Result<(), Unfit> {
        let question = source.ask(now.as_second().cast_unsigned() * 77, now);
        let answer = self.answer(&question, now).encode();
        source.answered(&answer, now + self.there + self.back)
    }
}
