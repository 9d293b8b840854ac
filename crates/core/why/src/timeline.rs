//! From the events of one boot session to its story.
//!
//! The story is a row of phases that do not overlap, each with what was sent or waited for inside it. A phase
//! begins with what was seen of it and not earlier. Where the bastion was not there to see, the phase ends,
//! and what follows is only given a name again if the next thing seen bears it out.

mod holes;
mod silence;
mod walk;

use std::collections::BTreeMap;

use faros_model::{
    event::{Event, EventKind},
    ids::{HostName, SessionId},
    timeline::{HowFar, Mark, SessionInfo, Span, Timeline},
};
use jiff::Timestamp;

use crate::{
    facts::Facts as _,
    moment::{Moment, Told},
    words,
};

/// What was recorded of one boot session.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'a> {
    /// Whose it is.
    pub node: &'a HostName,
    /// Which one it is.
    pub session: SessionId,
    /// Its events, and those about the site itself in its time, by number. Others prove that the bastion was
    /// there to see, and are left out of the story.
    pub events: &'a [Event],
    /// The present time, if the session may go on: it is its node's latest.
    pub now: Option<Timestamp>,
}

/// The story of a boot session; `None` if there is no event of it.
pub fn timeline(recorded: &Recorded<'_>) -> Option<Timeline> {
    let is_own = |event: &&Event| {
        event.node.as_ref() == Some(recorded.node) && event.session == Some(recorded.session)
    };
    let own: Vec<&Event> = recorded.events.iter().filter(is_own).collect();
    let (first, last) = (own.first()?, own.last()?);
    let began = start_of(first);
    let holes = holes::find(recorded.events, first, last, recorded.now);
    let walked = walk::walk(&own, &holes, recorded.now);
    let (reached, reason) = how_far(&own);

    let mut spans = walked.spans;
    let ended = match (walked.finished, recorded.now) {
        (Some(finished), _) => finished,
        (None, Some(now)) => now.max(last.at),
        (None, None) => last.at,
    };
    // The clock may have been set back.
    let ended = ended.max(began);
    let open = walked.finished.is_none() && recorded.now.is_some();
    let lived: Vec<&Event> = own.iter().copied().filter(|event| event.at <= ended).collect();
    let silences = silence::find(&lived, &spans, &holes, open.then_some(ended));
    spans.retain(|span| span.began <= ended);
    spans.extend(silences);
    spans.extend(holes.iter().map(holes::Hole::span));
    spans.sort_by_key(|span| (span.began, span.inside, span.events));

    let in_its_time = |event: &&Event| is_own(event) || (event.node.is_none() && event.session.is_none());
    let marks = recorded.events.iter().filter(in_its_time);
    let marks =
        marks.filter(|event| (first.seq..=last.seq).contains(&event.seq) || (open && event.seq > first.seq));
    let mut marks: Vec<Mark> = marks.filter_map(mark).collect();
    // That a service is ready is news only after it was not.
    let failed = marks.iter().find(|mark| mark.kind == EventKind::ServiceFailed);
    let failed = failed.map_or(u64::MAX, |mark| mark.seq);
    marks.retain(|mark| mark.kind != EventKind::ServiceReady || mark.seq > failed);
    let last_alarm = marks.iter().filter(|mark| mark.alarm).map(|mark| mark.at).max();
    let ended = ended.max(last_alarm.unwrap_or(ended));
    Some(Timeline {
        node: recorded.node.clone(),
        session: recorded.session,
        began,
        ended,
        open,
        reached,
        reason,
        spans,
        marks: marks.into_iter().filter(|mark| mark.at <= ended).collect(),
    })
}

/// The phase in which a node is now, whatever holes there are in what is known of it.
pub(crate) fn phases(own: &[&Event], now: Timestamp) -> Option<Span> {
    let walked = walk::walk(own, &[], Some(now));
    let last = walked.spans.into_iter().rfind(|span| !span.inside)?;
    (walked.finished.is_none() && !last.end_seen).then_some(last)
}

/// The boot sessions of one node among events, latest first.
pub fn sessions(node: &HostName, events: &[Event]) -> Vec<SessionInfo> {
    let mut by_session: BTreeMap<SessionId, Vec<&Event>> = BTreeMap::new();
    for event in events.iter().filter(|event| event.node.as_ref() == Some(node)) {
        if let Some(session) = event.session {
            by_session.entry(session).or_default().push(event);
        }
    }
    let latest = by_session.keys().next_back().copied();
    let rows = by_session.into_iter().rev().filter_map(|(session, own)| {
        let (reached, reason) = how_far(&own);
        Some(SessionInfo {
            session,
            began: start_of(own.first()?),
            ended: own.last()?.at,
            latest: latest == Some(session),
            reached,
            reason,
            events: own.len(),
        })
    });
    rows.collect()
}

