//! A cluster goes from one minor version to the next, under a budget that holds it up at first, and through a bastion
//! that dies.

use std::time::Instant;

use anyhow::ensure;
use faros_conformance::{Site, root, story::word};
use faros_model::{
    api::{UpgradeState, UpgradeStatus},
    event::EventKind,
};
use serde_json::{Value, json};

use crate::world::{CONTROL, WORKER, apply, are_well, bring_up, eventually, items, tell, with_bastion};

pub(crate) const FROM: &str = "v1.35.4";
pub(crate) const TO: &str = "v1.36.3";

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_cluster_is_upgraded_node_by_node_although_the_bastion_dies() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let text = std::fs::read_to_string(root().join("examples/cluster.yaml"))?;
    let file = folder.path().join("site.yaml");
    std::fs::write(&file, at_version(&text, FROM)?)?;
    with_bastion("t-cluster-upgrade", &file, |site| {
        said(site, &["content", "build", "kubernetes", "--version", FROM], 0)?;
        bring_up(site, &[&CONTROL[..], &[WORKER]].concat())?;
        said(site, &["cluster", "upgrade", "--to", TO, "--yes"], 6)?;
        std::fs::write(&file, at_version(&text, TO)?)?;
        said(site, &["apply", &file.display().to_string(), "--yes"], 0)?;
        are_well(site, 4)?;
        stops_at_a_budget(site)?;
        goes_on_through_the_death_of_the_bastion(site)?;
        is_what_was_wanted(site)
    })
}

/// A site file, with a version of Kubernetes.
pub(crate) fn at_version(text: &str, version: &str) -> anyhow::Result<String> {
    let kind = "distribution: kubeadm\n";
    ensure!(text.contains(kind), "{text}");
    Ok(text.replace(kind, &format!("{kind}    version: {version}\n")))
}

/// What a command said, which must have ended like this.
pub(crate) fn said(site: &Site, words: &[&str], code: i32) -> anyhow::Result<String> {
    let (said, ended) = site.farosctl(words)?;
    ensure!(ended == code, "{words:?} ended with {ended}: {said}");
    Ok(said)
}

fn upgrade(site: &Site) -> anyhow::Result<UpgradeStatus> {
    let said = said(site, &["cluster", "upgrade", "status", "--output", "json"], 0)?;
    Ok(serde_json::from_str(&said)?)
}

/// Pods of which this many are to stay, of two.
fn budget(min: u8) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": "web", "namespace": "default" },
        "spec": { "minAvailable": min, "selector": { "matchLabels": { "app": "web" } } },
    })
}

fn stops_at_a_budget(site: &Site) -> anyhow::Result<()> {
    let images = items(site, &["pods", "-n", "kube-system"])?;
    ensure!(!images.is_empty(), "nothing runs");
    let container = json!({ "name": "web", "image": "faros.dev/kubernetes/pause:3.10.1" });
    let own = json!({ "matchLabels": { "app": "web" } });
    // One on each of two nodes of the control plane, the first among them.
    let spread = json!([{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": own, "nodeTaintsPolicy": "Honor",
    }]);
    apply(
        site,
        &json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "default" },
            "spec": { "replicas": 3, "selector": own, "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [container], "topologySpreadConstraints": spread },
            } },
        }),
    )?;
    apply(site, &budget(3))?;
    eventually("the pods run", || {
        let pods = items(site, &["pods", "-l", "app=web"])?;
        let runs = |pod: &&Value| pod["status"]["phase"] == "Running";
        Ok((pods.iter().filter(runs).count() == 3).then_some(()))
    })?;
    let told = said(site, &["cluster", "upgrade", "--yes", "--timeout", "20s"], 1)?;
    ensure!(told.contains("disruption budget"), "{told}");
    tell(&told);
    eventually("the node that could not be emptied is open again", || {
        let nodes = items(site, &["nodes"])?;
        Ok(closed(&nodes).is_empty().then_some(()))
    })?;
    ensure!(upgrade(site)?.state == UpgradeState::Stopped);
    // Two of three may go on without the third, which has no other node while one is closed.
    apply(site, &budget(2))
}

fn closed(nodes: &[Value]) -> Vec<&str> {
    let own = nodes.iter().filter(|node| node["spec"]["unschedulable"] == true);
    own.filter_map(|node| node["metadata"]["name"].as_str()).collect()
}

fn goes_on_through_the_death_of_the_bastion(site: &Site) -> anyhow::Result<()> {
    let begun = Instant::now();
    said(site, &["cluster", "upgrade", "resume", "--yes", "--no-wait"], 0)?;
    for phase in ["kubeadm upgrade apply", "kubeadm upgrade node"] {
        eventually(&format!("a node says that it is at {phase}"), || {
            let status = upgrade(site)?;
            Ok(status.nodes.iter().any(|own| own.said == phase).then_some(()))
        })?;
        site.kill_and_start()?;
        tell(&format!("farosd died at {phase}"));
    }
    eventually("all is upgraded", || {
        // Nobody answers now and then where a control plane starts anew.
        if let Ok(nodes) = items(site, &["nodes"]) {
            let closed = closed(&nodes).len();
            assert!(closed <= 1, "{closed} nodes are closed at once");
        }
        let status = upgrade(site)?;
        ensure!(status.state != UpgradeState::Stopped, "{}", status.why);
        Ok((status.state == UpgradeState::Done).then_some(()))
    })?;
    tell(&format!(
        "four nodes were upgraded in {:.0} s",
        begun.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn is_what_was_wanted(site: &Site) -> anyhow::Result<()> {
    let of = |kind: EventKind| {
        let events = site.events()?.into_iter();
        anyhow::Ok(events.filter(move |own| own.kind == kind).collect::<Vec<_>>())
    };
    let turns = of(EventKind::NodeUpgrading)?;
    let turns: Vec<(&str, &str)> = turns
        .iter()
        .map(|own| {
            (
                own.node.as_ref().map_or("", |node| node.as_str()),
                word(own, "action"),
            )
        })
        .collect();
    // The first one twice: it could not be emptied at first.
    let expected = [
        ("node-1", "apply"),
        ("node-1", "apply"),
        ("node-2", "node"),
        ("node-3", "node"),
        (WORKER, "node"),
    ];
    ensure!(turns == expected, "{turns:?}");
    ensure!(
        of(EventKind::SnapshotTaken)?
            .iter()
            .any(|own| word(own, "by") == "upgrade")
    );
    ensure!(of(EventKind::ControlPlaneUpgraded)?.len() == 1);
    are_well(site, 4)?;
    for node in items(site, &["nodes"])? {
        ensure!(node["status"]["nodeInfo"]["kubeletVersion"] == TO, "{node}");
    }
    for pod in items(site, &["pods", "-n", "kube-system"])? {
        let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
        ensure!(!image.ends_with(FROM), "{image}");
    }
    let said = said(site, &["cluster", "upgrade", "--yes"], 0)?;
    ensure!(said.contains("nothing to do"), "{said}");
    Ok(())
}
