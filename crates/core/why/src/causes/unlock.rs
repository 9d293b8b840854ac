//! The installed system wants its disk unlocked, and is not helped, or does not ask.

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
        code: "locked-down",
        confidence: Confidence::Certain,
        means: "all unlocking is stopped by a lockdown, so the node's disk stays closed",
        told_by: "the lockdown, and a node that waits to be unlocked",
        next: "if the reason is gone: `farosctl lockdown --lift`; the node tries again by itself",
        find: locked_down,
    },
    Rule {
        code: "unlock-not-ready",
        confidence: Confidence::Certain,
        means: "the bastion's unlock service does not answer, and the node waits to be unlocked",
        told_by: "the state of the service",
        next: "`farosctl status` says why; sealed keys may wait for their passphrase",
        find: not_ready,
    },
    refused(
        "unlock-unknown-machine",
        "help to unlock is refused to a machine that the site file does not know",
        "if it is {node}, it speaks from the wrong address or network card: it must be {address}, {mac}",
    ),
    refused(
        "unlock-wrong-mac",
        "help to unlock is refused, because the node's address is used by another MAC",
        "find out which machine that is; if the network card of {node} was changed, set `bootMac` in the site file and run `farosctl apply site.yaml`",
    ),
    refused(
        "unlock-not-booting",
        "help to unlock is refused, because the node is in no boot session",
        "power-cycle {node}, so that the bastion sees it boot; if it asks while it runs, somebody on it tries to open its disk",
    ),
    refused(
        "unlock-not-bound",
        "help to unlock is refused, because the node's disk was never bound to this key",
        "`farosctl unlock ledger` shows who depends on which key; if its disk is from another machine, install {node} anew: `farosctl install {node}`, which wipes it",
    ),
    refused(
        "unlock-rate-limited",
        "help to unlock is refused, because the node asked too often",
        "wait a minute; if it goes on, look at the console of {node}: it asks, is helped, and cannot use the answer",
    ),
    refused(
        "unlock-unknown-key",
        "help to unlock is refused, because the bastion no longer has, or never had, the key that the disk is bound to",
        "restore the key from its backup (`farosctl unlock restore`), or install {node} anew: `farosctl install {node}`, which wipes it",
    ),
    refused(
        "unlock-malformed",
        "help to unlock is refused, because the question is not understood",
        "look at the console of {node}: its clevis is broken or is not clevis",
    ),
    Rule {
        code: "unlock-refused",
        confidence: Confidence::Certain,
        means: "help to unlock is refused, for a reason that has no row of its own",
        told_by: "`unlock-refused`",
        next: "do away with the reason; the node tries again by itself",
        find: refused_otherwise,
    },
    Rule {
        code: "unlock-not-asked",
        confidence: Confidence::Likely,
        means: "the system on the node's disk has an address, and never asked to be unlocked",
        told_by: "the system's `dhcp-discover` after the boot from disk, and no `unlock-` event",
        next: "look at the console of {node}: its initramfs waits for a passphrase or does not reach {bastion}; check that nothing filters it",
        find: not_asked,
    },
    Rule {
        code: "unlocked-not-started",
        confidence: Confidence::Likely,
        means: "the bastion helped to unlock the node's disk, and the system never reported that it started",
        told_by: "`unlock-recovered`, and silence",
        next: "look at the console of {node}: the disk is open; a file system check or a unit that hangs is the usual cause",
        find: unlocked_not_started,
    },
    Rule {
        code: "not-started",
        confidence: Confidence::Likely,
        means: "the system on the node's disk has an address, needs no help to unlock, and never reported that it started",
        told_by: "the system's `dhcp-discover` after the boot from disk, and silence",
        next: "look at the console of {node}: a file system check, a passphrase or a unit that hangs is the usual cause",
        find: not_started,
    },
];

/// A row for one word of `unlock-refused`: the code after `unlock-`.
const fn refused(code: &'static str, means: &'static str, next: &'static str) -> Rule {
    Rule {
        code,
        confidence: Confidence::Certain,
        means,
        told_by: "`unlock-refused` with this reason, and no `unlock-recovered` after it",
        next,
        find: find_refused,
    }
}

