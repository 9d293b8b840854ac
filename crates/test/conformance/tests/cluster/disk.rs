//! A disk is full: while its node joins, and while it runs. It is told with its cause, and when there is room again the
//! node goes on by itself.

use anyhow::ensure;
use faros_conformance::{
    Site, root,
    story::{of, reports, retry, word},
};
use faros_lab::daemon;
use faros_model::event::{Event, EventKind};

use crate::world::{WORKER, bring_up, eventually, first_cause, is_ready, kubectl, start, tell, with_bastion};

/// What the nodes' disks have, in MiB.
const DISK: u32 = 3000;

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_full_disk_is_named_and_its_node_goes_on_when_there_is_room() -> anyhow::Result<()> {
    with_bastion("t-cluster-disk", &root().join("examples/cluster.yaml"), |site| {
        it_is_full_while_it_joins(site)?;
        it_is_full_while_it_runs(site)
    })
}

/// Leaves so many KiB on a node's disk.
fn fill(site: &Site, node: &str, left: u32) -> anyhow::Result<()> {
    let words = format!("fallocate -l $(($(df --output=avail /var | tail -n 1) - {left}))k /var/filler");
    site.lab.native(node).run(&["sh", "-c", &words]).map(drop)
}

fn make_room(site: &Site, node: &str) -> anyhow::Result<()> {
    site.lab.native(node).run(&["rm", "/var/filler"]).map(drop)
}

/// Waits until both `why` and the cluster's status name the disk.
fn is_named(site: &Site, node: &str, code: &str, said: &str) -> anyhow::Result<()> {
    eventually(&format!("`why {node}` says {code}"), || {
        Ok((first_cause(site, node)? == code).then_some(()))
    })?;
    eventually(&format!("the status says `{said}`"), || {
        let (status, _) = site.farosctl(&["cluster", "status"])?;
        Ok(status.contains(said).then_some(()))
    })?;
    tell(&format!("{node}: {code}"));
    Ok(())
}

/// While it waits for its turn: it does not even try, and says why.
fn it_is_full_while_it_joins(site: &mut Site) -> anyhow::Result<()> {
    site.lab.native(WORKER).has_disk_of(DISK)?;
    start(site, WORKER)?;
    site.wait_for(0, "node-4 asks", |event| {
        of(event, WORKER) && event.kind == EventKind::JoinWaiting
    })?;
    fill(site, WORKER, 20_000)?;
    site.wait_for(0, "node-4 tells that its disk is full", |event| {
        reports(event, WORKER, "join-stuck") && word(event, "phase") == "disk"
    })?;
    let said = "node-4 is waiting, waits for what keeps it from asking: no space left on device";
    is_named(site, WORKER, "join-disk-full", said)?;
    bring_up(site, &["node-1"])?;
    make_room(site, WORKER)?;
    eventually("node-4 is ready", || is_ready(site, WORKER))
}

fn pressure(event: &Event, of_what: &str) -> bool {
    of(event, WORKER) && event.kind == EventKind::NodePressure && word(event, "of") == of_what
}

/// Kubernetes says so, and the node itself; that it is over is told by a bastion that was not there when it ended.
fn it_is_full_while_it_runs(site: &Site) -> anyhow::Result<()> {
    let after = retry(|| site.events())?.last().map_or(0, |event| event.seq);
    fill(site, WORKER, 20_000)?;
    let short = site.wait_for(after, "node-4 is short of disk", |event| pressure(event, "disk"))?;
    is_named(
        site,
        WORKER,
        "node-disk-full",
        "node-4 is short of disk: kubelet has disk pressure",
    )?;
    site.lab
        .native(WORKER)
        .run(&["systemctl", "start", "faros-tend.service"])?;
    site.wait_for(short, "node-4 tells it itself", |event| {
        reports(event, WORKER, "disk-full")
    })?;
    is_named(
        site,
        WORKER,
        "node-disk-full",
        "node-4 says: no space left on device",
    )?;

    daemon::stop(site.lab.folder(), false)?;
    make_room(site, WORKER)?;
    eventually("Kubernetes says that there is room", || {
        let path = "jsonpath={.status.conditions[?(@.type=='DiskPressure')].status}";
        let said = kubectl(site, &["get", "node", WORKER, "--output", path])?;
        Ok((said == "False").then_some(()))
    })?;
    daemon::start(site.lab.name(), site.lab.folder())?;
    site.lab.wait_until_ready()?;
    site.wait_for(short, "the end of it is told", |event| pressure(event, ""))?;
    site.lab
        .native(WORKER)
        .run(&["systemctl", "start", "faros-tend.service"])?;
    site.wait_for(short, "node-4 tells it itself", |event| {
        reports(event, WORKER, "disk-well")
    })?;
    eventually("nothing is wrong with node-4", || {
        Ok((first_cause(site, WORKER)? == "started").then_some(()))
    })?;
    let (status, _) = site.farosctl(&["cluster", "status"])?;
    ensure!(
        !status.contains("short of") && !status.contains("no space left"),
        "{status}"
    );
    Ok(())
}
