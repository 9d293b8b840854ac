//! A cluster comes up through trouble: the bastion dies after every step, nodes lose power in the middle, `kubeadm` is
//! killed. Whoever was at work begins anew, and what comes out is the same cluster.

use anyhow::Context as _;
use faros_conformance::{
    Site, root,
    story::{of, reports, retry, word},
};
use faros_model::event::{Event, EventKind};

use crate::world::{
    KUBEADM_DIES, WORKER, are_well, etcd_members, eventually, has_died, is_ready, items, kubectl, start,
    tell, with_bastion,
};

/// A step of a join, by what the bastion records of it.
#[derive(Clone, Copy)]
enum Step {
    Kind(EventKind),
    Report(&'static str),
}

/// What the bastion dies after in the course of a join, each once.
const STEPS: [(&str, Step); 5] = [
    ("it was handed its work", Step::Kind(EventKind::JoinHanded)),
    ("it has begun", Step::Report("joining")),
    (
        "a certificate was approved",
        Step::Kind(EventKind::CertificateApproved),
    ),
    ("it is done", Step::Report("joined")),
    ("it is ready", Step::Kind(EventKind::NodeReady)),
];

impl Step {
    fn is_told_by(self, event: &Event, node: &str) -> bool {
        match self {
            Self::Kind(kind) => of(event, node) && event.kind == kind,
            Self::Report(name) => reports(event, node, name),
        }
    }

    fn is_before_the_join(self) -> bool {
        matches!(self, Self::Kind(EventKind::JoinHanded) | Self::Report("joining"))
    }
}

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_cluster_comes_up_although_bastion_nodes_and_kubeadm_die() -> anyhow::Result<()> {
    with_bastion(
        "t-cluster-trouble",
        &root().join("examples/cluster.yaml"),
        |site| {
            start(site, "node-1")?;
            let phases = ["[certs] Generating", "[wait-control-plane]", "[addons]"];
            kubeadm_dies_in(site, "node-1", &phases)?;
            is_left_to_people(site, "node-1")?;
            the_bastion_dies(site, "node-1")?;
            start(site, "node-2")?;
            kubeadm_dies_in(site, "node-2", &["[kubelet-start]", "[etcd]"])?;
            the_bastion_dies(site, "node-2")?;
            power_goes(site, "node-3")?;
            start(site, WORKER)?;
            kubeadm_dies_in(site, WORKER, &["[kubelet-start]"])?;
            eventually("node-4 is ready", || is_ready(site, WORKER))?;
            are_well(site, 4)?;
            is_whole(site)
        },
    )
}

/// `kubeadm` is killed when it says a word, and its node tells and tries again.
fn kubeadm_dies_in(site: &Site, node: &str, phases: &[&str]) -> anyhow::Result<()> {
    let mut after = site.events()?.last().map_or(0, |event| event.seq);
    for phase in phases {
        let words = format!("echo '{phase}' >{KUBEADM_DIES}");
        site.lab.native(node).run(&["sh", "-c", &words])?;
        eventually(&format!("kubeadm dies at {phase}"), || has_died(site, node))?;
        after = site.wait_for(after, &format!("{node} tells that it failed"), |event| {
            reports(event, node, "join-failed")
        })?;
        tell(&format!("{node}: kubeadm died at {phase}"));
    }
    Ok(())
}

/// Who has failed three times in one boot is handed nothing more before somebody starts it anew.
fn is_left_to_people(site: &mut Site, node: &str) -> anyhow::Result<()> {
    let after = failed_last(site, node)?;
    site.wait_for(after, &format!("{node} gives up"), |event| {
        of(event, node) && event.kind == EventKind::JoinWaiting && word(event, "reason") == "gave-up"
    })?;
    site.lab.native(node).cut()?;
    start(site, node)
}

/// farosd is killed after every step of what a node is at, and started again.
fn the_bastion_dies(site: &Site, node: &str) -> anyhow::Result<()> {
    let after = failed_last(site, node)?;
    // In the order in which they come: which certificate is the first differs.
    let mut steps = STEPS.to_vec();
    while !steps.is_empty() {
        let next = |event: &Event| steps.iter().position(|(_, step)| step.is_told_by(event, node));
        let seq = site.wait_for(after, &format!("{node} goes on"), |event| next(event).is_some())?;
        let events = site.events_in_trouble(after)?;
        let found = events.iter().find(|event| event.seq == seq).and_then(next);
        let (what, step) = steps.remove(found.context("the event is gone")?);
        if matches!(step, Step::Report("joined") | Step::Kind(EventKind::NodeReady)) {
            // What was told while the bastion died is in no record, and does not come again.
            steps.retain(|(_, own)| !own.is_before_the_join());
        }
        site.kill_and_start()?;
        tell(&format!("{node}: the bastion died after {what}"));
    }
    eventually(&format!("{node} is ready"), || is_ready(site, node))
}

/// The number of the event with which a node told last that it failed.
fn failed_last(site: &Site, node: &str) -> anyhow::Result<u64> {
    let events = retry(|| site.events())?;
    let failed = events.iter().rfind(|event| reports(event, node, "join-failed"));
    Ok(failed.map_or(0, |event| event.seq))
}

/// Power goes when a node has a member of etcd and is none of the cluster; and when it is one, and could not say so.
fn power_goes(site: &mut Site, node: &str) -> anyhow::Result<()> {
    start(site, node)?;
    for phase in ["[etcd] Waiting", "[control-plane-check]"] {
        until_kubeadm_says(site, node, phase)?;
        site.lab.native(node).cut()?;
        tell(&format!("{node}: power went at {phase}"));
        start(site, node)?;
    }
    eventually(&format!("{node} is ready"), || is_ready(site, node))
}

/// Returns as soon as a node's `kubeadm` has said something.
fn until_kubeadm_says(site: &Site, node: &str, phase: &str) -> anyhow::Result<()> {
    let words = format!("until grep -qsF '{phase}' /run/faros-join/said; do sleep 0.05; done");
    let words = ["timeout", "600", "sh", "-c", &words];
    eventually(&format!("{node} is at {phase}"), || {
        site.lab.native(node).run(&words).map(Some)
    })?;
    Ok(())
}

/// Nothing of what was given up is left.
fn is_whole(site: &Site) -> anyhow::Result<()> {
    let members = etcd_members(site)?;
    assert!(
        members.len() == 3 && members.iter().all(|own| own.ends_with("started, voter")),
        "{members:?}"
    );
    let open = |request: &serde_json::Value| request["status"]["certificate"].is_null();
    eventually("no request for a certificate is open", || {
        let requests = items(site, &["certificatesigningrequests"])?;
        let n_open = requests
            .iter()
            .filter(|own| open(own) && own["status"]["conditions"].is_null())
            .count();
        Ok((n_open == 0).then_some(()))
    })?;
    eventually("all tokens are withdrawn", || {
        let names = kubectl(site, &["get", "secrets", "-n", "kube-system", "-o", "name"])?;
        Ok((!names.contains("bootstrap-token")).then_some(()))
    })
}
