//! What farosd costs by being there, all services on: memory, wake-ups, its start, an apply that has nothing to do.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_lab::daemon;

use crate::{
    figures::{Figure, Target},
    work::{Bench, Contender, Router, Work},
};

const START: Figure = Figure::less("start to all services ready", "ms");
const APPLY: Figure = Figure::less("apply with nothing to do, farosctl included", "ms");
const WRITTEN: Figure = Figure::less("written by an apply with nothing to do", "bytes");
const MEMORY: Figure = Figure::less("memory, all services (PSS)", "MiB");
const WAKES: Figure = Figure::less("idle wake-ups, all threads", "1/s");
const INSTALLED: Figure = Figure::less("farosd and farosctl on disk", "MB");

/// As it is before anybody asks for anything.
pub(crate) struct Idle;

impl Work for Idle {
    fn name(&self) -> &'static str {
        "footprint"
    }

    fn router(&self) -> Router {
        Router::On
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        Ok(vec![bench.ours()?])
    }

    fn run(&self, bench: &Bench, _: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let lab = &bench.lab;
        daemon::stop(lab.folder(), false)?;
        let begun = Instant::now();
        daemon::start(lab.name(), lab.folder())?;
        lab.wait_until_ready()?;
        let start = milliseconds(begun);
        // What the start left to do is over.
        thread::sleep(Duration::from_secs(if bench.quick { 4 } else { 10 }));

        let pid = daemon::pid(lab.folder()).context("farosd does not run")?;
        let wakes = wake_ups(pid, if bench.quick { 4 } else { 10 })?;
        let memory = pss_mib(pid)?;
        let written = written(pid)?;
        let begun = Instant::now();
        lab.apply(&bench.site_file(Router::On)?)?;
        let apply = milliseconds(begun);
        #[expect(clippy::cast_precision_loss, reason = "a small count")]
        let written = (self::written(pid)? - written) as f64;
        let mut installed = 0;
        for name in ["farosd", "farosctl"] {
            installed += fs::metadata(daemon::program(name)?)?.len();
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
        let installed = installed as f64 / 1e6;
        Ok(vec![
            (MEMORY, memory),
            (WAKES, wakes),
            (START, start),
            (APPLY, apply),
            (WRITTEN, written),
            (INSTALLED, installed),
        ])
    }

    fn targets(&self) -> &'static [Target] {
        const {
            &[
                Target::value(MEMORY.name, 14.0),
                Target::value(WAKES.name, 3.0),
                Target::value(START.name, 200.0),
                Target::value(APPLY.name, 50.0),
                Target::value(WRITTEN.name, 0.0),
                Target::value(INSTALLED.name, 25.0),
            ]
        }
    }
}

/// As it is when all other works have been measured on it.
pub(crate) struct Loaded;

impl Work for Loaded {
    fn name(&self) -> &'static str {
        "footprint after all loads"
    }

    fn contenders(&self, bench: &Bench) -> anyhow::Result<Vec<Contender>> {
        Ok(vec![bench.ours()?])
    }

    fn run(&self, bench: &Bench, _: &mut Contender) -> anyhow::Result<Vec<(Figure, f64)>> {
        let pid = daemon::pid(bench.lab.folder()).context("farosd does not run")?;
        Ok(vec![(MEMORY, pss_mib(pid)?)])
    }

    fn targets(&self) -> &'static [Target] {
        const { &[Target::value(MEMORY.name, 32.0)] }
    }
}

fn milliseconds(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

/// The process' share of memory, in MiB.
fn pss_mib(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib: f64 = line
        .context("there is no Pss line")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib / 1024.0)
}

/// Bytes that the process had written to disks, by now.
fn written(pid: u32) -> anyhow::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.context("there is no count of bytes")?.trim().parse()?)
}

/// How often the process' threads woke up, per second.
fn wake_ups(pid: u32, seconds: u32) -> anyhow::Result<f64> {
    let before = switches(pid)?;
    thread::sleep(Duration::from_secs(seconds.into()));
    let after = switches(pid)?;
    ensure!(after >= before, "a thread ended while it was measured");
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let woke = (after - before) as f64;
    Ok(woke / f64::from(seconds))
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
