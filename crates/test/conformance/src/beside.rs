//! What a test has beside the bastion: programs on its hosts, changed site files, and patience.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{Site, root};

/// A program that ends with the test.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Site {
    /// A command in a host's network alone: system folders of the host's own are for one command at a time.
    ///
    /// # Errors
    /// If the host cannot be made.
    pub fn in_network(&mut self, host: &str, words: &[&str]) -> anyhow::Result<Command> {
        let namespace = self.lab.host(host)?.1.namespace;
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace]).args(words);
        Ok(command)
    }

    /// Puts a site file where the lab has its own files.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn file(&self, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.lab.folder().path().join("changed.yaml");
        fs::write(&path, text)?;
        Ok(path)
    }
}

/// An example of a site file with other words in places, each of which it must have.
///
/// # Errors
/// If it has not.
pub fn changed(example: &str, changes: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut text = fs::read_to_string(root().join(format!("examples/{example}.yaml")))?;
    for (from, to) in changes {
        ensure!(text.contains(from), "the site {example} has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    Ok(text)
}

/// Waits until something is so.
///
/// # Errors
/// If it is not within a minute.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so()? {
        ensure!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
