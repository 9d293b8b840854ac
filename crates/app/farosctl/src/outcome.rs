//! How a command ends: exit codes, last words, and what goes to standard output.
//!
//! The exit codes are a contract; see the design, section 11.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use faros_client::ClientError;
use faros_model::{chain::Chain, problem::Problems};
use serde_json::json;

/// A command that did what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing to add.
    Ok,
    /// There are changes, and the caller wants to know by the exit code.
    Changes,
    /// The result was printed, and it is that the input has problems.
    Problems,
    /// The result was printed, and it is bad.
    Bad,
}

impl Done {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Bad => 1,
            Self::Problems => 3,
            Self::Changes => 4,
        }
    }
}

/// A command that did not.
#[derive(Debug)]
pub(crate) enum Error {
    Client(ClientError),
    /// A site file is refused: its report, and as values.
    Problems(String, Problems),
    /// What was asked for does not go together.
    Usage(String),
    /// It would be unsafe to go on.
    Refused(String),
    Failed(anyhow::Error),
    /// An apply failed; the daemon's words.
    Apply(faros_model::api::Failure),
    Interrupted,
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Prints a result. A reader that has gone is no error: `farosctl history | head`.
pub(crate) fn print(text: &str) -> Result<Done, Error> {
    match io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdout().flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Failed(
            anyhow::Error::new(error).context("cannot write to standard output"),
        )),
        _ => Ok(Done::Ok),
    }
}

/// Tells the operator something beside the result.
#[expect(clippy::print_stderr, reason = "talk goes to standard error")]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The last words of a command, and its exit code.
pub(crate) fn report(error: &Error, as_json: bool) -> ExitCode {
    let (code, message, hint) = match error {
        Error::Client(ClientError::NotRunning { socket, source }) => (
            5,
            format!("no farosd answers on {}: {source}", socket.display()),
            "start it with `systemctl start farosd`, or name its socket with --socket".to_owned(),
        ),
        Error::Client(ClientError::Refused(failure)) | Error::Apply(failure) => (
            if failure.code == "refused" { 6 } else { 1 },
            failure.message.clone(),
            failure.hint.clone(),
        ),
        Error::Client(ClientError::Problems(problems)) => {
            let first = problems.problems.first().map(|problem| problem.message.clone());
            (3, first.unwrap_or_default(), String::new())
        }
        Error::Client(error) => (1, Chain(error).to_string(), String::new()),
        Error::Problems(report, problems) => {
            if as_json {
                // The problems are the result.
                let _ = print(&(json!(problems).to_string() + "\n"));
            } else {
                say(report);
            }
            return ExitCode::from(3);
        }
        Error::Usage(why) => (2, why.clone(), "`farosctl help` and `--help` say how".to_owned()),
        Error::Refused(why) => (6, why.clone(), String::new()),
        Error::Failed(error) => (1, format!("{error:#}"), String::new()),
        Error::Interrupted => (130, "interrupted".to_owned(), String::new()),
    };
    if as_json {
        let _ = print(&(json!({ "error": { "message": message, "hint": hint } }).to_string() + "\n"));
    } else {
        say(&format!("farosctl: {message}"));
        if !hint.is_empty() {
            say(&format!("  {hint}"));
        }
    }
    ExitCode::from(code)
}
