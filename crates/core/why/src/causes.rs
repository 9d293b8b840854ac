//! The rows of the catalogue, by what they are about.

pub(crate) mod absent;
pub(crate) mod address;
pub(crate) mod bastion;
pub(crate) mod content;
pub(crate) mod identity;
pub(crate) mod ignition;
pub(crate) mod install;
pub(crate) mod join;
pub(crate) mod loader;
pub(crate) mod member;
pub(crate) mod otherwise;
pub(crate) mod unlock;

use faros_model::{
    api::{ServiceState, ServiceStatus},
    event::{Event, EventKind},
};

use crate::{case::Case, facts::Facts as _, words};

/// Events as evidence: the first and the latest of many, and how many there were.
fn cited(case: &Case<'_>, events: &[&Event]) -> Vec<String> {
    match events {
        [] => vec![],
        [only] => vec![case.cite(only)],
        [first, last] => vec![case.cite(first), case.cite(last)],
        [first, .., last] => vec![
            case.cite(first),
            format!("… {} in all, the latest:", words::times(events.len())),
            case.cite(last),
        ],
    }
}

/// Whether it is about the node itself: somebody at its address may have spoken as another.
fn is_of(case: &Case<'_>, event: &Event) -> bool {
    matches!(event.word("node"), "") || event.word("node") == case.known.node.name.as_str()
}

/// The latest event of one kind that no event of the other kind came after.
fn latest<'a>(case: &Case<'a>, kind: EventKind, but: EventKind) -> Option<&'a Event> {
    let over = case.last(but).map_or(0, |event| event.seq);
    case.last(kind).filter(|event| event.seq > over)
}

/// How long nothing was heard of the node, as evidence.
fn silence(case: &Case<'_>) -> Option<String> {
    let silent = words::took(case.silent_for()?);
    let phase = case.phase.as_ref()?;
    let awaited = crate::stand::awaited(phase.kind, &phase.name);
    Some(format!("silent for {silent} since; awaited: {awaited}"))
}

/// The last thing heard of a node, and how long it has been silent since.
fn last_and_silence(case: &Case<'_>) -> Vec<String> {
    let last = case.last_sign().map(|event| case.cite(event));
    let overdue = case.recent_last(EventKind::PhaseOverdue);
    let overdue = overdue.map(|event| case.cite(event));
    last.into_iter().chain(silence(case)).chain(overdue).collect()
}

/// A service that does not answer, as evidence.
fn service_says(status: &ServiceStatus) -> String {
    let state = match status.state {
        ServiceState::Ready => "ready",
        ServiceState::Waiting => "waiting",
        ServiceState::Off => "switched off",
        ServiceState::Failed => "failed",
    };
    words::with(
        &format!("the service {} is {state} now", status.service.as_str()),
        &status.reason,
    )
}
