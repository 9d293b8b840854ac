//! The row of phases: one after the other, each begun by what was seen.

use faros_model::{
    event::Event,
    timeline::{Span, SpanKind},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    blank,
    holes::{Hole, SET_BACK},
    start_of,
};
use crate::{
    facts::Facts as _,
    moment::{Moment, Told, is_sign_of_life},
    stand, words,
};

/// What lies between two stages, or between a script and what it makes a loader fetch, is only told of if it
/// took this long.
const WORTH_TELLING: SignedDuration = SignedDuration::from_secs(1);

/// The row of phases, with the transfers inside them.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) spans: Vec<Span>,
    /// When the story came to its end, if it did.
    pub(super) finished: Option<Timestamp>,
}

pub(super) fn walk(own: &[&Event], holes: &[Hole], now: Option<Timestamp>) -> Walked {
    let mut walk = Walk::default();
    let mut holes = holes.iter().peekable();
    let mut last = None;
    for event in own {
        while let Some(hole) = holes.next_if(|hole| hole.events[1] <= event.seq) {
            walk.cut(hole);
        }
        walk.see(event);
        last = Some(event.at);
    }
    for hole in holes {
        walk.cut(hole);
    }
    walk.end(now.or(last));
    Walked {
        spans: walk.spans,
        finished: walk.finished,
    }
}

#[derive(Default)]
struct Walk {
    spans: Vec<Span>,
    current: Option<Span>,
    /// The present phase was cut by a hole, and nothing has borne out yet that it went on.
    unsure: bool,
    /// Whether the machine wanted to be unlocked in the present phase.
    wanted_unlock: bool,
    /// The system asked for an address after its boot came to its end.
    asked_again: bool,
    /// The end of the last phase.
    edge: Option<Timestamp>,
    finished: Option<Timestamp>,
}

impl Walk {
    fn see(&mut self, event: &Event) {
        let moment = Moment::of(event);
        self.bear_out(event, moment);
        match moment {
            Moment::FirmwareAsks => self.begin_unless(&[SpanKind::Firmware], SpanKind::Firmware, "", event),
            Moment::LoaderAsks => {
                self.begin_unless(&[SpanKind::Loader, SpanKind::Script], SpanKind::Loader, "", event);
            }
            Moment::Booting => {
                if self.current.is_none() || self.is_in(&[SpanKind::Reboot, SpanKind::DiskBoot]) {
                    self.begin(SpanKind::Unlock, "", event);
                }
            }
            Moment::SystemAsks | Moment::Advertised | Moment::UnlockRefused => {
                if self.is_in(&[SpanKind::Reboot, SpanKind::DiskBoot]) || self.is_back(moment) {
                    self.begin(SpanKind::Unlock, "", event);
                }
                self.asked_again |= moment == Moment::SystemAsks;
                self.wanted_unlock |= moment != Moment::SystemAsks;
            }
            Moment::LoaderSent => {
                self.transfer(SpanKind::LoaderTransfer, event);
                self.begin(SpanKind::Loader, "", event);
            }
            Moment::Script(Told::LocalDisk) => {
                self.begin_unless(&[SpanKind::DiskBoot], SpanKind::DiskBoot, "", event);
            }
            Moment::Script(Told::Install | Told::Nothing) => self.begin(SpanKind::Script, "", event),
            Moment::KernelSent => {
                self.transfer(SpanKind::Kernel, event);
                self.begin(SpanKind::Script, "", event);
            }
            Moment::InitramfsSent => {
                self.transfer(SpanKind::Initramfs, event);
                self.begin(SpanKind::SystemStart, "", event);
            }
            Moment::ContentSent => self.inner_transfer(event),
            Moment::Booted => self.begin(SpanKind::Ignition, "", event),
            Moment::IgnitionServed => self.begin_unless(&[SpanKind::Ignition], SpanKind::Ignition, "", event),
            Moment::IgnitionFetched => self.begin(SpanKind::Between, "", event),
            Moment::StageStarted(stage) => self.begin(SpanKind::Stage, stage, event),
            Moment::StageDone(stage) => self.stage_done(stage, event),
            Moment::Installed => self.begin(SpanKind::Reboot, "", event),
            // The installer tries the lock that it has just made.
            Moment::Unlocked if self.is_in(&[SpanKind::Ignition, SpanKind::Between, SpanKind::Stage]) => (),
            Moment::Unlocked => {
                if self.current.is_some() || self.is_back(moment) {
                    self.begin(SpanKind::Start, "", event);
                }
            }
            Moment::Started => {
                // A disk that is not encrypted is not unlocked.
                if let Some(span) = self.current.as_mut().filter(|_| !self.wanted_unlock)
                    && span.kind == SpanKind::Unlock
                {
                    span.kind = SpanKind::Start;
                }
                self.finish(event);
            }
            Moment::Failed => self.finish(event),
            Moment::Other => {
                if self.current.is_none() && self.spans.is_empty() && is_sign_of_life(event.kind) {
                    self.begin(SpanKind::Unknown, "", event);
                }
            }
        }
    }

