//! The demo: from one site file to machines that have booted from it, seen by the bastion alone.
//!
//! What it promises is what it checks: a BIOS and a UEFI machine with empty disks get their address, loader or
//! script, kernel, initramfs and Ignition config from `farosd`, and Ignition itself says that it parsed the
//! config. It ends with exit 0 only if all of that was seen.

mod summary;

use std::{
    fs,
    io::{IsTerminal as _, stderr},
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
use faros_model::event::{Event, EventKind};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use self::summary::Summary;
use crate::{
    Lab, daemon,
    machine::{Firmware, Hardware},
};

/// Name of the demo's lab.
const LAB: &str = "demo";
/// The machines: which node, with which firmware.
const MACHINES: &[(&str, Firmware)] = &[("node-1", Firmware::Bios), ("node-2", Firmware::Uefi)];
/// How long the machines may take.
const PATIENCE: Duration = Duration::from_secs(280);

/// How the demo runs.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Leave everything up, and say how to look around.
    #[arg(long)]
    pub keep: bool,
    /// One line for each thing that happens, no bars.
    #[arg(long)]
    pub plain: bool,
    /// The site file.
    #[arg(long, default_value = "examples/demo.yaml")]
    pub site: PathBuf,
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
    let show = Show::new(options.plain);
    show.line(&format!("applying {} to a new bastion", options.site.display()));
    let mut lab = Lab::up(LAB, &options.site)?;
    let up = begun.elapsed();
    lab.provide_image(&mut |text| show.line(text))?;
    let set_up = begun.elapsed();
    show.line(&format!("the bastion was ready after {:.1} s", up.as_secs_f64()));

    for (node, firmware) in MACHINES {
        show.line(&format!(
            "powering on {node}: {}, empty disk, network first",
            firmware.as_str()
        ));
        lab.start_machine(
            node,
            &Hardware {
                firmware: *firmware,
                ..Hardware::default()
            },
            &mut |_| (),
        )?;
    }
    let followed = follow(&lab, &show, stop);
    show.finish();
    if let Err(error) = followed {
        if !stop.load(Ordering::Relaxed) {
            for (node, _) in MACHINES {
                let log = lab.machine(node).log().unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                show.line(&format!(
                    "--- {node}'s console ends:\n{}",
                    lines[lines.len().saturating_sub(12)..].join("\n")
                ));
            }
            let log = daemon::last_lines(&lab.folder().log(), 12);
            show.line(&format!("--- farosd's log ends:\n{log}"));
        }
        return Err(error);
    }
    let summary = summary::gather(&lab, MACHINES, begun.elapsed(), set_up)?;
    write(&options.out, &summary)?;
    Ok(summary)
}

