//! The node is a member of the cluster, and something of it is ill: its kubelet, its network, its disk, or its certificates.

use faros_model::{
    event::{Event, EventKind},
    timeline::Confidence,
};
use jiff::SignedDuration;

use super::{cited, is_of, latest};
use crate::{
    case::Case,
    catalogue::{Found, Rule},
    facts::Facts as _,
    words,
};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "node-without-network",
        confidence: Confidence::Certain,
        means: "the node is a member and not ready, because its pods have no network",
        told_by: "`node-not-ready`, by what it says",
        next: "`ls /etc/cni/net.d` on {node}; with a `networkPlugin` other than `bridge` you have to install the plug-in",
        find: find_not_ready,
    },
    Rule {
        code: "kubelet-ill",
        confidence: Confidence::Certain,
        means: "the node is a member, and its kubelet does not run",
        told_by: "the report `kubelet-ill`, and neither `kubelet-well` nor `node-ready` after it",
        next: "do away with what the kubelet says; `journalctl -u kubelet` on {node} has all of it",
        find: find_kubelet_ill,
    },
    Rule {
        code: "tend-refused",
        confidence: Confidence::Likely,
        means: "whoever asks in the name of the node what to do is refused, so its certificates are not renewed",
        told_by: "`tend-refused`, within the last ten minutes",
        next: "if it is {node}, the reason says what of it is another: it must speak from {address}, {mac}, and show the secret of its last installation",
        find: find_tend_refused,
    },
    Rule {
        code: "node-disk-full",
        confidence: Confidence::Certain,
        means: "the node's disk is nearly full: its pods are ended, and it takes no new ones",
        told_by: "the latest `node-pressure`, of the disk; or the report `disk-full`, and no `disk-well` after it",
        next: "`df -h` on {node}; Kubernetes has taken away images and logs that are not needed already",
        find: find_pressure,
    },
    Rule {
        code: "node-short",
        confidence: Confidence::Certain,
        means: "the node is short of memory or process numbers: its pods are ended, and it takes no new ones",
        told_by: "the latest `node-pressure`, of memory or process numbers",
        next: "`kubectl top pods -A`, or `ps` on {node}, shows who uses them",
        find: find_pressure,
    },
    Rule {
        code: "node-not-ready",
        confidence: Confidence::Certain,
        means: "the node is a member, and Kubernetes says that it is not ready",
        told_by: "`node-not-ready`, and no `node-ready` after it",
        next: "`kubectl describe node {node}`, and `journalctl -u kubelet` on it",
        find: find_not_ready,
    },
];

fn find_kubelet_ill(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let over = [case.last(EventKind::NodeReady), case.report("kubelet-well")];
    let over = over
        .into_iter()
        .flatten()
        .map(|event| event.seq)
        .max()
        .unwrap_or(0);
    let last = case.report("kubelet-ill").filter(|event| event.seq > over)?;
    Some(Found::new(
        words::with(rule.means, last.word("kubelet")),
        vec![case.cite(last)],
    ))
}

fn find_tend_refused(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    // A node asks every two minutes.
    let last = case
        .last(EventKind::TendRefused)
        .filter(|event| is_of(case, event))?;
    (case.now().duration_since(last.at) <= SignedDuration::from_mins(10)).then(|| {
        let summary = words::with(rule.means, words::message(last));
        Found::new(summary, vec![case.cite(last)])
    })
}

fn find_pressure(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let over = case.report("disk-well").map_or(0, |event| event.seq);
    let full = case.report("disk-full").filter(|event| event.seq > over);
    let pressure = case
        .last(EventKind::NodePressure)
        .filter(|event| !event.word("of").is_empty());
    let is_disk = rule.code == "node-disk-full";
    let own = pressure.filter(|event| (event.word("of") == "disk") == is_disk);
    // The node itself knows best, and its words come when Kubernetes says nothing any more.
    let told: Vec<&Event> = full.filter(|_| is_disk).into_iter().chain(own).collect();
    let first = told.first()?;
    let said = match first.word("said") {
        "" => words::message(first),
        said => said,
    };
    Some(Found::new(words::with(rule.means, said), cited(case, &told)))
}

fn find_not_ready(case: &Case<'_>, rule: &Rule) -> Option<Found> {
    let last = latest(case, EventKind::NodeNotReady, EventKind::NodeReady)?;
    let said = last.word("message");
    let is_network = said.contains("cni plugin not initialized") || said.contains("NetworkPluginNotReady");
    (is_network == (rule.code == "node-without-network")).then(|| {
        let summary = words::with(rule.means, said);
        Found::new(summary, vec![case.cite(last)])
    })
}
