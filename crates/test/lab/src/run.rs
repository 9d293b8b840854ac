//! Runs programs and says what went wrong in their own words.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs a program to its end and gives what it printed; fails with its own last words if it fails.
pub fn run(program: &str, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{program} {}` failed ({}): {}",
            args.join(" "),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `ip` with words split at blanks, which no name of the lab contains.
pub fn ip(words: &str) -> anyhow::Result<String> {
    run("ip", &words.split_whitespace().collect::<Vec<_>>())
}
