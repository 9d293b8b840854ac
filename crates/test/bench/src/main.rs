//! Measures what the design promises, on a site in the lab: start, memory, wake-ups, an apply of nothing, and
//! recoveries against Debian's Tang.
//!
//! Figures are medians with their range. `make bench` builds everything optimized first.

mod measure;
mod tang;

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Parser;
use serde::Serialize;

/// Measure farosd on a site in the lab.
#[derive(Debug, Parser)]
struct Args {
    /// The site file.
    #[arg(long, default_value = "examples/demo.yaml")]
    site: PathBuf,
    /// Where summary.json goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

/// One row of `summary.json`. Rows without a peer measure against a target alone.
#[derive(Debug, Serialize)]
struct Row {
    work: &'static str,
    ours: f64,
    peer: Option<f64>,
    peer_name: Option<&'static str>,
    unit: &'static str,
    ratio: Option<f64>,
    target: f64,
    met: bool,
    runs: usize,
    /// Lowest and highest of the runs.
    spread: [f64; 2],
}

impl Row {
    fn of(work: &'static str, unit: &'static str, target: f64, mut runs: Vec<f64>) -> anyhow::Result<Self> {
        runs.sort_by(f64::total_cmp);
        let ours = *runs.get(runs.len() / 2).context("nothing was measured")?;
        let spread = [runs[0], runs[runs.len() - 1]];
        let (peer, peer_name, ratio) = (None, None, None);
        Ok(Self {
            work,
            ours,
            peer,
            peer_name,
            unit,
            ratio,
            target,
            met: ours <= target,
            runs: runs.len(),
            spread,
        })
    }

    /// A row that is met if ours is better than the peer: more of it, or less. The ratio says how many times.
    fn ahead(
        work: &'static str,
        unit: &'static str,
        peer_name: &'static str,
        ours: Vec<f64>,
        mut peer: Vec<f64>,
        more_is_better: bool,
    ) -> anyhow::Result<Self> {
        peer.sort_by(f64::total_cmp);
        let peer = *peer
            .get(peer.len() / 2)
            .context("nothing was measured of the peer")?;
        let row = Self::of(work, unit, peer, ours)?;
        let ratio = if more_is_better {
            row.ours / peer
        } else {
            peer / row.ours
        };
        Ok(Self {
            peer: Some(peer),
            peer_name: Some(peer_name),
            ratio: Some(ratio),
            met: ratio >= 1.0,
            ..row
        })
    }
}

#[expect(clippy::print_stdout, reason = "a program for people")]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let rows = measure::all(&args.site, args.runs)?;
    println!("{:<44} {:>9} {:>9} {:>8}  range", "", "ours", "target", "");
    for row in &rows {
        let [low, high] = row.spread;
        let met = if row.met { "met" } else { "MISSED" };
        let against = match (row.peer_name, row.ratio) {
            (Some(name), Some(ratio)) => format!(", {ratio:.1} times better than {name}"),
            _ => String::new(),
        };
        println!(
            "{:<44} {:>9.2} {:>9.1} {:>8}  {low:.2} to {high:.2}, {met}{against}",
            row.work, row.ours, row.target, row.unit
        );
    }
    fs::create_dir_all(&args.out)?;
    let path = args.out.join("summary.json");
    fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n")?;
    println!("\nwritten to {}", path.display());
    Ok(ExitCode::SUCCESS)
}
