//! Runs a program that takes or gives a secret: over pipes, bounded, and told to end when nobody waits for it.

use std::{io, process::ExitStatus, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time,
};
use zeroize::Zeroizing;

const MAX_STDERR: u64 = 16 * 1024;

pub(crate) struct Program {
    name: &'static str,
    pub(crate) command: Command,
}

pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Zeroizing<Vec<u8>>,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut command = Command::new(name);
        // What it says is read by us, in one language, and not by the journal.
        command
            .env("LC_ALL", "C")
            .env("SYSTEMD_LOG_TARGET", "console")
            .env("SYSTEMD_LOG_COLOR", "0")
            .env("SYSTEMD_COLORS", "0")
            .env("TSS2_LOG", "all+warning")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { name, command }
    }

    /// Runs it to its end. More than `limit` bytes of answer are an error, as is more time than `within`.
    pub(crate) async fn run(
        mut self,
        stdin: &[u8],
        limit: usize,
        within: Option<Duration>,
    ) -> Result<Ran, RunError> {
        let name = self.name;
        let child = self
            .command
            .spawn()
            .map_err(|source| RunError::Start { name, source })?;
        let talk = talk(Running(child), stdin, limit);
        let ran = match within {
            Some(within) => time::timeout(within, talk)
                .await
                .map_err(|_| RunError::Slow { name, within })?,
            None => talk.await,
        };
        let ran = ran.map_err(|source| RunError::Talk { name, source })?;
        if ran.stdout.len() > limit {
            return Err(RunError::TooMuch { name });
        }
        Ok(ran)
    }
}

async fn talk(mut running: Running, stdin: &[u8], limit: usize) -> io::Result<Ran> {
    let child = &mut running.0;
    let (Some(mut to), Some(from), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(io::ErrorKind::BrokenPipe.into());
    };
    let write = async move {
        match to.write_all(stdin).await {
            // It says why itself when it does not want to read on.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    };
    // Each end is closed once it is done, so that a program that says too much ends too.
    let read = async move {
        // One allocation, so that no copy is left behind by a move to a larger one.
        let mut stdout = Zeroizing::new(Vec::with_capacity(limit + 64));
        from.take(limit as u64 + 1).read_to_end(&mut stdout).await?;
        Ok(stdout)
    };
    let listen = async move {
        let mut stderr = Vec::new();
        errors.take(MAX_STDERR).read_to_end(&mut stderr).await?;
        Ok(stderr)
    };
    let ((), stdout, stderr) = tokio::try_join!(write, read, listen)?;
    let status = child.wait().await?;
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    Ok(Ran {
        status,
        stdout,
        stderr,
    })
}

/// A program that is asked to end when it is dropped, so that `systemd-ask-password` takes its question back.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(pid) = id.and_then(Pid::from_raw) {
            // It may have ended just now; the number is not given to another before we reap it.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// The last thing that a program said, for an error.
pub(crate) fn last_line(stderr: &str, else_say: &str) -> String {
    let last = stderr.lines().map(str::trim).rfind(|line| !line.is_empty());
    last.unwrap_or(else_say).to_owned()
}

/// Why a program cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be started.
    #[error("cannot start `{name}`")]
    Start {
        /// Which program.
        name: &'static str,
        /// What failed.
        source: io::Error,
    },
    /// The pipes to it broke.
    #[error("cannot talk to `{name}`")]
    Talk {
        /// Which program.
        name: &'static str,
        /// What failed.
        source: io::Error,
    },
    /// It does not end.
    #[error("`{name}` did not end within {} s", within.as_secs())]
    Slow {
        /// Which program.
        name: &'static str,
        /// How long it had.
        within: Duration,
    },
    /// It gives more than there can be.
    #[error("`{name}` gave more than was asked for")]
    TooMuch {
        /// Which program.
        name: &'static str,
    },
}
