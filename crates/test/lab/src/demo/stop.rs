//! Ctrl-C, SIGTERM and a terminal that closes: the demo stops where it is.
//!
//! Ctrl-C reaches every program that the demo waits for, a SIGTERM or SIGHUP the demo alone. So that none of them
//! waits for the end of an image's build, what the demo waits for is told as well. What has a process group of its
//! own, as farosd and the machines have, is not: it ends in good order when the lab is taken down.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use rustix::process::{Pid, Signal, getpgid, kill_process};

use crate::interrupt;

/// Whether the demo is to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_told: bool,
    /// The demo is over: what it starts now cleans up.
    is_over: bool,
}

impl Stop {
    /// Listens from now on.
    pub(super) fn listen() -> anyhow::Result<Arc<Self>> {
        let stop = Arc::new(Self::default());
        let told = Arc::clone(&stop);
        interrupt::listen(move || told.tell())?;
        Ok(stop)
    }

    fn tell(&self) {
        {
            let mut state = self.lock();
            if state.is_over {
                return;
            }
            state.is_told = true;
        }
        self.changed.notify_all();
        let mut told = BTreeSet::new();
        loop {
            let state = self.lock();
            if state.is_over {
                return;
            }
            // The next program may have been about to start.
            end_children(&mut told);
            drop(state);
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// The demo is over; what it starts from now on is left alone. Whether it had been told to stop by then.
    pub(super) fn over(&self) -> bool {
        let mut state = self.lock();
        state.is_over = true;
        state.is_told
    }

    pub(super) fn is_told(&self) -> bool {
        self.lock().is_told
    }

    /// Fails if the demo is to stop.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.is_told(), "interrupted");
        Ok(())
    }

    /// Waits; fails at once if the demo is to stop.
    pub(super) fn pause(&self, time: Duration) -> anyhow::Result<()> {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while !state.is_told {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        self.check()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells each program that this one waits for to end, and all that it started, once: how it cleans up is its own
/// affair.
fn end_children(told: &mut BTreeSet<i32>) {
    let Ok(own) = getpgid(None) else { return };
    for child in children(&std::process::id().to_string()) {
        if !told.insert(child) {
            continue;
        }
        let mut tree = vec![child];
        while let Some(pid) = tree.pop().and_then(Pid::from_raw) {
            if getpgid(Some(pid)) == Ok(own) {
                tree.extend(children(&pid.as_raw_nonzero().to_string()));
                // One that has ended meanwhile has done what it should.
                let _ = kill_process(pid, Signal::TERM);
            }
        }
    }
}

/// The processes that a process started, by any of its threads.
fn children(pid: &str) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<_>>()
        })
        .collect()
}
