//! Emulated machines that install themselves while everything goes wrong around them.
//!
//! One machine has its plug pulled in each stage of its install; the other one's bastion dies in each phase. Both
//! must end on encrypted disks, be unlocked, and leave a story without a lie in it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use faros_conformance::{
    Site,
    story::{PATIENCE, of, reports, retry, word},
};
use faros_lab::{
    Lab, daemon,
    machine::{Firmware, Hardware},
};
use faros_model::event::{Event, EventKind};

/// Whose plug is pulled.
const CUT: &str = "node-1";
/// Whose bastion dies.
const ORPHAN: &str = "node-3";
fn stage(event: &Event, node: &str, stage: &str) -> bool {
    reports(event, node, "stage") && word(event, "stage") == stage && word(event, "state") == "started"
}

#[test]
#[ignore = "takes some ten minutes: make trouble"]
fn installs_survive_power_cuts_and_a_bastion_that_dies() -> anyhow::Result<()> {
    let mut site = Site::up("t-install")?;
    for node in [CUT, ORPHAN] {
        site.lab.start_machine(node, &hardware(), &mut |_| ())?;
    }
    let key = unlock_key(&site)?;
    let cutter = Site::of(Lab::open("t-install")?);
    thread::scope(|scope| {
        let cut = scope.spawn(|| cut_power(cutter));
        kill_bastion(&site)?;
        cut.join()
            .unwrap_or_else(|_| bail!("the thread that cuts the power panicked"))
    })?;

    // Both have moved to the new key, so the old one can go.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (said, code) = site.farosctl(&["unlock", "retire", "--yes", &key])?;
        if code == 0 {
            break;
        }
        ensure!(code == 6 || code == 1, "{code}: {said}");
        ensure!(Instant::now() < deadline, "the old key cannot be retired: {said}");
        thread::sleep(Duration::from_secs(2));
    }

    // The story says where the bastion was away.
    let (story, code) = site.farosctl(&["timeline", ORPHAN])?;
    ensure!(code == 0 && story.contains("not recorded"), "{story}");
    Ok(())
}

fn hardware() -> Hardware {
    Hardware {
        firmware: Firmware::Bios,
        ..Hardware::default()
    }
}

/// The bastion dies whenever the machine comes a step further.
fn kill_bastion(site: &Site) -> anyhow::Result<()> {
    let is_script = |event: &Event| of(event, ORPHAN) && event.kind == EventKind::BootScriptServed;
    site.wait_for(0, "the boot script", is_script)?;
    site.kill_and_start()?;
    let is_config = |event: &Event| of(event, ORPHAN) && event.kind == EventKind::IgnitionServed;
    site.wait_for(0, "the config", is_config)?;
    site.kill_and_start()?;
    for name in ["disks", "root", "files", "loader"] {
        site.wait_for(0, name, |event| stage(event, ORPHAN, name))?;
        site.kill_and_start()?;
    }
    let at = site.wait_for(0, "the end of the install", |event| {
        reports(event, ORPHAN, "installed")
    })?;
    site.kill_and_start()?;

    // New keys between the install and the first start: the old one still unlocks.
    let (said, code) = site.farosctl(&["unlock", "rotate"])?;
    ensure!(code == 0, "{said}");

    // And nobody is there when it wants to be unlocked.
    let at = site.wait_for(at, "the start from the disk", |event| {
        reports(event, ORPHAN, "booting")
    })?;
    daemon::stop(site.lab.folder(), true)?;
    thread::sleep(Duration::from_secs(20));
    daemon::start(site.lab.name(), site.lab.folder())?;
    site.lab.wait_until_ready()?;
    let is_unlocked = |event: &Event| of(event, ORPHAN) && event.kind == EventKind::UnlockRecovered;
    site.wait_for(at, "the unlocking", is_unlocked)?;
    site.wait_for(at, "its own system", |event| reports(event, ORPHAN, "started"))?;
    // It moves to the new key by itself.
    site.wait_for(at, "the new binding", |event| reports(event, ORPHAN, "rebound"))?;
    site.lab.machine(ORPHAN).stop()
}

/// The machine's plug is pulled in each stage; it installs itself again each time, until it is whole.
fn cut_power(mut site: Site) -> anyhow::Result<()> {
    let mut from = 0;
    for name in ["disks", "root", "files", "finish"] {
        from = site.wait_for(from, name, |event| stage(event, CUT, name))?;
        site.lab.machine(CUT).cut()?;
        // What it had said before may still come in.
        thread::sleep(Duration::from_secs(1));
        let events = site.events_in_trouble(from)?;
        ensure!(
            !events
                .iter()
                .any(|event| of(event, CUT) && event.kind == EventKind::NodeDisarmed),
            "a half-installed node was disarmed"
        );
        retry(|| site.lab.start_machine(CUT, &hardware(), &mut |_| ()))?;
    }
    let done = site.wait_for(from, "the end of the install", |event| {
        reports(event, CUT, "installed")
    })?;
    site.wait_for(done, "its own system", |event| reports(event, CUT, "started"))?;
    let events = site.events_in_trouble(0)?;
    let installed = events
        .iter()
        .filter(|event| reports(event, CUT, "installed"))
        .count();
    ensure!(installed == 1, "installed was reported {installed} times");

    // Network first for ever, and never installed again.
    let scripts: Vec<&str> = events
        .iter()
        .filter(|event| event.seq > done && of(event, CUT) && event.kind == EventKind::BootScriptServed)
        .map(|event| word(event, "action"))
        .collect();
    ensure!(
        !scripts.is_empty() && scripts.iter().all(|action| *action == "local-disk"),
        "{scripts:?}"
    );
    Ok(())
}

/// The exchange key in use.
fn unlock_key(site: &Site) -> anyhow::Result<String> {
    let (text, _) = site.farosctl(&["unlock", "ledger", "--output", "json"])?;
    let status: serde_json::Value = serde_json::from_str(&text)?;
    let key = status["keys"][0]["key"].as_str().unwrap_or_default();
    ensure!(!key.is_empty(), "there is no key: {text}");
    Ok(key.to_owned())
}