/// Follows the machines until each has reported that Ignition parsed its config.
fn follow(lab: &Lab, show: &Show, stop: &AtomicBool) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    let mut done = Vec::new();
    while done.len() < MACHINES.len() {
        ensure!(!stop.load(Ordering::Relaxed), "interrupted");
        if Instant::now() > deadline {
            let missing: Vec<_> = MACHINES
                .iter()
                .map(|(node, _)| *node)
                .filter(|node| !done.contains(node))
                .collect();
            bail!(
                "{} did not get there within {} s",
                missing.join(", "),
                PATIENCE.as_secs()
            );
        }
        for event in events(lab, seen)? {
            seen = event.seq;
            let Some((node, _)) = MACHINES
                .iter()
                .find(|(own, _)| event.node.as_ref().is_some_and(|n| n.as_str() == *own))
            else {
                continue;
            };
            show.event(node, &event);
            if event.kind == EventKind::NodeReport {
                match event.detail.get("report").and_then(serde_json::Value::as_str) {
                    Some("ignition-fetched") if !done.contains(node) => done.push(node),
                    Some("failed") => bail!("{node} reports: {}", serde_json::Value::Object(event.detail)),
                    _ => (),
                }
            }
        }
        for row in lab.nodes()? {
            show.transfer(row.name.as_str(), row.transfer.as_ref());
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
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

/// What the operator sees: a line for each machine that moves, or one line after the other.
struct Show {
    bars: Option<(MultiProgress, Vec<(String, ProgressBar)>)>,
    begun: Instant,
}

impl Show {
    fn new(plain: bool) -> Self {
        let bars = (!plain && stderr().is_terminal()).then(|| {
            let all = MultiProgress::new();
            let bars = MACHINES.iter().map(|(node, firmware)| {
                let bar = all.add(ProgressBar::new(0));
                bar.set_style(style(false));
                bar.set_prefix(format!("{node} ({})", firmware.as_str()));
                bar.enable_steady_tick(Duration::from_millis(500));
                ((*node).to_owned(), bar)
            });
            let bars = bars.collect();
            (all, bars)
        });
        Self {
            bars,
            begun: Instant::now(),
        }
    }

    #[expect(clippy::print_stderr, reason = "a program for people")]
    fn line(&self, text: &str) {
        let text = format!("[{:6.1} s] {text}", self.begun.elapsed().as_secs_f64());
        match &self.bars {
            Some((all, _)) => drop(all.println(text)),
            None => eprintln!("{text}"),
        }
    }

    fn bar(&self, node: &str) -> Option<&ProgressBar> {
        self.bars
            .as_ref()?
            .1
            .iter()
            .find(|(own, _)| own == node)
            .map(|(_, bar)| bar)
    }

    fn event(&self, node: &str, event: &Event) {
        let text = told(event);
        match self.bar(node) {
            Some(bar) => bar.set_message(text),
            None => self.line(&format!("{node}  {text}")),
        }
    }

    fn transfer(&self, node: &str, transfer: Option<&faros_model::api::Transfer>) {
        let Some(bar) = self.bar(node) else { return };
        bar.set_style(style(transfer.is_some()));
        if let Some(transfer) = transfer {
            bar.set_length(transfer.of);
            bar.set_position(transfer.bytes);
        }
    }

    fn finish(&self) {
        for (_, bar) in self.bars.iter().flat_map(|(_, bars)| bars) {
            bar.set_style(style(false));
            bar.finish();
        }
    }
}

fn style(with_bar: bool) -> ProgressStyle {
    let template = if with_bar {
        "{prefix:16} {elapsed:>4}  [{bar:24}] {bytes} of {total_bytes}  {msg}"
    } else {
        "{prefix:16} {elapsed:>4}  {msg}"
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("##.")
}

/// An event in the words of somebody who watches.
fn told(event: &Event) -> String {
    let word = |key: &str| match event.detail.get(key) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    match event.kind {
        EventKind::DhcpDiscover => match (word("userClass").as_str(), word("vendorClass").as_str()) {
            ("", "") => "its system asks for an address".to_owned(),
            ("", _) => "its firmware asks for an address".to_owned(),
            _ => "iPXE asks for an address".to_owned(),
        },
        EventKind::DhcpOffer => format!("is offered {}", word("address")),
        EventKind::DhcpAck => format!("has {}", word("address")),
        EventKind::LoaderFetched => format!("has its loader {} by {}", word("name"), word("protocol")),
        EventKind::BootScriptServed => format!("is told: {} ({})", word("action"), word("reason")),
        EventKind::KernelFetched => format!(
            "has its kernel, {} bytes in {} ms",
            word("bytes"),
            word("milliseconds")
        ),
        EventKind::InitramfsFetched => {
            format!(
                "has its initramfs, {} bytes in {} ms",
                word("bytes"),
                word("milliseconds")
            )
        }
        EventKind::IgnitionServed => format!("is given its Ignition config, {} bytes", word("bytes")),
        EventKind::NodeReport => format!("reports: {}", word("report")),
        EventKind::PhaseChanged => format!("is {} now", word("to")),
        kind => kind.to_string(),
    }
}
