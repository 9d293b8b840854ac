//! Runs programs, and says in a line what went wrong with them.

use std::{
    io,
    path::Path,
    process::{Command, Output},
};

use crate::error::{BuildError, at};

/// Runs a program to its end; its standard output.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<Vec<u8>, BuildError> {
    let output = output(command)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(BuildError::Failed {
        program: what.to_owned(),
        status: output.status,
        said: last_words(&output.stderr),
    })
}

pub(crate) fn output(command: &mut Command) -> Result<Output, BuildError> {
    let program = command.get_program().to_owned();
    command.output().map_err(at("run", Path::new(&program)))
}

/// Standard output as text, without white space around it.
pub(crate) fn text(command: &mut Command, what: &str) -> Result<String, BuildError> {
    let output = run(command, what)?;
    Ok(String::from_utf8_lossy(&output).trim().to_owned())
}

/// Whether there is such a program.
pub(crate) fn is_installed(program: &str) -> bool {
    !matches!(
        Command::new(program).arg("--version").output(),
        Err(error) if error.kind() == io::ErrorKind::NotFound
    )
}

/// The last lines of what a program said.
pub(crate) fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("go: downloading "))
        .collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
