//! Whether one backend is in, by what its probes say.
//!
//! One bad answer is no reason to send clients away from a server: it goes out after [`FALL`] in a row, which are
//! asked for in quick succession. A refused connection is better evidence: the machine is there and says that
//! nobody listens; with others to take over, one is enough. A server that comes back has to be good [`RISE`] times,
//! and the longer the more often it went out of late, as long as others do the work. It then gets its share
//! little by little; those that come in soon after the first of all, as after a start, have equal shares at once.
//!
//! Asking often finds faults soon and costs wake-ups. So a connection stays open after a good answer, where the
//! server allows it: the kernel tells at once when the server ends, and in two seconds when its machine is dead, and
//! the server is asked then. All others have their turn at the same moments, so that one wake-up serves them all.

mod evidence;

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;

pub use self::evidence::{Evidence, Fault, Lost};

/// How often a backend is asked that is in and well, while nothing else would tell of its end. The other intervals
/// are multiples of it.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// How often a backend is asked that can say more of itself than that it is there, while a connection is open.
pub(crate) const HELD: Duration = Duration::from_secs(3);

/// How often a backend is asked of which an open connection tells as much as an answer.
pub(crate) const HELD_TCP: Duration = Duration::from_secs(12);

/// How soon a backend is asked again that has just answered otherwise than before.
pub(crate) const SOON: Duration = Duration::from_millis(400);

/// How many backends are asked in one go.
const AT_ONCE: usize = 64;

/// How long after them the next ones are.
const APART: Duration = Duration::from_millis(50);

/// How many groups there are: they fill [`INTERVAL`].
const GROUPS: u32 = 20;

/// How often a backend is asked that is out.
pub(crate) const SELDOM: Duration = Duration::from_secs(3);

/// How long a backend's machine has to take a connection: on a LAN, ages.
pub(crate) const TO_CONNECT: Duration = Duration::from_millis(500);

/// How long a backend has to answer: its disk may be slow.
pub(crate) const TO_ANSWER: Duration = Duration::from_secs(2);

/// How many bad answers in a row put a backend out.
pub(crate) const FALL: u32 = 3;

/// How many good answers in a row let a backend in.
pub(crate) const RISE: u32 = 2;

/// How long it takes until a backend that came in beside others has its full share.
pub(crate) const RAMP: Duration = Duration::from_secs(20);

/// Who comes in this long after others comes in together with them: long enough for each that is out to be asked
/// ([`SELDOM`]), and once more ([`SOON`]).
const TOGETHER: Duration = Duration::from_secs(4);

/// A full share; others are parts of it.
pub(crate) const FULL: u32 = 8;

/// For how long it is remembered that a backend went out.
const MEMORY: Duration = Duration::from_mins(5);

/// The longest that a backend has to be good before it is let in again.
const LONGEST: Duration = Duration::from_mins(1);

/// How much of a backend's history is kept.
const HISTORY: usize = 32;

/// A moment, by two clocks: one that never jumps, and one that people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    /// Time since any fixed moment.
    pub tick: Duration,
    /// What the clock on the wall says.
    pub at: Timestamp,
}

/// How a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has never answered.
    New,
    /// New connections may be led to it.
    In,
    /// No new connection is led to it.
    Out,
    /// It was the bootstrap machine, and is not needed any more.
    Retired,
}

impl State {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::In => "in",
            Self::Out => "out",
            Self::Retired => "retired",
        }
    }
}

/// One change of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// How it is since.
    pub to: State,
    /// Why.
    pub why: String,
}

/// What became of a backend by an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is in.
    CameIn,
    /// It was in, and is out.
    WentOut,
    /// Its machine is dead: who is connected with it waits in vain.
    Died,
}

/// What a backend's peers are doing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peers {
    /// How many others of the service take new connections.
    pub(crate) others: usize,
    /// Whether there were any before those that come in now.
    pub(crate) had_it: bool,
}

