//! What is known of a node, made ready for the causes to ask.

use faros_model::{
    api::{ServiceState, ServiceStatus},
    event::{Event, EventKind},
    plan::Service,
    timeline::{Span, SpanKind},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    facts::Facts as _,
    known::Known,
    moment::{Moment, Told, is_sign_of_life},
    stand::{self, Wait},
    timeline::phases,
    words,
};

/// One node's case.
pub(crate) struct Case<'a> {
    pub(crate) known: &'a Known<'a>,
    /// The node's events of its present session, and those after it that belong to none.
    pub(crate) own: Vec<&'a Event>,
    /// The phase in which the node is now; `None` if it was never seen, or its boot came to an end.
    pub(crate) phase: Option<Span>,
}

impl<'a> Case<'a> {
    pub(crate) fn of(known: &'a Known<'a>) -> Self {
        let session = known.status.session;
        let is_node = |event: &&Event| event.node.as_ref() == Some(&known.node.name);
        let first = known
            .events
            .iter()
            .filter(is_node)
            .find(|event| session.is_some() && event.session == session)
            .map(|event| event.seq);
        let belongs = |event: &&Event| match first {
            Some(first) => event.session == session || (event.session.is_none() && event.seq > first),
            None => event.session.is_none(),
        };
        let own: Vec<&Event> = known.events.iter().filter(is_node).filter(belongs).collect();
        let phase = phases(&own, known.now);
        let mut case = Self { known, own, phase };
        // A disk that the bastion does not help to unlock is not waited for.
        if let (false, Some(phase)) = (case.unlocks_by_tang(), case.phase.as_mut())
            && phase.kind == SpanKind::Unlock
        {
            phase.kind = SpanKind::Start;
        }
        case
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.known.now
    }

    /// Whether the node is in one of these phases.
    pub(crate) fn is_in(&self, kinds: &[SpanKind]) -> bool {
        self.phase
            .as_ref()
            .is_some_and(|phase| kinds.contains(&phase.kind))
    }

    pub(crate) fn wait(&self) -> Option<Wait> {
        let phase = self.phase.as_ref()?;
        Some(stand::wait(phase.kind, &phase.name))
    }

    /// How long nothing was heard of the node.
    pub(crate) fn silent_for(&self) -> Option<SignedDuration> {
        Some(self.now().duration_since(self.last_sign()?.at))
    }

    /// The last thing the machine did.
    pub(crate) fn last_sign(&self) -> Option<&'a Event> {
        self.own
            .iter()
            .rfind(|event| is_sign_of_life(event.kind))
            .copied()
    }

    /// Whether nothing was heard of the node for longer than its phase allows, and nothing is being sent to it.
    pub(crate) fn is_stalled(&self) -> bool {
        let late = |wait: Wait| self.silent_for().is_some_and(|silent| silent > wait.patience());
        self.known.status.transfer.is_none() && self.wait().is_some_and(late)
    }

    /// The node's events of the present phase: from what began it.
    pub(crate) fn recent(&self) -> impl DoubleEndedIterator<Item = &'a Event> {
        let since = self.phase.as_ref().map_or(0, |phase| phase.events[0]);
        self.own.iter().copied().filter(move |event| event.seq >= since)
    }

    /// The latest of the node's events of this kind in the present phase.
    pub(crate) fn recent_last(&self, kind: EventKind) -> Option<&'a Event> {
        self.recent().rfind(|event| event.kind == kind)
    }

    /// The node's events of this kind in the present phase.
    pub(crate) fn recent_all(&self, kind: EventKind) -> Vec<&'a Event> {
        self.recent().filter(|event| event.kind == kind).collect()
    }

    /// The latest of the node's events of this kind in the present session.
    pub(crate) fn last(&self, kind: EventKind) -> Option<&'a Event> {
        self.own.iter().rfind(|event| event.kind == kind).copied()
    }

    /// The latest report of this name in the present session.
    pub(crate) fn report(&self, name: &str) -> Option<&'a Event> {
        self.own
            .iter()
            .rfind(|event| event.report() == Some(name))
            .copied()
    }

    /// The failure that the node reported, if that was the last of its boot.
    pub(crate) fn failure(&self) -> Option<&'a Event> {
        let last = self.own.iter().rfind(|event| {
            let moment = Moment::of(event);
            !matches!(moment, Moment::Other | Moment::ContentSent | Moment::SystemAsks)
        })?;
        (Moment::of(last) == Moment::Failed).then_some(*last)
    }

    /// The last boot script of the present session.
    pub(crate) fn script(&self) -> Option<(&'a Event, Told)> {
        self.own.iter().rev().find_map(|event| match Moment::of(event) {
            Moment::Script(told) => Some((*event, told)),
            _ => None,
        })
    }

    /// Everything recorded of the node, in any session.
    pub(crate) fn history(&self) -> impl DoubleEndedIterator<Item = &'a Event> {
        let node = &self.known.node.name;
        self.known
            .events
            .iter()
            .filter(move |event| event.node.as_ref() == Some(node))
    }

    /// Whether the machine was ever heard of.
    pub(crate) fn is_seen(&self) -> bool {
        self.history().any(|event| is_sign_of_life(event.kind))
    }

    /// The latest event of this kind, whoever it is about.
    pub(crate) fn last_of_all(&self, kind: EventKind) -> Option<&'a Event> {
        self.known.events.iter().rfind(|event| event.kind == kind)
    }

    /// Events of whomever, not older than this.
    pub(crate) fn within(&self, time: SignedDuration) -> impl DoubleEndedIterator<Item = &'a Event> {
        let now = self.now();
        let young = move |event: &&Event| now.duration_since(event.at) <= time;
        self.known.events.iter().filter(young)
    }

    /// Events of whomever since the present phase began.
    pub(crate) fn since_phase(&self) -> impl DoubleEndedIterator<Item = &'a Event> {
        let since = self.phase.as_ref().map_or(u64::MAX, |phase| phase.events[0]);
        self.known.events.iter().filter(move |event| event.seq >= since)
    }

    /// A service that does not answer.
    pub(crate) fn not_ready(&self, service: Service) -> Option<&'a ServiceStatus> {
        let own = self.known.services.iter().find(|own| own.service == service)?;
        (own.state != ServiceState::Ready).then_some(own)
    }

    /// An event as evidence.
    pub(crate) fn cite(&self, event: &Event) -> String {
        words::cite(self.now(), event)
    }

    /// Whether the site has the bastion help to unlock this node's disk.
    pub(crate) fn unlocks_by_tang(&self) -> bool {
        let encryption = &self.known.node.encryption;
        encryption.threshold > 0 && encryption.of.contains(&faros_model::site::UnlockBy::Tang)
    }

    /// Whether the node's disk ever got an operating system, as far as is recorded.
    pub(crate) fn was_installed(&self) -> Option<&'a Event> {
        self.history().rfind(|event| {
            matches!(
                Moment::of(event),
                Moment::Installed | Moment::Unlocked | Moment::Started
            )
        })
    }
}