/// Whether to be unlocked is what the node needs next.
fn waits(case: &Case<'_>) -> bool {
    case.is_in(&[SpanKind::Reboot, SpanKind::DiskBoot, SpanKind::Unlock])
}

/// The refusals since the node began to boot its disk: its own, and those of machines that nobody knows.
fn refusals<'a>(case: &Case<'a>) -> Vec<&'a Event> {
    if !waits(case) && !case.is_in(&[SpanKind::Stage, SpanKind::Unknown]) {
        return vec![];
    }
    let node = &case.known.node;
    let is_own = |event: &&Event| match &event.node {
        Some(name) => *name == node.name,
        None => true,
    };
    case.since_phase()
        .filter(|event| event.kind == EventKind::UnlockRefused)
        .filter(is_own)
        .collect()
}

fn locked_down(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let refusals = refusals(case);
    let stopped = case.last_of_all(EventKind::UnlockLockdown);
    let concerns = (waits(case) && case.unlocks_by_tang()) || !refusals.is_empty();
    // The record may be shorter than the lockdown.
    let lifted = case
        .last_of_all(EventKind::UnlockLockdownLifted)
        .map_or(0, |event| event.seq);
    let told = refusals
        .last()
        .is_some_and(|last| last.word("reason") == "locked-down" && last.seq > lifted);
    ((case.known.lockdown && concerns) || told).then(|| {
        let mut evidence = vec![match stopped {
            Some(event) => case.cite(event),
            None => "the lockdown is on, and was begun longer ago than the record goes back".to_owned(),
        }];
        evidence.extend(cited(case, &refusals));
        let why = stopped.map_or("", |event| event.word("reason"));
        let summary = words::with("all unlocking is stopped, so the node's disk stays closed", why);
        Found::new(summary, evidence)
    })
}

fn not_ready(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let waits = waits(case) && case.unlocks_by_tang();
    let own = case.not_ready(Service::Unlock).filter(|_| waits)?;
    Some(Found::new(
        "the bastion's unlock service does not answer, so the node's disk stays closed",
        vec![service_says(own)],
    ))
}

fn find_refused(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let word = rule.code.strip_prefix("unlock-")?;
    let refusals = refusals(case);
    let last = refusals.last().filter(|last| last.word("reason") == word)?;
    let summary = match last.word("address") {
        "" => rule.means.to_owned(),
        address => format!("{} ({address} asked)", rule.means),
    };
    let found = Found::new(summary, cited(case, &refusals));
    Some(if last.node.is_none() {
        // Nobody knows whose question it was.
        found.at(Confidence::Likely)
    } else {
        found
    })
}

fn refused_otherwise(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let refusals = refusals(case);
    let last = refusals.last()?;
    let word = last.word("reason");
    let has_row = RULES
        .iter()
        .any(|row| row.code != rule.code && row.code.strip_prefix("unlock-") == Some(word));
    // A lockdown has a row of its own; one that is over is the cause of nothing, for the node asks again.
    (!has_row && word != "locked-down").then(|| {
        let summary = words::with("the node is refused help to unlock", words::message(last));
        Found::new(summary, cited(case, &refusals))
    })
}

fn not_asked(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let stalled = case.is_in(&[SpanKind::Unlock]) && case.is_stalled();
    (stalled && case.unlocks_by_tang() && refusals(case).is_empty()).then(|| {
        Found::new(
            "the system on the node's disk has spoken, and never asked to be unlocked",
            last_and_silence(case),
        )
    })
}

/// Whether the system on the disk starts and does not report.
fn starts_in_vain(case: &Case<'_>) -> bool {
    case.is_in(&[SpanKind::Start]) && case.is_stalled()
}

fn unlocked_not_started(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let unlocked = case
        .recent_last(EventKind::UnlockRecovered)
        .filter(|_| starts_in_vain(case))?;
    let mut evidence = vec![case.cite(unlocked)];
    evidence.extend(super::silence(case));
    Some(Found::new(
        "the node's disk was unlocked, and its system has not reported that it started",
        evidence,
    ))
}

fn not_started(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let helped = case.recent_last(EventKind::UnlockRecovered).is_some();
    (starts_in_vain(case) && !helped).then(|| {
        Found::new(
            "the system on the node's disk has spoken, and has not reported that it started",
            last_and_silence(case),
        )
    })
}
