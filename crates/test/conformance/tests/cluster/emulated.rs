//! A worker with a system of its own goes to the next version: native nodes have no `systemd-sysext` that puts the
//! programs of one version in the place of those of another.

use std::{fs, time::Instant};

use anyhow::{Context as _, ensure};
use faros_conformance::{
    Site,
    story::{reports, retry},
};
use faros_lab::machine::{Firmware, Hardware};
use faros_model::event::EventKind;

use crate::{
    sizes::site_file,
    upgrading::{FROM, TO, at_version, said},
    world::{are_well, bring_up, eventually, is_ready, items, kubectl, tell, with_bastion},
};

const MACHINE: &str = "node-2";

#[test]
#[ignore = "takes a quarter of an hour: make cluster"]
fn an_emulated_worker_goes_to_the_next_version_and_starts_again_with_it() -> anyhow::Result<()> {
    let file = site_file(1, 1)?;
    let text = fs::read_to_string(file.path())?;
    fs::write(file.path(), at_version(&text, FROM)?)?;
    with_bastion("t-cluster-emulated", file.path(), |site| {
        said(site, &["content", "build", "kubernetes", "--version", FROM], 0)?;
        site.lab.provide_image(MACHINE, &mut tell)?;
        let begun = Instant::now();
        site.lab.start_machine(MACHINE, &hardware(), &mut |_| ())?;
        bring_up(site, &["node-1"])?;
        joins(site, 0)?;
        are_well(site, 2)?;
        tell(&format!(
            "{MACHINE} was a node after {:.0} s",
            begun.elapsed().as_secs_f64()
        ));

        fs::write(file.path(), at_version(&text, TO)?)?;
        said(site, &["apply", &file.path().display().to_string(), "--yes"], 0)?;
        let begun = Instant::now();
        said(site, &["cluster", "upgrade", "--yes", "--timeout", "30m"], 0)?;
        tell(&format!(
            "both were upgraded in {:.0} s",
            begun.elapsed().as_secs_f64()
        ));
        has_version(site)?;

        // It is what it starts with, too.
        let before = site.events()?.last().map_or(0, |event| event.seq);
        site.lab.machine(MACHINE).cut()?;
        eventually("the machine is missed", || {
            Ok(is_ready(site, MACHINE)?.is_none().then_some(()))
        })?;
        site.lab.start_machine(MACHINE, &hardware(), &mut |_| ())?;
        joins(site, before)?;
        are_well(site, 2)?;
        has_version(site)
    })
}

fn hardware() -> Hardware {
    Hardware {
        firmware: Firmware::Bios,
        memory_mib: 2048,
        ..Hardware::default()
    }
}

/// Waits until the machine runs its own system, and is ready.
fn joins(site: &Site, after: u64) -> anyhow::Result<()> {
    site.wait_for(after, "its own system", |event| {
        reports(event, MACHINE, "started")
    })?;
    eventually("the machine is ready", || is_ready(site, MACHINE))
}

/// What Kubernetes and the machine itself say of its version.
fn has_version(site: &Site) -> anyhow::Result<()> {
    for node in items(site, &["nodes"])? {
        ensure!(node["status"]["nodeInfo"]["kubeletVersion"] == TO, "{node}");
    }
    tell(&kubectl(site, &["get", "nodes", "-o", "wide"])?);
    let events = retry(|| site.events())?;
    let done = events.iter().rfind(|event| event.kind == EventKind::NodeUpgraded);
    done.context("no node was upgraded").map(drop)
}