    fn finish(&mut self, event: &Event) {
        self.close(event.at, event.seq, true);
        self.finished = Some(event.at);
        self.asked_again = false;
    }

    /// After a hole: keeps the phase's name if this is how it ends, or what it would bring.
    fn bear_out(&mut self, event: &Event, moment: Moment<'_>) {
        if !self.unsure || !is_sign_of_life(event.kind) {
            return;
        }
        self.unsure = false;
        if let Some(span) = self.current.as_mut()
            && !fits(span, moment)
        {
            (span.kind, span.name) = (SpanKind::Unknown, String::new());
        }
    }

    fn is_in(&self, kinds: &[SpanKind]) -> bool {
        self.current
            .as_ref()
            .is_some_and(|span| kinds.contains(&span.kind))
    }

    /// Whether this shows that the system on the disk boots, at the begin of a session or after a boot that came
    /// to its end. A system that runs may use the unlock service too, so it must have asked for its address
    /// anew, or be refused.
    fn is_back(&self, moment: Moment<'_>) -> bool {
        let rebooted = self.asked_again || moment == Moment::UnlockRefused;
        self.current.is_none() && (self.spans.is_empty() || rebooted)
    }

    fn begin_unless(&mut self, unless: &[SpanKind], kind: SpanKind, name: &str, event: &Event) {
        if !self.is_in(unless) {
            self.begin(kind, name, event);
        }
    }

    fn begin(&mut self, kind: SpanKind, name: &str, event: &Event) {
        self.close(event.at, event.seq, true);
        self.finished = None;
        self.wanted_unlock &= kind == SpanKind::Unlock;
        self.current = Some(Span {
            name: name.to_owned(),
            began: self.after_edge(event.at),
            ..blank(kind, event)
        });
    }

    /// Services tell what they saw in an order that may differ by a moment from that of their clocks.
    fn after_edge(&self, at: Timestamp) -> Timestamp {
        let edge = self.edge.filter(|edge| edge.duration_since(at) <= SET_BACK);
        at.max(edge.unwrap_or(at))
    }

    fn close(&mut self, at: Timestamp, seq: u64, end_seen: bool) {
        let Some(mut span) = self.current.take() else {
            return;
        };
        span.ended = at.max(span.began);
        self.edge = Some(span.ended);
        span.events[1] = seq;
        span.end_seen = end_seen;
        let is_joint = matches!(span.kind, SpanKind::Between | SpanKind::Script);
        if !(is_joint && end_seen && span.took() < WORTH_TELLING) {
            self.spans.push(span);
        }
    }

    /// A transfer that is a phase of its own.
    fn transfer(&mut self, kind: SpanKind, event: &Event) {
        let began = start_of(event).max(self.current.as_ref().map_or(start_of(event), |span| span.began));
        self.close(began, event.seq, true);
        let span = sent(kind, event, self.after_edge(began));
        self.edge = Some(span.ended);
        self.spans.push(span);
    }

