//! The demo: from one site file to machines that run from encrypted disks, seen by the bastion alone.
//!
//! What it promises is what it checks: a BIOS and a UEFI machine with empty disks network-boot, install
//! themselves on encrypted disks, start from them and are unlocked by the bastion with nobody present; a stolen
//! disk does not open; a site that is locked down unlocks nothing, and goes on when the lockdown is lifted. It
//! ends with exit 0 only if all of that was seen.
//!
//! That is the quick one. The whole demo ends in a cluster instead: see [`cluster`].

mod acts;
mod cluster;
mod show;
mod summary;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_model::event::Event;

use self::{
    acts::{Follow, Until},
    show::Show,
    summary::{Proof, Summary},
};
use crate::{
    Lab, daemon,
    machine::{Firmware, Hardware},
};

/// Name of the demo's lab.
const LAB: &str = "demo";
/// The machines of the quick demo: which node, with which firmware.
const MACHINES: &[(&str, Firmware)] = &[("node-1", Firmware::Bios), ("node-2", Firmware::Uefi)];
/// How long the machines may take to install themselves and start from their disks.
const INSTALLS: Duration = Duration::from_mins(12);

/// How the demo runs.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave everything up, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// One line for each thing that happens, no bars.
    #[arg(long)]
    pub plain: bool,
    /// Only what comes before Kubernetes: encrypted disks, a thief, a lockdown.
    #[arg(long)]
    pub quick: bool,
    /// The site file; `examples/cluster.yaml`, or `examples/demo.yaml` if quick.
    #[arg(long)]
    pub site: Option<PathBuf>,
    /// Where summary.json goes.
    #[arg(long, default_value = "target/demo")]
    pub out: PathBuf,
}

/// Runs the demo.
///
/// # Errors
/// If anything it promises was not seen; the lab is down then, unless it is to be kept.
#[expect(
    clippy::print_stderr,
    clippy::needless_pass_by_value,
    reason = "a program for people"
)]
pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    let stop = on_signal()?;
    let begun = Instant::now();
    let result = play(&options, &stop, begun);
    if options.keep && Lab::open(LAB).is_ok() {
        eprintln!(
            "\nThe lab is still up. Look around:\n  \
             faros-lab --name {LAB} farosctl nodes\n  \
             faros-lab --name {LAB} farosctl watch\n  \
             faros-lab --name {LAB} machine node-1 log\n  \
             faros-lab --name {LAB} exec client:me -- sh\n\
             End it with:\n  faros-lab --name {LAB} down"
        );
    } else {
        Lab::down(LAB).context("cannot take the lab down")?;
    }
    if stop.load(Ordering::Relaxed) {
        eprintln!("interrupted; nothing is left behind");
        return Ok(ExitCode::from(130));
    }
    let summary = result?;
    eprint!("\n{}", summary.text());
    let path = options.out.join("summary.json");
    eprintln!("\nThe summary is in {}.", path.display());
    if summary.ok {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("not all that was promised was seen");
}

fn play(options: &Options, stop: &AtomicBool, begun: Instant) -> anyhow::Result<Summary> {
    let (machines, site): (&[_], _) = if options.quick {
        (MACHINES, "examples/demo.yaml")
    } else {
        (&[cluster::MACHINE], "examples/cluster.yaml")
    };
    let show = Show::new(options.plain, machines);
    let site = options.site.as_deref().unwrap_or(site.as_ref());
    show.line(&format!("applying {} to a new bastion", site.display()));
    let mut lab = Lab::up(LAB, site)?;
    let up = begun.elapsed();
    lab.provide_image(&mut |text| show.line(text))?;
    if !options.quick {
        show.line("putting a release of Kubernetes into the content store");
        cluster::provide_release(&lab)?;
    }
    let set_up = begun.elapsed();
    show.line(&format!("the bastion was ready after {:.1} s", up.as_secs_f64()));
    let mut follow = Follow::new(&mut lab, &show, stop, machines);
    let acted = if options.quick {
        act(&mut follow).map(|proofs| (proofs, None))
    } else {
        cluster::act(&mut follow).map(|(proofs, cluster)| (proofs, Some(cluster)))
    };
    show.finish();
    let (proofs, cluster) = match acted {
        Ok(acted) => acted,
        Err(error) => {
            if !stop.load(Ordering::Relaxed) {
                last_words(&lab, &show, machines);
            }
            return Err(error);
        }
    };
    let picture = options.out.join("boot.svg");
    fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
    let drawn = picture.to_str().context("the output's path is no text")?;
    acts::farosctl(&lab, &["timeline", "--last", "2", "--svg", drawn])?;
    let summary = summary::gather(&lab, machines, proofs, cluster, begun.elapsed(), set_up)?;
    write(&options.out, &summary)?;
    Ok(summary)
}

/// All that the quick demo promises, in order.
fn act(follow: &mut Follow<'_>) -> anyhow::Result<Vec<Proof>> {
    let show = follow.show;
    for (node, firmware) in MACHINES {
        let firmware_word = firmware.as_str();
        show.line(&format!(
            "powering on {node}: {firmware_word}, empty disk, network first"
        ));
        follow
            .lab
            .start_machine(node, &hardware(*firmware), &mut |_| ())?;
    }
    for (node, _) in MACHINES {
        follow.until(node, Until::Report("started"), INSTALLS)?;
    }
    show.line("both machines run from their encrypted disks; this is how they got there:");
    for line in acts::farosctl(follow.lab, &["timeline", "--last", "1"])?.lines() {
        show.text(line);
    }

    let (thief, _) = MACHINES[1];
    show.line(&format!("proof 1: a thief has the disk of {thief}"));
    let mut proofs = acts::stolen_disk(follow, thief)?;

    let (locked, firmware) = MACHINES[0];
    show.line(&format!(
        "proof 2: the site is locked down, and {locked} starts again"
    ));
    proofs.extend(acts::lockdown(follow, locked, &hardware(firmware))?);
    Ok(proofs)
}

fn hardware(firmware: Firmware) -> Hardware {
    Hardware {
        firmware,
        ..Hardware::default()
    }
}

fn last_words(lab: &Lab, show: &Show, machines: &[(&str, Firmware)]) {
    for (node, _) in machines {
        let log = lab.machine(node).log().unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(12)..].join("\n");
        show.line(&format!("--- {node}'s console ends:\n{end}"));
        if let Ok(why) = acts::farosctl(lab, &["why", node]) {
            show.line(&format!("--- the bastion on {node}:\n{why}"));
        }
    }
    let log = daemon::last_lines(&lab.folder().log(), 12);
    show.line(&format!("--- farosd's log ends:\n{log}"));
}

/// The events after number `seen`.
pub(crate) fn events(lab: &Lab, seen: u64) -> anyhow::Result<Vec<Event>> {
    let after = seen.to_string();
    let output = lab.farosctl(&[
        "events", "--after", &after, "--limit", "10000", "--output", "json",
    ])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).context("an event is not understood"))
        .collect()
}

fn write(out: &Path, summary: &Summary) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let path = out.join("summary.json");
    let text = serde_json::to_string_pretty(summary)?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}

/// Set when the demo is told to stop.
fn on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let flag = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&flag);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let Ok(mut terminate) = signal(SignalKind::terminate()) else {
                return;
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => (),
                _ = terminate.recv() => (),
            }
            told.store(true, Ordering::Relaxed);
        });
    });
    Ok(flag)
}
