//! How much CPU time processes took: proc(5).
//!
//! Of living threads the scheduler's own count is read, in nanoseconds; of those that ended, and of children that were
//! waited for, the kernel tells 10 ms at best; so a peer is in a control group, which knows of all. On the kernels that
//! are measured here the time of packets that are handled on a program's way out is that program's, and what is put off
//! is `ksoftirqd`'s.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    process::Pid,
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Where control groups of the second kind are: alone, or beside those of the first.
const GROUPS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A control group around a program: what it took with all its children, also those that left it and ended.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// The group by this name; `None` where there are no such groups.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let mut all = GROUPS.iter().map(Path::new);
        let root = all.find(|root| root.join("cgroup.procs").exists())?;
        let path = root.join(format!("faros-bench-{name}"));
        // What is left of one that something is still in will do: only what is taken from now on counts.
        path.is_dir()
            .then_some(())
            .or_else(|| fs::create_dir(&path).ok())?;
        Some(Self(path))
    }

    /// The file that takes the numbers of processes that are to be in it.
    pub(crate) fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// What was taken up to now.
    pub(crate) fn spent(&self) -> Option<Duration> {
        let text = fs::read_to_string(self.0.join("cpu.stat")).ok()?;
        let micros = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        Some(Duration::from_micros(micros.trim().parse().ok()?))
    }

    /// All processes in it.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let text = fs::read_to_string(self.door()).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It stays while something is in it, and takes nothing.
        drop(fs::remove_dir(&self.0));
    }
}

/// Keeps what this program's thread does and starts on one core, and servers on another, until it is dropped. On a
/// machine of a single core it does nothing.
#[derive(Debug)]
pub(crate) struct Apart {
    servers: Vec<Pid>,
    before: CpuSet,
}

impl Apart {
    /// Of processes with a thread each.
    pub(crate) fn from(servers: &[u32]) -> anyhow::Result<Self> {
        let before = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|core| before.is_set(*core));
        let servers = servers
            .iter()
            .filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?));
        let mut own = Self {
            servers: vec![],
            before,
        };
        if let (Some(here), Some(there)) = (cores.next(), cores.next()) {
            own.servers = servers.collect();
            let [here, there] = [here, there].map(|core| {
                let mut set = CpuSet::new();
                set.set(core);
                set
            });
            sched_setaffinity(None, &here)?;
            for pid in &own.servers {
                sched_setaffinity(Some(*pid), &there)?;
            }
        }
        Ok(own)
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        for pid in self.servers.iter().copied().map(Some).chain([None]) {
            // One that has ended is nowhere.
            let _ = sched_setaffinity(pid, &self.before);
        }
    }
}

/// What a server took, as it is known.
#[derive(Debug, Clone)]
pub(crate) enum Taken {
    /// By its groups.
    Groups(Duration),
    /// By its processes.
    Processes(Spent),
}

impl Taken {
    /// What was taken since `before`.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        match (self, before) {
            (Self::Groups(now), Self::Groups(before)) => now.saturating_sub(*before),
            (Self::Processes(now), Self::Processes(before)) => now.since(before),
            // A server that was started anew in between.
            _ => Duration::ZERO,
        }
    }
}

/// A tick is 10 ms in what the kernel tells programs.
const TICK: Duration = Duration::from_millis(10);

/// What processes and all their children took up to now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spent(BTreeMap<u32, Process>);

#[derive(Debug, Clone, Default)]
struct Process {
    threads: BTreeMap<PathBuf, Duration>,
    /// All its threads, also those that ended.
    own: Duration,
    /// Children that were waited for.
    reaped: Duration,
}

impl Spent {
    /// What these processes and their children took. Those that are not there took nothing.
    pub(crate) fn by(roots: &[u32]) -> Self {
        let mut all = BTreeMap::new();
        let mut left = roots.to_vec();
        while let Some(pid) = left.pop() {
            if let Some(process) = process(pid) {
                left.extend(process.threads.keys().flat_map(|thread| children(thread)));
                all.insert(pid, process);
            }
        }
        Self(all)
    }

