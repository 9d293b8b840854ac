//! The measurements.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_lab::{Lab, daemon};

use crate::{Row, tang};

const LAB: &str = "bench";

/// Brings a lab up, measures, and takes it down whatever happens.
pub(crate) fn all(site: &Path, runs: usize) -> anyhow::Result<Vec<Row>> {
    let mut lab = Lab::up(LAB, site)?;
    let rows = rows(&mut lab, site, runs);
    Lab::down(LAB)?;
    rows
}

fn rows(lab: &mut Lab, site: &Path, runs: usize) -> anyhow::Result<Vec<Row>> {
    let starts = (0..runs).map(|_| start(lab)).collect::<anyhow::Result<_>>()?;
    let applies = (0..runs)
        .map(|_| no_op(lab, site))
        .collect::<anyhow::Result<_>>()?;
    // What the start left to do is over.
    thread::sleep(Duration::from_secs(10));
    let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
    let memory = (0..runs).map(|_| pss_mib(pid)).collect::<anyhow::Result<_>>()?;
    let wakes = (0..2).map(|_| wake_ups(pid)).collect::<anyhow::Result<_>>()?;
    let mut rows = vec![
        Row::of("start to all services ready", "ms", 200.0, starts)?,
        Row::of("apply with nothing to do, farosctl included", "ms", 50.0, applies)?,
        Row::of("idle memory, all services (PSS)", "MiB", 14.0, memory)?,
        Row::of("idle wake-ups, all threads", "1/s", 3.0, wakes)?,
    ];
    rows.extend(tang::rows(lab, site, runs)?);
    Ok(rows)
}

fn start(lab: &Lab) -> anyhow::Result<f64> {
    daemon::stop(lab.folder(), false)?;
    let begun = Instant::now();
    daemon::start(lab.name(), lab.folder())?;
    lab.wait_until_ready()?;
    Ok(milliseconds(begun))
}

fn no_op(lab: &Lab, site: &Path) -> anyhow::Result<f64> {
    let begun = Instant::now();
    lab.apply(site)?;
    Ok(milliseconds(begun))
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The process' share of memory, in MiB.
fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .context("there is no Pss line")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// How often the process' threads woke up, per second, over ten seconds.
fn wake_ups(pid: u32) -> anyhow::Result<f64> {
    let seconds = 10;
    let before = switches(pid)?;
    thread::sleep(Duration::from_secs(seconds));
    let after = switches(pid)?;
    ensure!(after >= before, "a thread ended while it was measured");
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let rate = (after - before) as f64 / seconds as f64;
    Ok(rate)
}

fn switches(pid: u32) -> anyhow::Result<u64> {
    let mut all = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("status"))?;
        let own = text
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all += own
            .context("there is no count of switches")?
            .trim()
            .parse::<u64>()?;
    }
    Ok(all)
}