    fn inner_transfer(&mut self, event: &Event) {
        let mut span = sent(SpanKind::Content, event, start_of(event));
        span.inside = true;
        self.spans.push(span);
    }

    fn stage_done(&mut self, stage: &str, event: &Event) {
        let is_it = |span: &Span| span.kind == SpanKind::Stage && span.name == stage;
        if !self.current.as_ref().is_some_and(is_it) {
            // Its begin was not heard; the report says how long it took.
            let seconds = i64::try_from(event.number("seconds").unwrap_or(0)).unwrap_or(0);
            let length = SignedDuration::from_secs(seconds.min(86_400));
            let began = event.at.checked_sub(length).unwrap_or(event.at);
            let before = self.current.as_ref().map(|span| span.began).or(self.edge);
            let began = began.max(before.unwrap_or(event.at)).min(event.at);
            self.close(began, event.seq, false);
            self.current = Some(Span {
                name: stage.to_owned(),
                began: self.after_edge(began),
                begin_seen: false,
                ..blank(SpanKind::Stage, event)
            });
        }
        self.begin(SpanKind::Between, "", event);
    }

    /// Nothing is known of the time of a hole.
    fn cut(&mut self, hole: &Hole) {
        let Some(span) = self.current.clone() else {
            self.edge = Some(hole.to);
            return;
        };
        self.close(hole.from, hole.events[0], false);
        self.edge = Some(hole.to);
        self.current = Some(Span {
            began: hole.to,
            begin_seen: false,
            events: [hole.events[1]; 2],
            ..span
        });
        self.unsure = true;
    }

    fn end(&mut self, at: Option<Timestamp>) {
        let (Some(at), Some(span)) = (at, self.current.as_mut()) else {
            return;
        };
        if self.unsure {
            (span.kind, span.name) = (SpanKind::Unknown, String::new());
        }
        span.note = stand::awaited(span.kind, &span.name);
        let seq = span.events[1];
        self.close(at, seq, false);
    }
}

/// Whether a phase that went on unseen may have gone on until this was seen.
fn fits(span: &Span, moment: Moment<'_>) -> bool {
    match span.kind {
        SpanKind::Firmware => matches!(moment, Moment::FirmwareAsks | Moment::LoaderSent),
        SpanKind::Loader => matches!(moment, Moment::LoaderAsks | Moment::Script(_)),
        SpanKind::Script => matches!(moment, Moment::KernelSent | Moment::InitramfsSent),
        SpanKind::SystemStart => matches!(moment, Moment::SystemAsks | Moment::Booted),
        SpanKind::Ignition => matches!(moment, Moment::IgnitionServed | Moment::IgnitionFetched),
        SpanKind::Stage => matches!(moment, Moment::StageDone(stage) if stage == span.name),
        SpanKind::Between => matches!(moment, Moment::StageStarted("disk")),
        SpanKind::Reboot | SpanKind::DiskBoot => {
            matches!(
                moment,
                Moment::SystemAsks | Moment::Booting | Moment::Advertised | Moment::UnlockRefused
            )
        }
        SpanKind::Unlock => matches!(
            moment,
            Moment::SystemAsks
                | Moment::Booting
                | Moment::Advertised
                | Moment::UnlockRefused
                | Moment::Unlocked
                | Moment::Other
        ),
        SpanKind::Start => moment == Moment::Started,
        SpanKind::LoaderTransfer
        | SpanKind::Kernel
        | SpanKind::Initramfs
        | SpanKind::Content
        | SpanKind::Silence
        | SpanKind::Down
        | SpanKind::Unknown => true,
    }
}

fn sent(kind: SpanKind, event: &Event, began: Timestamp) -> Span {
    let bytes = event.number("bytes");
    let name = event.word("name").rsplit('/').next().unwrap_or_default();
    Span {
        name: name.to_owned(),
        began,
        ended: event.at.max(began),
        bytes,
        bytes_per_second: bytes.and_then(|bytes| words::rate(bytes, event.transfer_time())),
        ..blank(kind, event)
    }
}
