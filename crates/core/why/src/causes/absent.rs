//! The node is not there: it was never seen, or not since it should have come.

use faros_model::{api::Discovered, event::EventKind, timeline::Confidence};
use jiff::SignedDuration;
use serde_json::Value;

use crate::{
    case::Case,
    catalogue::{Found, Rule},
    moment::Moment,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "wrong-mac",
        confidence: Confidence::Likely,
        means: "the node was never seen, and a machine that is not in the site file network-boots",
        told_by: "no packet of the node's MAC, and a discovered machine that was seen lately",
        next: "if it is this machine, set `bootMac` of {node} in the site file to its MAC and run `farosctl apply site.yaml`; `farosctl discovered` shows all it said",
        find: wrong_mac,
    },
    Rule {
        code: "never-seen",
        confidence: Confidence::Likely,
        means: "no packet of the node has ever been seen",
        told_by: "nothing recorded of its MAC",
        next: "power it on, have its firmware boot from the network on the port with MAC {mac}, and check cable and VLAN; `farosctl watch --node {node}` shows its first packet",
        find: never_seen,
    },
    Rule {
        code: "armed-not-rebooted",
        confidence: Confidence::Likely,
        means: "the node is armed, and has not network-booted since",
        told_by: "`node-armed` with no network boot after it",
        next: "reboot {node} and have it boot from the network; its disk is wiped then",
        find: armed_not_rebooted,
    },
];

/// A machine that is not in the site file counts as booting if it was seen this lately.
const LATELY: SignedDuration = SignedDuration::from_mins(30);

fn nothing_recorded(case: &Case<'_>) -> String {
    let mac = case.known.node.boot_mac;
    match case.known.events.first() {
        Some(first) => format!(
            "nothing of {mac} among the {} events recorded since {}",
            case.known.events.len(),
            words::ago(case.now(), first.at)
        ),
        None => format!("nothing was recorded of {mac}, or of anybody"),
    }
}

fn wrong_mac(case: &Case<'_>, _: &Rule) -> Option<Found> {
    if case.is_seen() {
        return None;
    }
    let said = |machine: &Discovered, key: &str| {
        let text = machine.said.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let boots = |machine: &&Discovered| {
        let vendor = said(machine, "vendorClass");
        vendor.starts_with("PXEClient")
            || vendor.starts_with("HTTPClient")
            || said(machine, "userClass") == "iPXE"
    };
    let mut strangers: Vec<_> = case
        .known
        .discovered
        .iter()
        .filter(boots)
        .filter(|machine| case.now().duration_since(machine.last_seen) <= LATELY)
        .collect();
    strangers.sort_by_key(|machine| std::cmp::Reverse(machine.last_seen));
    let first = strangers.first()?;
    let mut evidence = vec![nothing_recorded(case)];
    evidence.extend(strangers.iter().take(4).map(|machine| {
        let seen = words::ago(case.now(), machine.last_seen);
        format!(
            "{} network-boots and is not in the site file; last seen {seen}",
            machine.mac
        )
    }));
    let summary = match strangers.as_slice() {
        [_] => format!(
            "the node was never seen, but {} network-boots: probably the MAC in the site file is wrong",
            first.mac
        ),
        _ => format!(
            "the node was never seen, but {} unknown machines network-boot: probably the MAC in the site file is wrong",
            strangers.len()
        ),
    };
    Some(Found::new(summary, evidence))
}

fn never_seen(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let summary = "no packet of the node has ever been seen: it is off, not cabled, or does not network-boot";
    (!case.is_seen()).then(|| Found::new(summary, vec![nothing_recorded(case)]))
}

fn armed_not_rebooted(case: &Case<'_>, _: &Rule) -> Option<Found> {
    let armed = case
        .history()
        .rfind(|event| event.kind == EventKind::NodeArmed)
        .filter(|_| case.known.status.armed && case.is_seen())?;
    let booted = case.history().any(|event| {
        event.seq > armed.seq && !matches!(Moment::of(event), Moment::Other | Moment::SystemAsks)
    });
    let old = case.now().duration_since(armed.at) > SignedDuration::from_secs(30);
    (!booted && old).then(|| {
        let mut evidence = vec![case.cite(armed)];
        evidence.extend(case.last_sign().map(|event| case.cite(event)));
        Found::new("the node is armed, and has not network-booted since", evidence)
    })
}