/// When that began which an event tells of: a transfer is told of at its end.
fn start_of(event: &Event) -> Timestamp {
    event.at.checked_sub(event.transfer_time()).unwrap_or(event.at)
}

/// How far a session came, and what it failed of.
pub(crate) fn how_far(own: &[&Event]) -> (HowFar, String) {
    let mut reached = HowFar::Seen;
    let mut reason = String::new();
    for event in own {
        let step = match Moment::of(event) {
            Moment::LoaderSent | Moment::LoaderAsks => HowFar::Loader,
            Moment::Script(Told::Install | Told::Nothing) => HowFar::Script,
            Moment::Script(Told::LocalDisk) => HowFar::LocalBoot,
            Moment::KernelSent | Moment::InitramfsSent => HowFar::Kernel,
            Moment::Booted => HowFar::Booted,
            Moment::IgnitionServed | Moment::IgnitionFetched => HowFar::Ignition,
            Moment::StageStarted(_) | Moment::StageDone(_) => HowFar::Installing,
            Moment::Installed => HowFar::Installed,
            // The installer tries the lock that it has just made.
            Moment::Unlocked if matches!(reached, HowFar::Ignition | HowFar::Installing) => HowFar::Seen,
            Moment::Unlocked => HowFar::Unlocked,
            Moment::Started => HowFar::Started,
            Moment::Failed => {
                reason = words::failure(event);
                HowFar::Failed
            }
            Moment::FirmwareAsks
            | Moment::SystemAsks
            | Moment::Booting
            | Moment::ContentSent
            | Moment::Advertised
            | Moment::UnlockRefused
            | Moment::Other => HowFar::Seen,
        };
        reached = reached.max(step);
    }
    (reached, reason)
}

/// What of an event is worth a mark. What spans tell is left out.
fn mark(event: &Event) -> Option<Mark> {
    let alarm = match event.kind {
        EventKind::DhcpNak
        | EventKind::DhcpDecline
        | EventKind::RogueDhcpServer
        | EventKind::AddressConflict
        | EventKind::TransferFailed
        | EventKind::IgnitionRefused
        | EventKind::JoinRefused
        | EventKind::TendRefused
        | EventKind::NodeNotReady
        | EventKind::NodePressure
        | EventKind::CertificateDenied
        | EventKind::UnlockRefused
        | EventKind::UnlockLockdown
        | EventKind::IdentityConflict
        | EventKind::PhaseOverdue
        | EventKind::ServiceFailed
        | EventKind::InterfaceLost
        | EventKind::RouterRepaired
        | EventKind::ContentDamaged
        | EventKind::DaemonStopping => true,
        EventKind::NodeReport => matches!(
            event.word("report"),
            "failed" | "join-failed" | "join-stuck" | "kubelet-ill" | "disk-full"
        ),
        EventKind::DhcpAck
        | EventKind::BootScriptServed
        | EventKind::IgnitionServed
        | EventKind::UnlockAdvertised
        | EventKind::UnlockRecovered
        | EventKind::UnlockBound
        | EventKind::UnlockUnbound
        | EventKind::UnlockLockdownLifted
        | EventKind::NodeArmed
        | EventKind::NodeDisarmed
        | EventKind::ServiceReady
        | EventKind::InterfaceBack
        | EventKind::DaemonStarted => false,
        // Spans tell it, or it is the ordinary course of things.
        _ => return None,
    };
    let is_stage = event.report() == Some("stage");
    (!is_stage).then(|| Mark {
        at: event.at,
        seq: event.seq,
        kind: event.kind,
        text: words::told(event),
        alarm,
    })
}

/// A span with nothing in it yet.
fn blank(kind: faros_model::timeline::SpanKind, event: &Event) -> Span {
    Span {
        kind,
        name: String::new(),
        began: event.at,
        ended: event.at,
        begin_seen: true,
        end_seen: true,
        inside: false,
        bytes: None,
        bytes_per_second: None,
        note: String::new(),
        events: [event.seq, event.seq],
    }
}
