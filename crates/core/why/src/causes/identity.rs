//! The machine is not who it should be, or its clock is not.

use faros_model::{
    event::{Event, EventKind},
    timeline::Confidence,
};
use jiff::{SignedDuration, Timestamp};

use super::cited;
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "identity-conflict",
        confidence: Confidence::Certain,
        means: "the machine is not the one it was, or two claim to be one; its boot session gets nothing more",
        told_by: "`identity-conflict`",
        next: "see which machine it is (`farosctl events --node {node}`); if the board was changed on purpose: `farosctl install {node}`, which wipes its disk, and power-cycle it",
        find: identity_conflict,
    },
    Rule {
        code: "clock-off",
        confidence: Confidence::Possible,
        means: "the node's clock is more than five minutes off, which spoils certificates and logs",
        told_by: "`clock` in a report against the bastion's time",
        next: "set the clock in the firmware setup of {node}; an empty battery on its board is the usual cause",
        find: clock_off,
    },
];

const FAR_OFF: SignedDuration = SignedDuration::from_mins(5);

fn identity_conflict(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let events: Vec<&Event> = case
        .own
        .iter()
        .copied()
        .filter(|event| event.kind == EventKind::IdentityConflict)
        .collect();
    let last = events.last()?;
    let summary = format!(
        "the machine is not the one it was: its {} is {}, and was {}",
        last.word("what"),
        words::fact(last, "found"),
        words::fact(last, "expected")
    );
    Some(Found::new(summary, cited(case, &events)))
}

fn clock_off(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let clock = |event: &&Event| event.word("clock").parse::<Timestamp>().ok();
    // The latest report counts: time service may have mended it.
    let last = case.own.iter().rfind(|event| clock(event).is_some())?;
    let written = clock(last)?;
    let by = written.duration_since(last.at);
    (by.abs() > FAR_OFF && !waited_for_farosd(case, last, written)).then(|| {
        let way = if by.is_negative() { "behind" } else { "ahead" };
        let summary = format!("the node's clock is {} {way}", words::took(by.abs()));
        let evidence = format!("{}; its clock said {}", case.cite(last), last.word("clock"));
        Found::new(summary, vec![evidence])
    })
}

/// Whether a report was written, at this time by the node's clock, while farosd was down, and came when it was
/// back: a node tries again.
fn waited_for_farosd(case: &Case<'_>, report: &Event, written: Timestamp) -> bool {
    const SLACK: SignedDuration = SignedDuration::from_mins(1);
    const AGAIN: SignedDuration = SignedDuration::from_mins(10);
    case.known.events.windows(2).any(|pair| {
        pair[1].kind == EventKind::DaemonStarted
            && pair[1].seq < report.seq
            && pair[0].at.duration_since(written) <= SLACK
            && written.duration_since(pair[1].at) <= SLACK
            && report.at.duration_since(pair[1].at) <= AGAIN
    })
}
