//! Ctrl-C, SIGTERM and a terminal that closes.

use std::{fs, thread};

use anyhow::Context as _;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Calls `told` on a thread of its own when this program is told to end; from then on nothing ends it by itself.
///
/// # Errors
/// If signals cannot be listened for.
pub fn listen(told: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let kinds = [SignalKind::interrupt(), SignalKind::terminate()].into_iter();
    // Who starts it by `nohup` wants it to outlive the terminal.
    let hangup = (!is_ignored(Signal::HUP)?).then(SignalKind::hangup);
    // In the runtime, and before there is anything to clean up.
    let signals =
        runtime.block_on(async { kinds.chain(hangup).map(signal).collect::<Result<Vec<_>, _>>() })?;
    thread::spawn(move || {
        let any = signals
            .into_iter()
            .map(|mut own| Box::pin(async move { own.recv().await }));
        runtime.block_on(futures_util::future::select_all(any));
        told();
    });
    Ok(())
}

/// Whether whoever started this program has a signal ignored (proc(5)).
fn is_ignored(signal: Signal) -> anyhow::Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    Ok(mask.is_some_and(|mask| mask & (1 << (signal.as_raw() - 1)) != 0))
}