/// What is known of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    pub(crate) state: State,
    pub(crate) since: Now,
    pub(crate) why: String,
    /// Whether it gets its share little by little, because others had it.
    ramps: bool,
    /// Answers in a row.
    goods: u32,
    bads: u32,
    silences: u32,
    good_since: Duration,
    /// Whether connections with it were given up since it was last well.
    given_up: bool,
    outs: VecDeque<Duration>,
    /// When it is to be asked next.
    pub(crate) next: Duration,
    /// When it was asked, if an answer is waited for.
    pub(crate) asked: Option<Duration>,
    /// When it answered.
    heard: Duration,
    /// How long after the others' turn it has its own.
    after: Duration,
    pub(crate) history: VecDeque<Change>,
}

impl Health {
    /// A backend that is asked at once. One that the kernel leads to already is believed to be well.
    pub(crate) fn new(now: Now, was_in: bool) -> Self {
        let (state, why) = if was_in {
            (State::In, "it was in before farosd started")
        } else {
            (State::New, "not asked yet")
        };
        Self {
            state,
            since: now,
            why: why.to_owned(),
            ramps: false,
            goods: 0,
            bads: 0,
            silences: 0,
            good_since: now.tick,
            given_up: false,
            outs: VecDeque::new(),
            next: now.tick,
            asked: None,
            heard: now.tick,
            after: Duration::ZERO,
            history: VecDeque::new(),
        }
    }

    /// One that is not asked, and always in.
    pub(crate) fn unasked(now: Now) -> Self {
        Self {
            why: "not checked".to_owned(),
            next: Duration::MAX,
            ..Self::new(now, true)
        }
    }

    /// Itself, with nothing open any more that would tell of its end, as the `n`th of all: not too many are asked in
    /// one go.
    pub(crate) fn followed(self, now: Now, n: usize) -> Self {
        let groups = u32::try_from(n / AT_ONCE).unwrap_or(0) % GROUPS;
        let after = APART * groups;
        let next = match self.next {
            Duration::MAX => Duration::MAX,
            _ => now.tick + after,
        };
        Self { next, after, ..self }
    }

    /// Whether others than those that come in now took new connections: itself, or those beside whom it gets its share
    /// little by little.
    pub(crate) fn came_before(&self, now: Now) -> bool {
        let was_in = self.history.is_empty();
        self.state == State::In && (was_in || self.ramps || now.tick >= self.since.tick + TOGETHER)
    }

    /// What share of new connections it gets, of [`FULL`].
    pub(crate) fn share(&self, now: Duration) -> u32 {
        match self.state {
            State::New | State::Out | State::Retired => 0,
            State::In if !self.ramps => FULL,
            State::In => {
                let up = now.saturating_sub(self.since.tick).min(RAMP);
                let steps = up.as_millis() * u128::from(FULL - 1) / RAMP.as_millis();
                1 + u32::try_from(steps).unwrap_or(FULL)
            }
        }
    }

    /// When its share grows next.
    pub(crate) fn grows(&self, now: Duration) -> Option<Duration> {
        let share = self.share(now);
        if self.state != State::In || share >= FULL {
            return None;
        }
        // The first moment at which the division above gives one more.
        Some(self.since.tick + (RAMP * share).div_ceil_by(FULL - 1))
    }