    /// What was taken since `before`.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let new = Process::default();
        let taken = self.0.iter().map(|(pid, now)| {
            let before = before.0.get(pid).unwrap_or(&new);
            let living: Duration = now
                .threads
                .iter()
                .map(|(thread, now)| {
                    now.saturating_sub(before.threads.get(thread).copied().unwrap_or_default())
                })
                .sum();
            let own = now.own.saturating_sub(before.own);
            // Ticks are told apart from nanoseconds only where a thread has ended.
            let own = if own > living + 2 * TICK { own } else { living };
            own + now.reaped.saturating_sub(before.reaped)
        });
        taken.sum()
    }
}

/// The kernel's own threads for packets that were put off.
pub(crate) fn packet_threads() -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"))
    })
    .collect()
}

fn process(pid: u32) -> Option<Process> {
    let (own, reaped) = times(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let threads = threads.filter_map(|thread| {
        let thread = thread.path();
        let text = fs::read_to_string(thread.join("schedstat")).ok()?;
        Some((thread, running(&text)?))
    });
    Some(Process {
        threads: threads.collect(),
        own,
        reaped,
    })
}

fn children(thread: &Path) -> Vec<u32> {
    let text = fs::read_to_string(thread.join("children")).unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// What all cores were asked for, and what the host gave to other machines of it, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cores {
    asked: u64,
    stolen: u64,
}

impl Cores {
    /// By now.
    pub(crate) fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        Self::of(&stat).unwrap_or_default()
    }

    /// Reads the first line of `/proc/stat` (proc(5)).
    fn of(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let ticks: Vec<u64> = line
            .split_whitespace()
            .filter_map(|own| own.parse().ok())
            .collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, stolen, ..] = ticks[..] else {
            return None;
        };
        let asked = user + nice + system + irq + softirq + stolen;
        Some(Self { asked, stolen })
    }

    /// How many of a hundred ticks that were asked for since then others had.
    pub(crate) fn stolen_since(self, before: Self) -> u64 {
        let asked = self.asked.saturating_sub(before.asked).max(1);
        self.stolen.saturating_sub(before.stolen) * 100 / asked
    }
}

/// The process' own time and that of children it has waited for, of a line of `/proc/PID/stat`.
fn times(stat: &str) -> Option<(Duration, Duration)> {
    // The name in brackets may have anything in it.
    let rest = stat.rsplit(')').next()?;
    let ticks: Vec<u32> = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [user, system, children_user, children_system] = ticks[..] else {
        return None;
    };
    Some((TICK * (user + system), TICK * (children_user + children_system)))
}

/// The time on a CPU, of a line of `schedstat`.
fn running(schedstat: &str) -> Option<Duration> {
    let nanos = schedstat.split_whitespace().next()?;
    Some(Duration::from_nanos(nanos.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_process_are_told_apart_from_those_of_its_children() {
        let line = "77 (a) name) S 1 77 77 0 -1 4194560 1 2 3 4 12 30 5 7 20 0 9 0 100";
        assert_eq!(
            times(line),
            Some((Duration::from_millis(420), Duration::from_millis(120)))
        );
        assert_eq!(times("77 (short) S 1"), None);
    }

    #[test]
    fn a_thread_that_ended_took_its_time_all_the_same() {
        let at = |own, living| {
            let threads = [(PathBuf::from("t"), Duration::from_millis(living))];
            let process = Process {
                threads: threads.into(),
                own: Duration::from_millis(own),
                reaped: Duration::ZERO,
            };
            Spent([(1, process)].into())
        };
        assert_eq!(at(110, 103).since(&at(100, 98)), Duration::from_millis(5));
        assert_eq!(at(400, 103).since(&at(100, 98)), Duration::from_millis(300));
    }

    #[test]
    fn this_very_process_takes_time() {
        let pid = std::process::id();
        let before = Spent::by(&[pid]);
        let mut sum = 0_u64;
        for n in 0..3_000_000_u64 {
            sum = std::hint::black_box(sum.wrapping_add(n));
        }
        assert!(Spent::by(&[pid]).since(&before) > Duration::ZERO);
    }

    #[test]
    fn what_the_host_took_is_told_of_what_was_asked_for() {
        let before = Cores::of("cpu  100 10 50 1000 7 0 20 20 0 0\ncpu0 1 2 3").unwrap();
        let after = Cores::of("cpu  140 10 60 5000 9 0 30 40 0 0\n").unwrap();
        assert_eq!(after.stolen_since(before), 25);
        assert_eq!(after.stolen_since(after), 0);
        assert_eq!(Cores::of("cpu0 1 2 3"), None);
    }
}
