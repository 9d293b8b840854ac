//! The clock of this host, as the time service sees it: whose it is to keep.

use std::{
    io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::ValueEnum;
use faros_kernel::clock;
use faros_model::api::{TimeState, TimeStatus};
use faros_net::ntp::HostClock;
use faros_ntp::{Correction, Keeper, KernelClock};
use jiff::Timestamp;

/// How long it is believed that no time daemon was started or stopped.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Who keeps the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepClock {
    /// farosd, unless a time daemon runs on the host.
    Auto,
    /// Not farosd: the clock is measured and told of, and not touched.
    Leave,
}

/// What clients are told of the time that is to be known by who looks at the services; empty if the time is known.
pub(crate) fn doubts(status: Option<&TimeStatus>) -> String {
    let why = |status: &TimeStatus| {
        if status.why.is_empty() {
            String::new()
        } else {
            format!(": {}", status.why)
        }
    };
    match status {
        None => "NOT SYNCHRONIZED: it has just begun".to_owned(),
        Some(status) => match status.state {
            TimeState::Synchronized => String::new(),
            TimeState::Orphan => format!("ORPHAN{}", why(status)),
            TimeState::Unsynchronized => format!("NOT SYNCHRONIZED{}", why(status)),
        },
    }
}

/// This host's clock.
pub(crate) struct Clock {
    keep: KeepClock,
    seen: Mutex<Option<(Instant, Keeper)>>,
}

impl Clock {
    pub(crate) fn new(keep: KeepClock) -> Self {
        Self {
            keep,
            seen: Mutex::new(None),
        }
    }
}

impl HostClock for Clock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn kernel(&self) -> KernelClock {
        // Who may not read it knows nothing of it.
        clock::read().unwrap_or_default()
    }

    fn keeper(&self) -> Keeper {
        if self.keep == KeepClock::Leave {
            return Keeper::Nobody("farosd was started with --clock leave".to_owned());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match &*seen {
            Some((at, keeper)) if at.elapsed() < LOOK_AGAIN => keeper.clone(),
            Some(_) | None => {
                let daemon = clock::time_daemon();
                let keeper = daemon.map_or(Keeper::Farosd, |daemon| {
                    Keeper::Host(format!("{} (process {})", daemon.command, daemon.pid))
                });
                *seen = Some((Instant::now(), keeper.clone()));
                keeper
            }
        }
    }

    fn correct(&self, correction: Correction) -> io::Result<()> {
        clock::correct(correction)
    }
}
