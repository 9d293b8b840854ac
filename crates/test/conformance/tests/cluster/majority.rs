//! The second node of the control plane is lost right after its member of etcd got its vote: from then on the first
//! alone is no majority, and the API is down. It comes back with the node; or, if that is lost for good, from what the first
//! one has.

use anyhow::{Context as _, ensure};
use faros_conformance::{
    Site, root,
    story::{retry, word},
};
use faros_model::event::EventKind;
use serde_json::{Value, json};

use crate::world::{apply, bring_up, etcd_members, eventually, is_ready, kubectl, start, tell, with_bastion};

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_cluster_of_two_comes_back_when_its_second_member_is_lost() -> anyhow::Result<()> {
    with_bastion(
        "t-cluster-majority",
        &root().join("examples/cluster.yaml"),
        |site| {
            bring_up(site, &["node-1"])?;
            let note = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "note" } });
            apply(site, &note)?;
            it_loses_its_power(site)?;
            it_is_lost_for_good(site)?;
            kubectl(site, &["get", "configmap", "note"]).map(drop)
        },
    )
}

/// Waits until the loss is told by all who are asked, and what is left has been put by.
fn is_told(site: &Site, after: u64) -> anyhow::Result<()> {
    let told = site.wait_for(after, "the loss of the majority is told", |event| {
        event.kind == EventKind::EtcdMajority && word(event, "silent") == "node-2"
    })?;
    site.wait_for(told, "a snapshot of what is left is taken", |event| {
        event.kind == EventKind::SnapshotTaken
    })?;
    let (said, _) = site.farosctl(&["cluster", "status"])?;
    ensure!(
        said.contains("etcd has lost its majority: 1 of 2 members are there"),
        "{said}"
    );
    ensure!(said.contains("farosctl cluster restore"), "{said}");
    for node in ["node-1", "node-2"] {
        let (said, _) = site.farosctl(&["why", node, "--output", "json"])?;
        let told: Value = serde_json::from_str(&said)?;
        ensure!(
            told["causes"][0]["code"] == "etcd-majority-lost",
            "{node}: {said}"
        );
    }
    Ok(())
}

fn last_event(site: &Site) -> anyhow::Result<u64> {
    Ok(retry(|| site.events())?.last().map_or(0, |event| event.seq))
}

/// Its plug is pulled as soon as its member votes. Started again, that comes first, so that there is an API again; and then
/// it joins anew.
fn it_loses_its_power(site: &mut Site) -> anyhow::Result<()> {
    let after = last_event(site)?;
    start(site, "node-2")?;
    // Without a pause between two looks: it is a matter of moments.
    let votes = "until etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
        --cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key member list 2>/dev/null \
        | grep -q 'node-2.*, false$'; do sleep 0.1; done";
    site.lab
        .native("node-1")
        .run(&["timeout", "600", "sh", "-c", votes])?;
    site.lab.native("node-2").cut()?;
    is_told(site, after)?;
    let after = last_event(site)?;
    start(site, "node-2")?;
    site.wait_for(after, "etcd has its majority again", |event| {
        event.kind == EventKind::EtcdMajority && word(event, "silent").is_empty()
    })?;
    tell("etcd has its majority again");
    two_vote(site)
}

/// Its machine burns: the first node begins anew with all that it has, and another machine joins it.
fn it_is_lost_for_good(site: &mut Site) -> anyhow::Result<()> {
    let after = last_event(site)?;
    site.lab.native("node-2").cut()?;
    is_told(site, after)?;
    let (said, _) = site.farosctl(&["cluster", "snapshot", "list", "--output", "json"])?;
    let all: Vec<Value> = serde_json::from_str(&said)?;
    let newest = all.iter().filter_map(|own| own["name"].as_str()).max();
    let newest = newest.context("there is no snapshot")?;
    for words in [
        ["cluster", "restore", newest, "--yes"].as_slice(),
        &["install", "node-2", "--yes"],
    ] {
        let (said, code) = site.farosctl(words)?;
        ensure!(code == 0, "{said}");
    }
    let tend = ["systemctl", "start", "faros-tend.service"];
    site.lab.native("node-1").run(&tend)?;
    start(site, "node-2")?;
    two_vote(site)
}

fn two_vote(site: &Site) -> anyhow::Result<()> {
    for node in ["node-1", "node-2"] {
        eventually(&format!("{node} is ready"), || is_ready(site, node))?;
    }
    eventually("etcd has two members that vote", || {
        let members = etcd_members(site)?;
        Ok((members.len() == 2 && members.iter().all(|own| own.ends_with("started, voter"))).then_some(()))
    })
}
