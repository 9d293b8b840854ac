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
mod stop;
mod summary;

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};

use self::{
    acts::{Follow, Until},
    show::{Show, say},
    stop::Stop,
    summary::{Proof, Summary},
};
use crate::{
    Lab, daemon,
    machine::{Firmware, Hardware},
};

/// Name of the demo's lab, unless it is given another.
pub const LAB: &str = "demo";
/// The machines of the quick demo: which node, with which firmware.
const MACHINES: &[(&str, Firmware)] = &[("node-1", Firmware::Bios), ("node-2", Firmware::Uefi)];
/// How long the machines may take to install themselves and start from their disks: six minutes, or thrice that where a
/// host gives its processors to others.
const INSTALLS: Duration = Duration::from_mins(25);

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

/// Runs the demo in a lab called `name`.
///
/// # Errors
/// If anything it promises was not seen; the lab is down then, unless it is to be kept.
pub fn run(name: &str, options: &Options) -> anyhow::Result<ExitCode> {
    // Before there is anything to clean up: that one is somebody else's.
    if Lab::must_be_new(name)? {
        say("removed what an earlier demo left, which was killed");
    }
    let stop = Stop::listen()?;
    let mut play = Play::new(options, &stop);
    let lab = play.set_up(name);
    let is_kept = options.keep && lab.is_ok();
    let result = lab.and_then(|lab| play.run(lab));
    let is_told = stop.over();
    let cleaned = if is_kept {
        say(&format!(
            "\nThe lab is still up. Look around:\n  \
             faros-lab --name {name} farosctl nodes\n  \
             faros-lab --name {name} farosctl watch\n  \
             faros-lab --name {name} machine node-1 log\n  \
             faros-lab --name {name} exec client:me -- sh\n\
             End it with:\n  faros-lab --name {name} down"
        ));
        Ok(())
    } else {
        clean_up(name)
    };
    if is_told {
        cleaned?;
        say(if is_kept {
            "interrupted"
        } else {
            "interrupted; nothing is left behind"
        });
        return Ok(ExitCode::from(130));
    }
    let summary = match (result, cleaned) {
        (Ok(summary), cleaned) => cleaned.map(|()| summary)?,
        (Err(error), Ok(())) => return Err(error),
        (Err(error), Err(second)) => return Err(error.context(format!("and {second:#}"))),
    };
    say(&format!("\n{}", summary.text()));
    let path = options.out.join("summary.json");
    say(&format!("The summary is in {}.", path.display()));
    if summary.ok {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("not all that was promised was seen");
}

/// Takes the lab down in a process of its own, which a second Ctrl-C does not reach.
fn clean_up(name: &str) -> anyhow::Result<()> {
    let ended = Command::new(daemon::program("faros-lab")?)
        .args(["--name", name, "down"])
        .stdin(Stdio::null())
        .process_group(0)
        .output()
        .context("cannot take the lab down")?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(
        ended.status.success(),
        "the lab cannot be taken down: {}",
        said.trim()
    );
    Ok(())
}

/// The demo under way.
struct Play<'a> {
    options: &'a Options,
    stop: &'a Stop,
    machines: &'static [(&'static str, Firmware)],
    show: Show,
    begun: Instant,
    /// How long it took until the bastion was up.
    up: Duration,
}

impl<'a> Play<'a> {
    fn new(options: &'a Options, stop: &'a Stop) -> Self {
        let machines: &[_] = if options.quick {
            MACHINES
        } else {
            &[cluster::MACHINE]
        };
        Self {
            options,
            stop,
            machines,
            show: Show::new(options.plain, machines),
            begun: Instant::now(),
            up: Duration::ZERO,
        }
    }

    fn set_up(&mut self, name: &str) -> anyhow::Result<Lab> {
        let default = if self.options.quick {
            "examples/demo.yaml"
        } else {
            "examples/cluster.yaml"
        };
        let site = self.options.site.as_deref().unwrap_or(default.as_ref());
        self.show
            .line(&format!("applying {} to a new bastion", site.display()));
        let lab = if self.options.keep {
            Lab::up(name, site)?
        } else {
            Lab::up_meanwhile(name, site)?
        };
        self.up = self.begun.elapsed();
        Ok(lab)
    }

    fn run(&self, mut lab: Lab) -> anyhow::Result<Summary> {
        let Self {
            options,
            stop,
            machines,
            show,
            ..
        } = self;
        stop.check()?;
        for (node, _) in *machines {
            lab.provide_image(node, &mut |text| show.line(text))?;
        }
        if !options.quick {
            show.line("putting a release of Kubernetes into the content store");
            cluster::provide_release(&lab)?;
        }
        let set_up = self.begun.elapsed();
        show.line(&format!(
            "the bastion was ready after {:.1} s",
            self.up.as_secs_f64()
        ));
        let mut follow = Follow::new(&mut lab, show, stop, machines);
        let acted = if options.quick {
            act(&mut follow).map(|proofs| (proofs, None))
        } else {
            cluster::act(&mut follow).map(|(proofs, cluster)| (proofs, Some(cluster)))
        };
        show.finish();
        let (proofs, cluster) = match acted {
            Ok(acted) => acted,
            Err(error) => {
                if !stop.is_told() {
                    last_words(&lab, show, machines);
                }
                return Err(error);
            }
        };
        let picture = options.out.join("boot.svg");
        fs::create_dir_all(&options.out).with_context(|| format!("cannot make {}", options.out.display()))?;
        let drawn = picture.to_str().context("the output's path is no text")?;
        acts::farosctl(&lab, &["timeline", "--last", "2", "--svg", drawn])?;
        let summary = summary::gather(&lab, machines, proofs, cluster, self.begun.elapsed(), set_up)?;
        write(&options.out, &summary)?;
        Ok(summary)
    }
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

fn write(out: &Path, summary: &Summary) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let path = out.join("summary.json");
    let text = serde_json::to_string_pretty(summary)?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
}
