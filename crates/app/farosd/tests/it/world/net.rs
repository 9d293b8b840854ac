//! Networks of a test's own, and programs in them.

use std::{
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, ensure};

use super::Outcome;

/// A network namespace. What runs in it is the affair of whoever started it.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new() -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("farosd-{}-{n}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let own = Self(name);
        own.ip("link set lo up")?;
        Ok(own)
    }

    /// `ip` in this namespace.
    pub(crate) fn ip(&self, words: &str) -> Outcome {
        run(Command::new("ip")
            .args(["-n", &self.0])
            .args(words.split_whitespace()))
        .map(drop)
    }

    /// A command that runs in this namespace.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }

    /// Standard output of a command in this namespace, which must succeed.
    pub(crate) fn output(&self, words: &str) -> anyhow::Result<String> {
        let mut words = words.split_whitespace();
        let program = words.next().context("no command")?;
        let output = run(self.command(program).args(words))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(run(Command::new("ip").args(["netns", "delete", &self.0])));
    }
}

/// Runs a command that must succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output)
}

/// A child that does not outlive the test.
pub(crate) struct Guarded(pub(crate) Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
