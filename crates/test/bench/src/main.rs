//! Measures what the design promises, on a site in the lab, side by side with the programs that do the same work.
//!
//! Figures are medians with their range over rounds in which everybody has a turn; CPU time for each unit of work comes
//! first. `make bench` builds everything optimized before.

mod balancer;
mod control;
mod converge;
mod cpu;
mod dhcp;
mod dns;
mod figures;
mod footprint;
mod growth;
mod http;
mod ntp;
mod overload;
mod place;
mod report;
mod sink;
mod soak;
mod storm;
mod tang;
mod tftp;
mod work;
mod wrk;

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use faros_lab::interrupt;

use crate::{report::Report, work::Work};

/// Measure farosd beside its peers.
#[derive(Debug, Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  make bench
  make bench BENCH_ARGS=--quick
  make bench BENCH_ARGS='--only balancer --only ntp --runs 7'"
)]
struct Args {
    /// Where summary.json goes.
    #[arg(long, default_value = "target/bench")]
    out: PathBuf,
    /// Write tables and plots here as well.
    #[arg(long, value_name = "DIR")]
    publish: Option<PathBuf>,
    /// Only this work; may be given several times.
    #[arg(long, value_name = "WORK")]
    only: Vec<String>,
    /// How many rounds; three by default, one if quick.
    #[arg(long)]
    runs: Option<usize>,
    /// Less of everything, and not what takes long unless it is named.
    #[arg(long)]
    quick: bool,
    /// For how many minutes everything goes on at once; one by default, a fourth of one if quick.
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
    #[command(subcommand)]
    command: Option<Own>,
}

#[derive(Debug, Subcommand)]
enum Own {
    /// The least that a server can do.
    #[command(hide = true)]
    Control {
        #[command(subcommand)]
        control: control::Control,
    },
}

/// All that can be measured, in this order.
fn works() -> Vec<Box<dyn Work>> {
    vec![
        Box::new(footprint::Idle::default()),
        Box::new(converge::Converge),
        Box::new(growth::WithSite),
        Box::new(growth::WithUse),
        Box::new(balancer::Balancer),
        Box::new(balancer::Restart),
        Box::new(ntp::Ntp::default()),
        Box::new(dns::Dns::default()),
        Box::new(dhcp::Dhcp::default()),
        Box::new(tang::Tang::default()),
        Box::new(tftp::Tftp),
        Box::new(http::Http::default()),
        Box::new(storm::Storm),
        Box::new(overload::Overload),
        Box::new(soak::Soak),
        Box::new(footprint::Loaded),
    ]
}

#[expect(clippy::print_stderr, reason = "a program for people")]
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Own::Control { control }) = &args.command {
        control::run(control)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut works = works();
    let order: Vec<&str> = works.iter().map(|work| work.name()).collect();
    if let Some(unknown) = args.only.iter().find(|name| !order.contains(&name.as_str())) {
        eprintln!("there is no work `{unknown}`: use {}", order.join(", "));
        return Ok(ExitCode::from(2));
    }
    if args.only.is_empty() {
        works.retain(|work| !args.quick || work.is_in_quick());
    } else {
        works.retain(|work| args.only.iter().any(|name| name == work.name()));
    }
    let folder = tempfile::tempdir()?;
    let is_over = Over::watch(folder.path())?;
    let measured = measure(&args, works, &order, folder, &is_over);
    is_over.or_go_on();
    measured
}

