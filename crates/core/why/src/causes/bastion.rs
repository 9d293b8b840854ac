//! The bastion is not there for anybody.

use faros_model::{
    event::{Event, EventKind},
    timeline::Confidence,
};

use super::cited;
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    stand::Wait,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "lan-lost",
        confidence: Confidence::Certain,
        means: "the bastion's own interface on the LAN is gone, so no node can reach it",
        told_by: "`interface-lost` with no `interface-back` after it",
        next: "look at the bastion's cable and switch port: `ip -br link`; services go on by themselves when it is back",
        find: lan_lost,
    },
    Rule {
        code: "daemon-was-down",
        confidence: Confidence::Likely,
        means: "farosd was down in the present phase of the boot, so what the node asked for may have gone unanswered and unseen",
        told_by: "`daemon-started` in the present phase",
        next: "the node tries again by itself; if it does not within some minutes, power-cycle {node}",
        find: daemon_was_down,
    },
];

fn lan_lost(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let is_about = |event: &&Event| matches!(event.kind, EventKind::InterfaceLost | EventKind::InterfaceBack);
    let last = case.known.events.iter().rfind(is_about)?;
    (last.kind == EventKind::InterfaceLost).then(|| {
        let found = Found::new(
            format!(
                "the bastion's interface {} on the LAN is gone",
                last.word("interface")
            ),
            vec![case.cite(last)],
        );
        // A node that has failed has stopped for a reason of its own.
        if case.failure().is_some() {
            found.at(Confidence::Aside)
        } else {
            found
        }
    })
}

fn daemon_was_down(case: &Case<'_>, _: &Rule) -> Option<Found> {
    case.phase.as_ref()?;
    let is_about =
        |event: &&Event| matches!(event.kind, EventKind::DaemonStarted | EventKind::DaemonStopping);
    let events: Vec<&Event> = case.since_phase().filter(is_about).collect();
    let started = events
        .iter()
        .rfind(|event| event.kind == EventKind::DaemonStarted)?;
    let last = case.last_sign();
    let spoke = last.is_some_and(|sign| sign.seq > started.seq);
    let found = Found::new(
        "farosd was down while the node was in its present phase, and what the node asked for meanwhile is lost",
        cited(case, &events)
            .into_iter()
            .chain(super::silence(case))
            .collect(),
    );
    // It was late before farosd went.
    let seen = case.known.events.iter().rfind(|event| event.seq < started.seq);
    let late = |wait: Wait| Some(seen?.at.duration_since(last?.at) > wait.patience());
    let was_late = case.wait().and_then(late).unwrap_or(false);
    Some(if spoke || was_late || !case.is_stalled() {
        found.at(Confidence::Aside)
    } else {
        found
    })
}