    /// Takes what a probe brought. `well` is how long it can be left alone while it is well.
    pub(crate) fn hear(&mut self, now: Now, evidence: &Evidence, peers: Peers, well: Duration) -> Vec<Turn> {
        let asked = self.asked.take().unwrap_or(now.tick);
        self.heard = now.tick;
        let mut turns = Vec::new();
        let pause = match evidence {
            Evidence::Good(note) => {
                (self.bads, self.silences, self.given_up) = (0, 0, false);
                if self.goods == 0 {
                    self.good_since = now.tick;
                }
                self.goods += 1;
                match self.state {
                    State::In | State::Retired => well,
                    State::New | State::Out => {
                        let first = self.state == State::New || peers.others == 0;
                        let held = now.tick.saturating_sub(self.good_since) < self.hold(now.tick);
                        if first || (self.goods >= RISE && !held) {
                            let why = if note.is_empty() { "answers" } else { note };
                            self.change(now, State::In, why.to_owned());
                            self.ramps = peers.had_it;
                            turns.push(Turn::CameIn);
                            well
                        } else if self.goods < RISE {
                            SOON
                        } else {
                            self.why = format!(
                                "answers again; has to keep to that, as it went out {} times of late",
                                self.outs.len()
                            );
                            INTERVAL
                        }
                    }
                }
            }
            Evidence::Bad(fault) => {
                self.goods = 0;
                self.bads += 1;
                self.silences = if *fault == Fault::Silent {
                    self.silences + 1
                } else {
                    0
                };
                let pause = match self.state {
                    State::In => {
                        let surely = *fault == Fault::Refused && peers.others > 0;
                        if surely || self.bads >= FALL {
                            self.outs.push_back(now.tick);
                            self.change(now, State::Out, fault.to_string());
                            turns.push(Turn::WentOut);
                        }
                        SOON
                    }
                    State::New | State::Out => {
                        self.why = fault.to_string();
                        SELDOM
                    }
                    State::Retired => SELDOM,
                };
                if self.state == State::Out && self.silences >= FALL && !self.given_up {
                    self.given_up = true;
                    turns.push(Turn::Died);
                }
                pause
            }
        };
        self.next = match pause {
            SOON => (asked + SOON).max(now.tick),
            pause => self.turn(now.tick, pause),
        };
        turns
    }

    /// The connection that was open since its last good answer is not any more.
    pub(crate) fn lost(&mut self, now: Now, lost: Lost) {
        if self.state != State::In {
            return;
        }
        if lost == Lost::Silent {
            (self.goods, self.bads, self.silences) = (0, self.bads + 1, self.silences + 1);
        }
        if self.asked.is_some() {
            return;
        }
        // One that ends every connection right away is asked as if there had been none.
        let soonest = self.turn(self.heard, INTERVAL);
        self.next = self.next.min(soonest.max(now.tick));
    }

    /// Its first turn after `since`, if it is asked this often.
    fn turn(&self, since: Duration, often: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let turns = millis(since.saturating_sub(self.after)) / millis(often);
        self.after + Duration::from_millis((turns + 1).saturating_mul(millis(often)))
    }

    /// How long it has to be well before it is let in: nothing the first time, then twice as long each time.
    fn hold(&mut self, now: Duration) -> Duration {
        while self
            .outs
            .front()
            .is_some_and(|at| now.saturating_sub(*at) > MEMORY)
        {
            self.outs.pop_front();
        }
        // Nobody goes out often enough within that time for more of them to count.
        self.outs.truncate(64);
        match u32::try_from(self.outs.len()).unwrap_or(u32::MAX) {
            0 | 1 => Duration::ZERO,
            outs => Duration::from_secs(1 << outs.min(6)).min(LONGEST),
        }
    }

    /// Lets it in if it is well and only kept waiting; whether it was.
    pub(crate) fn let_in(&mut self, now: Now) -> bool {
        let waits = self.state == State::Out && self.goods > 0;
        if waits {
            self.change(now, State::In, "answers, and nobody else does".to_owned());
        }
        waits
    }

    /// It is not needed any more.
    pub(crate) fn retire(&mut self, now: Now, why: &str) {
        self.change(now, State::Retired, why.to_owned());
        self.next = Duration::MAX;
    }

    fn change(&mut self, now: Now, to: State, why: String) {
        (self.state, self.since, self.why, self.ramps) = (to, now, why.clone(), false);
        self.history.push_back(Change { at: now.at, to, why });
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }
}

trait DivCeil {
    fn div_ceil_by(self, by: u32) -> Duration;
}

impl DivCeil for Duration {
    /// Rounded up to whole milliseconds.
    fn div_ceil_by(self, by: u32) -> Duration {
        let millis = self.as_millis().div_ceil(u128::from(by));
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }
}
