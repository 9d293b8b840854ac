//! One upstream server as it is measured from here: questions, answers, filter (RFC 5905 sections 9 and 10).
//!
//! A question carries a random number for its time of sending, so that only who saw it can answer it, and no
//! clock reading leaves the site. Waiting is told as a duration: the clock that is measured here may jump, and
//! must not be what the measuring waits by.

use std::{net::Ipv4Addr, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{LENGTH, Leap, Mode, NtpTime, Packet, Short, Verdict, discipline::STEP};

/// Samples that are kept.
const SAMPLES: usize = 8;
/// Questions of the first burst.
const BURST: u32 = 4;
const BURST_EVERY: Duration = Duration::from_secs(2);
/// How long after a loss it is asked again, while it may be no more than that.
const RETRY: Duration = Duration::from_secs(8);
/// Seconds between questions, as powers of two (RFC 8633 section 4.2: no more often than is needed).
const POLL: std::ops::RangeInclusive<u8> = 6..=10;
/// Error of reading the clock on both sides.
const READING: SignedDuration = SignedDuration::from_micros(2);
/// A server that may be off further is not synchronized.
const MAX_DISTANCE: SignedDuration = SignedDuration::from_secs(16);

/// By how much a clock may go off in a while (RFC 5905's PHI, 15 ppm).
pub(crate) fn wander(since: SignedDuration) -> SignedDuration {
    SignedDuration::from_nanos(i64::try_from(since.as_nanos().max(0) * 15 / 1_000_000).unwrap_or(i64::MAX))
}

/// An upstream server.
#[derive(Debug, Clone)]
pub struct Source {
    peer: Ipv4Addr,
    asked: Option<Asked>,
    questions: u32,
    reach: u8,
    poll: u8,
    /// Answers since the interval was last changed.
    steady: u8,
    said: Option<Said>,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    nonce: NtpTime,
    at: Timestamp,
}

/// What the server said of itself last.
#[derive(Debug, Clone, Copy)]
struct Said {
    leap: Leap,
    stratum: u8,
    reference: [u8; 4],
    root_delay: SignedDuration,
    root_dispersion: SignedDuration,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    offset: SignedDuration,
    delay: SignedDuration,
    at: Timestamp,
}

/// What the samples amount to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The server.
    pub peer: Ipv4Addr,
    /// Its stratum.
    pub stratum: u8,
    /// Its leap indicator.
    pub leap: Leap,
    /// What it says that it goes by.
    pub reference: [u8; 4],
    /// How far its clock is ahead of ours.
    pub offset: SignedDuration,
    /// Round trip to it.
    pub delay: SignedDuration,
    /// How much the samples differ.
    pub jitter: SignedDuration,
    /// Round trip from here to the reference clock.
    pub root_delay: SignedDuration,
    /// How far its time may be off besides, as seen from here when the sample was taken.
    pub root_dispersion: SignedDuration,
    /// When the sample was taken.
    pub at: Timestamp,
    /// How many samples it stands on.
    pub samples: usize,
}

impl Estimate {
    /// How far the offset may be off in all.
    pub fn distance(&self, now: Timestamp) -> SignedDuration {
        self.root_delay / 2 + self.root_dispersion + wander(now.duration_since(self.at))
    }
}

/// Why an answer is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    /// Not an answer to the question that was asked last.
    Bogus,
    /// The server asks to be asked less often, or not at all.
    Kissed,
    /// The server says that its clock is not synchronized.
    Unsynchronized,
}

impl Source {
    /// A server that was not asked yet.
    pub fn new(peer: Ipv4Addr) -> Self {
        Self {
            peer,
            asked: None,
            questions: 0,
            reach: 0,
            poll: *POLL.start(),
            steady: 0,
            said: None,
            samples: Vec::with_capacity(SAMPLES),
        }
    }

    /// Its address.
    pub fn peer(&self) -> Ipv4Addr {
        self.peer
    }

    /// Which of the last eight questions it answered, the latest in the lowest bit.
    pub fn reach(&self) -> u8 {
        self.reach
    }

    /// Its stratum, if it ever said so.
    pub fn stratum(&self) -> Option<u8> {
        self.said.map(|said| said.stratum)
    }

    /// A question, asked at `now`. The number must be random.
    pub fn ask(&mut self, nonce: u64, now: Timestamp) -> [u8; LENGTH] {
        let nonce = NtpTime(nonce.max(1));
        self.asked = Some(Asked { nonce, at: now });
        self.questions = self.questions.saturating_add(1);
        self.reach <<= 1;
        let question = Packet {
            leap: Leap::None,
            version: 4,
            mode: Mode::Client,
            stratum: 0,
            poll: self.poll.cast_signed(),
            precision: 0,
            root_delay: Short(0),
            root_dispersion: Short(0),
            reference: [0; 4],
            reference_time: NtpTime::default(),
            origin: NtpTime::default(),
            receive: NtpTime::default(),
            transmit: nonce,
        };
        question.encode()
    }

