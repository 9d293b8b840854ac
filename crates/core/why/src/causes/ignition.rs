//! The system is up, and does not get its Ignition config, or does nothing with it.

use faros_model::{
    event::{Event, EventKind},
    plan::Service,
    timeline::{Confidence, SpanKind},
};

use super::{cited, last_and_silence, service_says};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "ignition-not-ready",
        confidence: Confidence::Certain,
        means: "the bastion's Ignition service does not answer, and the node needs it next",
        told_by: "the state of the service",
        next: "`farosctl status` says why",
        find: not_ready,
    },
    refused(
        "ignition-unknown-node",
        "somebody asked for the Ignition config of a node that the site file does not have",
        "check the name that {node} was booted with; after a rename, power-cycle it so that it gets a new boot script",
    ),
    refused(
        "ignition-wrong-address",
        "the node's Ignition config was asked for from another address than the node's",
        "find out which machine that is; if it is {node}, another DHCP server or a static address gave it the wrong one: it must be {address}",
    ),
    refused(
        "ignition-wrong-mac",
        "the node's Ignition config was asked for by a machine with another MAC",
        "find out which machine that is; if the node's network card was changed, set `bootMac` of {node} in the site file and run `farosctl apply site.yaml`",
    ),
    refused(
        "ignition-not-armed",
        "the node asked for its Ignition config and is not armed",
        "if it is to be installed, which wipes its disk: `farosctl install {node}`, then power-cycle it",
    ),
    refused(
        "ignition-used",
        "the Ignition config of this boot was given out already, and it is given out once",
        "power-cycle {node}, so that a new boot begins; if it did not ask twice itself, another machine did: see `farosctl events --node {node}`",
    ),
    refused(
        "ignition-late",
        "the node asked for its Ignition config so long after its boot script that it is no longer given out",
        "power-cycle {node}; if it happens again, `farosctl timeline {node}` shows what takes so long",
    ),
    refused(
        "ignition-wrong-nonce",
        "the Ignition config was asked for with the secret word of another boot",
        "power-cycle {node}; if it happens again, another machine on the LAN tries old addresses: see `farosctl events --node {node}`",
    ),
    refused(
        "ignition-identity-conflict",
        "the Ignition config is withheld, because the machine is not the one it was",
        "see the cause `identity-conflict`",
    ),
    Rule {
        code: "ignition-refused",
        confidence: Confidence::Certain,
        means: "the node was refused its Ignition config, for a reason that has no row of its own",
        told_by: "`ignition-refused`",
        next: "do away with the reason, then power-cycle {node}",
        find: refused_otherwise,
    },
    Rule {
        code: "ignition-not-fetched",
        confidence: Confidence::Likely,
        means: "the system is up and reports, and never asked for its Ignition config",
        told_by: "the report `booted`, and neither `ignition-served` nor `ignition-refused`",
        next: "look at the console of {node}; check that its image passes `ignition.config.url` on, and that it has the address {address}",
        find: not_fetched,
    },
    Rule {
        code: "ignition-silent",
        confidence: Confidence::Likely,
        means: "the node has its Ignition config, and reported nothing since",
        told_by: "`ignition-served`, and no report",
        next: "look at the console of {node}: Ignition stops with an emergency shell if it cannot do what the config says",
        find: silent,
    },
];

/// A row for one word of `ignition-refused`: the code after `ignition-`.
const fn refused(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: "`ignition-refused` with this reason, and no `ignition-served` after it",
        next,
        find: find_refused,
    }
}

/// The reasons as sentences, as they were told before they had words.
const SENTENCES: &[(&str, &str)] = &[
    ("there is no such node", "unknown-node"),
    ("another machine asked for it", "wrong-address"),
    ("the node is not armed", "not-armed"),
];

fn reason(event: &Event) -> &str {
    let said = event.word("reason");
    let old = SENTENCES.iter().find(|(sentence, _)| *sentence == said);
    old.map_or(said, |(_, word)| word)
}

fn waits(case: &Case<'_>) -> bool {
    case.is_in(&[SpanKind::SystemStart, SpanKind::Ignition])
}

/// The refusals of the node's config since its system began to start, if it has none yet.
fn refusals<'a>(case: &Case<'a>) -> Vec<&'a Event> {
    let node = case.known.node.name.as_str();
    let is_own =
        |event: &&Event| event.node.as_ref() == Some(&case.known.node.name) || event.word("node") == node;
    let served = case
        .recent_last(EventKind::IgnitionServed)
        .map_or(0, |event| event.seq);
    if !waits(case) {
        return vec![];
    }
    case.since_phase()
        .filter(|event| event.kind == EventKind::IgnitionRefused && event.seq > served)
        .filter(is_own)
        .collect()
}

fn not_ready(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let status = case.not_ready(Service::Ignition).filter(|_| waits(case))?;
    let summary = "the bastion's Ignition service does not answer, so the node gets no config";
    Some(Found::new(summary, vec![service_says(status)]))
}

fn find_refused(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let word = rule.code.strip_prefix("ignition-")?;
    let refusals = refusals(case);
    let last = refusals.last().filter(|last| reason(last) == word)?;
    let from = match last.word("address") {
        "" => String::new(),
        address => format!(" ({address} asked)"),
    };
    Some(Found::new(
        format!("{}{from}", rule.means),
        cited(case, &refusals),
    ))
}

fn refused_otherwise(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let refusals = refusals(case);
    let last = refusals.last()?;
    let has_row = RULES
        .iter()
        .any(|row| row.code != rule.code && row.code.strip_prefix("ignition-") == Some(reason(last)));
    (!has_row).then(|| {
        let summary = words::with("the node is refused its Ignition config", words::message(last));
        Found::new(summary, cited(case, &refusals))
    })
}

fn not_fetched(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::Ignition]) && case.is_stalled();
    let served = case.recent_last(EventKind::IgnitionServed).is_some();
    (stalled && !served && refusals(case).is_empty()).then(|| {
        Found::new(
            "the system is up and never asked for its Ignition config",
            last_and_silence(case),
        )
    })
}

fn silent(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::Ignition]) && case.is_stalled();
    let served = case.recent_last(EventKind::IgnitionServed).filter(|_| stalled)?;
    let mut evidence = vec![case.cite(served)];
    evidence.extend(super::silence(case));
    Some(Found::new(
        "the node has its Ignition config, and has reported nothing since",
        evidence,
    ))
}
