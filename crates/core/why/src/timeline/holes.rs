//! Times of which nothing is known: the daemon was down, or its record has a hole.

use faros_model::{
    event::{Event, EventKind},
    timeline::{Span, SpanKind},
};
use jiff::{SignedDuration, Timestamp};

use crate::{facts::Facts as _, words};

/// Numbers of events are set aside by the hundred thousand, so a daemon that was killed leaves such a gap
/// behind; other machines' events, which may be left out of what we are given, do not.
const JUMP: u64 = 50_000;

/// A clock that goes back by more than this was set.
pub(super) const SET_BACK: SignedDuration = SignedDuration::from_secs(2);

/// A time of which nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    /// The last event before it, and the first after it.
    pub(super) events: [u64; 2],
    pub(super) begin_seen: bool,
    /// Whether it ended.
    pub(super) end_seen: bool,
    pub(super) why: String,
}

impl Hole {
    pub(super) fn span(&self) -> Span {
        Span {
            kind: SpanKind::Down,
            name: String::new(),
            began: self.from,
            ended: self.to,
            begin_seen: self.begin_seen,
            end_seen: self.end_seen,
            inside: false,
            bytes: None,
            bytes_per_second: None,
            note: self.why.clone(),
            events: self.events,
        }
    }
}

/// The holes in the time from `first` to `last`, or until now if the story goes on.
pub(super) fn find(events: &[Event], first: &Event, last: &Event, now: Option<Timestamp>) -> Vec<Hole> {
    let mut holes: Vec<Hole> = Vec::new();
    let mut before: Option<&Event> = None;
    let mut stopping: Option<&Event> = None;
    let in_time = events
        .iter()
        .filter(|event| event.seq >= first.seq && (event.seq <= last.seq || now.is_some()));
    for event in in_time {
        let hole = match (event.kind, stopping, before) {
            // What it saw while it stopped, it saw.
            (EventKind::DaemonStarted, Some(stop), Some(before)) => {
                let why = words::with("farosd was stopped", stop.word("reason"));
                Some(hole(before, event, true, why))
            }
            (EventKind::DaemonStarted, None, Some(before)) => {
                let why = "farosd ended without a word some time in it, and was started again";
                Some(hole(before, event, false, why.to_owned()))
            }
            (_, _, Some(before)) if event.seq.saturating_sub(before.seq) > JUMP => {
                let why = "the record has a hole: numbers of events are missing";
                Some(hole(before, event, false, why.to_owned()))
            }
            (_, _, Some(before)) if before.at.duration_since(event.at) > SET_BACK => {
                let back = words::took(before.at.duration_since(event.at));
                let why = format!("the bastion's clock was set back by {back}");
                Some(hole(before, event, false, why))
            }
            _ => None,
        };
        if event.kind == EventKind::DaemonStopping {
            stopping = Some(event);
        } else if hole.is_some() {
            stopping = None;
        }
        holes.extend(hole);
        before = Some(event);
    }
    holes
}

fn hole(from: &Event, to: &Event, begin_seen: bool, why: String) -> Hole {
    Hole {
        from: from.at.min(to.at),
        to: to.at,
        events: [from.seq, to.seq],
        begin_seen,
        end_seen: true,
        why,
    }
}