/// Measures all of `works`, tells what came of it, and writes it down.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]
fn measure(
    args: &Args,
    works: Vec<Box<dyn Work>>,
    order: &[&str],
    folder: tempfile::TempDir,
    is_over: &Over,
) -> anyhow::Result<ExitCode> {
    let runs = args.runs.unwrap_or(if args.quick { 1 } else { 3 }).max(1);
    let soak = match (args.soak, args.quick) {
        (Some(minutes), _) => Duration::from_mins(minutes),
        (None, true) => Duration::from_secs(15),
        (None, false) => Duration::from_mins(1),
    };
    let mut bench = work::Bench::up(folder, runs, args.quick, soak)?;
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    let command = as_typed(std::env::args().skip(1));
    let begun_all = Instant::now();
    for work in works {
        eprintln!("measuring {} …", work.name());
        let (begun, cores) = (Instant::now(), cpu::Cores::now());
        let measured = bench.measure(work.as_ref());
        is_over.or_go_on();
        let took = begun.elapsed();
        eprintln!("it took {:.0} s", took.as_secs_f64());
        match measured {
            Ok(table) => {
                println!("{}", report::text(&table));
                let of_work = table.rows(work.targets())?;
                // At once: a long run that is cut off has shown something.
                if let Some(folder) = &args.publish {
                    let report = Report {
                        machine: &machine(cores),
                        command: &command,
                        took,
                        table: &table,
                        rows: &of_work,
                    };
                    report.publish(folder, order)?;
                }
                rows.extend(of_work);
            }
            // The others are worth their while all the same.
            Err(error) => {
                eprintln!("{error:#}");
                failed.push(work.name());
            }
        }
    }
    drop(bench);
    println!("{}", report::promises(&rows));
    fs::create_dir_all(&args.out)?;
    let path = args.out.join("summary.json");
    fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n")?;
    println!("written to {}", path.display());
    if let Some(folder) = &args.publish {
        println!("and to {}", folder.display());
    }
    println!("it took {:.1} minutes", begun_all.elapsed().as_secs_f64() / 60.0);
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("could not be measured: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Whether the run was told to end. It ends on a thread of its own then, for the main one may wait for long; most of what
/// that waits for fails meanwhile.
struct Over {
    is_told: Arc<AtomicBool>,
    /// The main thread makes nothing more.
    is_idle: Arc<AtomicBool>,
}

impl Over {
    /// Listens from now on. `folder` is removed as well.
    fn watch(folder: &Path) -> anyhow::Result<Self> {
        let [is_told, is_idle] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (told, idle, folder) = (Arc::clone(&is_told), Arc::clone(&is_idle), folder.to_owned());
        interrupt::listen(move || {
            told.store(true, Ordering::SeqCst);
            end(&idle, &folder);
        })?;
        Ok(Self { is_told, is_idle })
    }

    /// Does not return if it was.
    fn or_go_on(&self) {
        while self.is_told.load(Ordering::SeqCst) {
            self.is_idle.store(true, Ordering::SeqCst);
            thread::park();
        }
    }
}

/// Ends this program, and removes all that it made.
#[expect(clippy::exit, reason = "the main thread may wait for long")]
fn end(is_idle: &AtomicBool, folder: &Path) -> ! {
    // What it is written to may be gone as well.
    let tell = |what: &str| drop(writeln!(io::stderr(), "{what}"));
    tell("interrupted: what was made is being removed");
    // The main thread removes its own as it fails, and may make something still: what it does is not waited for long.
    for left in (0..10).rev() {
        let was_idle = is_idle.load(Ordering::SeqCst);
        match work::Bench::remove() {
            Ok(()) if was_idle => break,
            Err(error) if left == 0 => tell(&format!("not all of it could be: {error:#}")),
            _ => thread::sleep(Duration::from_millis(300)),
        }
    }
    // The next run has one of its own.
    drop(fs::remove_dir_all(folder));
    // As a shell tells of a program that Ctrl-C ended.
    process::exit(130)
}

/// The command as a shell takes it.
fn as_typed(words: impl Iterator<Item = String>) -> String {
    let is_plain = |word: &str| {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./=,:".contains(c);
        !word.is_empty() && word.chars().all(is_safe)
    };
    words.fold("faros-bench".to_owned(), |typed, word| {
        if is_plain(&word) {
            format!("{typed} {word}")
        } else {
            format!("{typed} '{}'", word.replace('\'', r"'\''"))
        }
    })
}

/// The machine in a line: what it is, what was measured on it and when, and how busy it and its host were besides.
fn machine(before: cpu::Cores) -> String {
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        text.unwrap_or_default()
    };
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    // What lies about in the documentation is no part of what is measured.
    let changed = said("git", &["status", "--porcelain", "--", ".", ":!docs"]);
    let commit = match said("git", &["rev-parse", "--short=12", "HEAD"]) {
        commit if commit.is_empty() => commit,
        commit if changed.is_empty() => format!(", commit {commit}"),
        commit => format!(", commit {commit} with changes"),
    };
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let stolen = cpu::Cores::now().stolen_since(before);
    format!(
        "Machine: {cores} cores of {model}, Linux {}, Debian {}; {}{commit}. Load average at the end: {load}; the host \
         gave {stolen} % of the time that was asked for to others.",
        said("uname", &["-r"]),
        fs::read_to_string("/etc/debian_version")
            .unwrap_or_default()
            .trim(),
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
    )
}