    /// Takes an answer that came in at `received`.
    ///
    /// # Errors
    /// If it is not to be used. Only a bogus one leaves the question open.
    pub fn answered(&mut self, bytes: &[u8], received: Timestamp) -> Result<(), Unfit> {
        let answer = Packet::decode(bytes).map_err(|_| Unfit::Bogus)?;
        let asked = self.asked.ok_or(Unfit::Bogus)?;
        let fits =
            answer.mode == Mode::Server && matches!(answer.version, 3 | 4) && answer.origin == asked.nonce;
        if !fits {
            return Err(Unfit::Bogus);
        }
        self.asked = None;
        if answer.stratum == 0 && matches!(&answer.reference, b"RATE" | b"DENY" | b"RSTR") {
            // Nobody who refuses is asked more often than need be (RFC 5905 section 7.4).
            self.poll = match &answer.reference {
                b"RATE" => (self.poll + 1).min(*POLL.end()),
                _ => *POLL.end(),
            };
            self.steady = 0;
            self.questions = self.questions.max(BURST);
            return Err(Unfit::Kissed);
        }
        let said = Said {
            leap: answer.leap,
            stratum: answer.stratum,
            reference: answer.reference,
            root_delay: answer.root_delay.duration(),
            root_dispersion: answer.root_dispersion.duration(),
        };
        self.said = Some(said);
        self.reach |= 1;
        let knows = answer.leap != Leap::Unknown
            && (1..16).contains(&answer.stratum)
            && said.root_delay / 2 + said.root_dispersion < MAX_DISTANCE;
        if !knows {
            self.samples.clear();
            return Err(Unfit::Unsynchronized);
        }
        let (sent, back) = (NtpTime::of(asked.at), NtpTime::of(received));
        let there = answer.receive.since(sent);
        let thence = answer.transmit.since(back);
        let held = answer.transmit.since(answer.receive);
        if answer.transmit == NtpTime::default() || held.is_negative() {
            return Err(Unfit::Bogus);
        }
        self.add(Sample {
            offset: there / 2 + thence / 2,
            delay: (back.since(sent) - held).max(READING),
            at: received,
        });
        Ok(())
    }

    fn add(&mut self, sample: Sample) {
        // Half of the delay is all that a network can pretend. More than that is a clock that was set, here or
        // there, and what was measured before is of no use.
        let jumped = self.best().is_some_and(|best| {
            let between = (sample.offset - best.offset).abs();
            between > STEP + (sample.delay + best.delay) / 2
        });
        if jumped {
            self.samples.clear();
            self.poll = *POLL.start();
            self.steady = 0;
        }
        if self.samples.len() == SAMPLES {
            self.samples.remove(0);
        }
        self.samples.push(sample);
        self.steady += 1;
        if self.steady > 8 {
            self.steady = 0;
            self.poll = (self.poll + 1).min(*POLL.end());
        }
    }

    /// The sample that is least disturbed: least delay, counting how far the clock may have gone since.
    fn best(&self) -> Option<&Sample> {
        let latest = self.samples.last()?.at;
        self.samples
            .iter()
            .min_by_key(|sample| sample.delay / 2 + wander(latest.duration_since(sample.at)))
    }

    /// Forgets what was measured by a clock that has been set since.
    pub fn clock_was_set(&mut self) {
        self.samples.clear();
        self.asked = None;
        self.poll = *POLL.start();
        self.steady = 0;
        // So that it is measured again at once.
        self.questions = self.questions.min(1);
    }

    /// How long until it is to be asked again, once an answer came or was waited for in vain.
    pub fn rest(&self) -> Duration {
        let answered = self.reach & 1 != 0;
        if self.questions < BURST {
            BURST_EVERY
        } else if !answered && self.reach != 0 {
            RETRY
        } else {
            Duration::from_secs(1 << self.poll)
        }
    }

    /// What is known of it.
    ///
    /// # Errors
    /// If that is no time, with the reason.
    pub fn estimate(&self) -> Result<Estimate, Verdict> {
        if self.reach == 0 {
            return Err(if self.questions < BURST {
                Verdict::Asking
            } else {
                Verdict::Unreachable
            });
        }
        let (Some(said), Some(best)) = (self.said, self.best()) else {
            // It may be our own clock that was set a moment ago.
            return Err(if self.questions < BURST {
                Verdict::Asking
            } else {
                Verdict::Unsynchronized
            });
        };
        let jitter = self.jitter(best);
        Ok(Estimate {
            peer: self.peer,
            stratum: said.stratum,
            leap: said.leap,
            reference: said.reference,
            offset: best.offset,
            delay: best.delay,
            jitter,
            root_delay: said.root_delay + best.delay,
            root_dispersion: said.root_dispersion + jitter + READING,
            at: best.at,
            samples: self.samples.len(),
        })
    }

    /// Root of the mean square of what the samples differ from the best one.
    #[expect(clippy::cast_precision_loss, reason = "at most eight samples")]
    fn jitter(&self, best: &Sample) -> SignedDuration {
        let others = self.samples.len().saturating_sub(1).max(1) as f64;
        let squares = self
            .samples
            .iter()
            .map(|sample| (sample.offset - best.offset).as_secs_f64().powi(2));
        let root = (squares.sum::<f64>() / others).sqrt();
        SignedDuration::try_from_secs_f64(root).unwrap_or_default()
    }
}
