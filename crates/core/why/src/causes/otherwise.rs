//! What is told when no cause fits: that all is well, or what was last seen and what should come next.

use faros_model::timeline::{Confidence, HowFar};

use super::last_and_silence;
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    stand,
    timeline::how_far,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "started",
        confidence: Confidence::Certain,
        means: "nothing is wrong: the node started from its disk and said so",
        told_by: "the report `started`",
        next: "nothing need be done",
        find: started,
    },
    Rule {
        code: "on-its-way",
        confidence: Confidence::Likely,
        means: "nothing is wrong: the node is in the middle of its boot, and not late",
        told_by: "its last sign of life, and how long the phase usually takes",
        next: "wait; `farosctl watch --node {node}` shows what comes",
        find: on_its_way,
    },
    Rule {
        code: "silent",
        confidence: Confidence::Possible,
        means: "the node is late, and nothing that was seen says why",
        told_by: "its last sign of life, and what should have come",
        next: "look at the console of {node}; `farosctl timeline {node}` shows its boot so far",
        find: silent,
    },
    Rule {
        code: "nothing-known",
        confidence: Confidence::Possible,
        means: "nothing that is recorded of the node says what it does",
        told_by: "what is recorded",
        next: "look at the console of {node}; `farosctl events --node {node}` shows all that is recorded",
        find: nothing_known,
    },
];

fn started(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let report = case.report("started").filter(|_| case.phase.is_none())?;
    let summary = format!(
        "nothing is wrong: the node started from its disk {}",
        words::ago(case.now(), report.at)
    );
    Some(Found::new(summary, vec![case.cite(report)]))
}

fn on_its_way(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let phase = case.phase.as_ref().filter(|_| !case.is_stalled())?;
    let wait = case.wait()?;
    let awaited = stand::awaited(phase.kind, &phase.name);
    let time = case.now().duration_since(phase.began);
    let does = stand::doing(phase.kind, &phase.name);
    let late = time.as_secs() > i64::from(wait.usual) && case.known.status.transfer.is_none();
    let (lead, more) = if late {
        let more = format!(", and is given {} s", wait.patience);
        ("nothing is known to be wrong, but it is late", more)
    } else {
        ("nothing is wrong", String::new())
    };
    let summary = format!(
        "{lead}: {does}, for {}; {awaited} comes next, usually within {} s{more}",
        words::took(time),
        wait.usual
    );
    let mut evidence = vec![case.cite(case.last_sign()?)];
    evidence.extend(case.known.status.transfer.as_ref().map(|transfer| {
        format!(
            "{} is being sent: {} of {}",
            transfer.name,
            words::size(transfer.bytes),
            words::size(transfer.of)
        )
    }));
    let found = Found::new(summary, evidence);
    Some(if late {
        found.at(Confidence::Possible)
    } else {
        found
    })
}

fn silent(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let phase = case.phase.as_ref()?;
    let awaited = stand::awaited(phase.kind, &phase.name);
    let last = case.last_sign()?;
    let summary = format!(
        "{}, and was last heard of {}; {awaited} should have come",
        stand::doing(phase.kind, &phase.name),
        words::ago(case.now(), last.at)
    );
    let evidence = last_and_silence(case).into_iter().chain(phase_says(case));
    Some(Found::new(summary, evidence.collect()))
}

/// What is said beside the node's phase, if anything is.
fn phase_says(case: &Case<'_>) -> Option<String> {
    let status = case.known.status;
    let says = || format!("its phase is {}: {}", status.phase, status.reason);
    (!status.reason.is_empty()).then(says)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every row's function")]
fn nothing_known(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let (reached, _) = how_far(&case.own);
    let last = case.history().next_back();
    let evidence = match last {
        Some(event) => case.cite(event),
        None => format!(
            "{} events are recorded, none of this node",
            case.known.events.len()
        ),
    };
    let summary = match reached {
        HowFar::Seen => "nothing that is recorded says what the node does".to_owned(),
        reached => format!("the node came as far as `{reached}`, and nothing recorded says what it does now"),
    };
    let evidence = std::iter::once(evidence).chain(phase_says(case));
    Some(Found::new(summary, evidence.collect()))
}
