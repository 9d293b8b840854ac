//! Emulated machines that install themselves while everything goes wrong around them.
//!
//! One machine has its plug pulled in each stage of its install; the other one's bastion dies in each phase. Both
//! must end on encrypted disks, be unlocked, and leave a story without a lie in it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure};
use faros_conformance::Site;
use faros_lab::{
    Lab, daemon,
    machine::{Firmware, Hardware},
};
use faros_model::event::{Event, EventKind};

/// Whose plug is pulled.
const CUT: &str = "node-1";
/// Whose bastion dies.
const ORPHAN: &str = "node-3";
/// How long an emulated machine may take for any one thing, on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(8);

fn word<'a>(event: &'a Event, key: &str) -> &'a str {
    event
        .detail
        .get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

fn of(event: &Event, node: &str) -> bool {
    event.node.as_ref().is_some_and(|own| own.as_str() == node)
}

fn reports(event: &Event, node: &str, report: &str) -> bool {
    of(event, node) && event.kind == EventKind::NodeReport && word(event, "report") == report
}

fn stage(event: &Event, node: &str, stage: &str) -> bool {
    reports(event, node, "stage") && word(event, "stage") == stage && word(event, "state") == "started"
}

/// The events after this number. The bastion may be dead at the moment.
fn events(site: &Site, after: u64) -> anyhow::Result<Vec<Event>> {
    let mut found = Vec::new();
    retry(|| {
        found = site.events_after(after)?;
        Ok(())
    })?;
    Ok(found)
}

/// Waits for an event after `after`; its number.
fn wait(site: &Site, after: u64, what: &str, is_it: impl Fn(&Event) -> bool) -> anyhow::Result<u64> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let events = events(site, after)?;
        if let Some(event) = events.iter().find(|event| is_it(event)) {
            return Ok(event.seq);
        }
        // A step that fails because the bastion has just died is tried again by the node itself.
        ensure!(Instant::now() < deadline, "{what} was not seen");
        thread::sleep(Duration::from_millis(300));
    }
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
    wait(site, 0, "the boot script", is_script)?;
    site.kill_and_start()?;
    let is_config = |event: &Event| of(event, ORPHAN) && event.kind == EventKind::IgnitionServed;
    wait(site, 0, "the config", is_config)?;
    site.kill_and_start()?;
    for name in ["disks", "root", "files", "loader"] {
        wait(site, 0, name, |event| stage(event, ORPHAN, name))?;
        site.kill_and_start()?;
    }
    let at = wait(site, 0, "the end of the install", |event| {
        reports(event, ORPHAN, "installed")
    })?;
    site.kill_and_start()?;

    // New keys between the install and the first start: the old one still unlocks.
    let (said, code) = site.farosctl(&["unlock", "rotate"])?;
    ensure!(code == 0, "{said}");

    // And nobody is there when it wants to be unlocked.
    let at = wait(site, at, "the start from the disk", |event| {
        reports(event, ORPHAN, "booting")
    })?;
    daemon::stop(site.lab.folder(), true)?;
    thread::sleep(Duration::from_secs(20));
    daemon::start(site.lab.name(), site.lab.folder())?;
    site.lab.wait_until_ready()?;
    let is_unlocked = |event: &Event| of(event, ORPHAN) && event.kind == EventKind::UnlockRecovered;
    wait(site, at, "the unlocking", is_unlocked)?;
    wait(site, at, "its own system", |event| {
        reports(event, ORPHAN, "started")
    })?;
    // It moves to the new key by itself.
    wait(site, at, "the new binding", |event| {
        reports(event, ORPHAN, "rebound")
    })?;
    site.lab.machine(ORPHAN).stop()
}

/// The machine's plug is pulled in each stage; it installs itself again each time, until it is whole.
fn cut_power(mut site: Site) -> anyhow::Result<()> {
    let mut from = 0;
    for name in ["disks", "root", "files", "finish"] {
        from = wait(&site, from, name, |event| stage(event, CUT, name))?;
        site.lab.machine(CUT).cut()?;
        // What it had said before may still come in.
        thread::sleep(Duration::from_secs(1));
        let events = events(&site, from)?;
        ensure!(
            !events
                .iter()
                .any(|event| of(event, CUT) && event.kind == EventKind::NodeDisarmed),
            "a half-installed node was disarmed"
        );
        retry(|| site.lab.start_machine(CUT, &hardware(), &mut |_| ()))?;
    }
    let done = wait(&site, from, "the end of the install", |event| {
        reports(event, CUT, "installed")
    })?;
    wait(&site, done, "its own system", |event| {
        reports(event, CUT, "started")
    })?;
    let events = events(&site, 0)?;
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

/// Tries again what fails because the bastion is dead at the moment.
fn retry(mut what: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match what() {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_secs(1)),
            done => return done,
        }
    }
}

/// The exchange key in use.
fn unlock_key(site: &Site) -> anyhow::Result<String> {
    let (text, _) = site.farosctl(&["unlock", "ledger", "--output", "json"])?;
    let status: serde_json::Value = serde_json::from_str(&text)?;
    let key = status["keys"][0]["key"].as_str().unwrap_or_default();
    ensure!(!key.is_empty(), "there is no key: {text}");
    Ok(key.to_owned())
}
