//! The lab's `farosd`: started in the bastion's namespace, stopped, killed, and asked for.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::{
    folder::Folder,
    network::{BASTION_LAN, BASTION_UPLINK, namespace},
    run::run,
};

/// How long `farosd` may take to answer or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process of this machine, which no later one of the same number is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pid: u32,
    /// When it began, in clock ticks since the machine did.
    began: u64,
}

impl Process {
    /// This one.
    ///
    /// # Errors
    /// If `/proc` does not say when it began.
    pub fn this() -> anyhow::Result<Self> {
        let pid = std::process::id();
        let began = began(pid).context("/proc does not say when this process began")?;
        Ok(Self { pid, began })
    }

    /// Whether it still runs.
    pub fn runs(self) -> bool {
        is_running(self.pid) && began(self.pid) == Some(self.began)
    }
}

/// When a process began, in clock ticks since the machine did (`proc_pid_stat(5)`, field 22).
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, field 2, may have blanks and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19)?.parse().ok()
}

/// The program called `name`: beside this one, where a build of the workspace puts it.
///
/// # Errors
/// If it is not there; says which package to build.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("cannot tell where this program is")?;
    // A test's program is one folder deeper, in `deps`.
    let folders = here.ancestors().skip(1).take(2);
    let found = folders
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "{name} is not beside {}; build it: cargo build -p {name}",
            here.display()
        )
    })
}

/// Starts `farosd` and waits until it answers on its socket.
pub fn start(lab: &str, folder: &Folder) -> anyhow::Result<u32> {
    start_with(lab, folder, &[])
}

/// The same, with more in its environment.
pub fn start_with(lab: &str, folder: &Folder, environment: &[(&str, &str)]) -> anyhow::Result<u32> {
    if let Some(pid) = pid(folder) {
        bail!("farosd runs already, as process {pid}");
    }
    let log = OpenOptions::new().create(true).append(true).open(folder.log());
    let log = log.with_context(|| format!("cannot write {}", folder.log().display()))?;
    let mut command = Command::new("ip");
    command
        .args(["netns", "exec", &namespace(lab, "bastion")])
        .arg(program("farosd")?)
        .arg("--state-dir")
        .arg(folder.state_dir())
        .arg("--socket")
        .arg(folder.socket())
        .args(["--interface", &format!("lan={BASTION_LAN}")])
        .args(["--interface", &format!("uplink={BASTION_UPLINK}")])
        // This machine's firewalld is not for a lab; one that is may have a bus there.
        .arg("--system-bus")
        .arg(format!("unix:path={}", folder.system_bus().display()))
        // The clock is this machine's, which no lab is to touch.
        .args(["--clock", "leave"])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C at the terminal is for the lab, which then ends farosd in good order.
        .process_group(0);
    // `ip netns exec` becomes farosd, so the child's number is farosd's.
    let mut child = command.spawn().context("cannot start farosd")?;
    let pid = child.id();
    fs::write(folder.pid_file(), pid.to_string())?;

    let deadline = Instant::now() + PATIENCE;
    while !answers(&folder.socket()) {
        if let Some(status) = child.try_wait()? {
            fs::remove_file(folder.pid_file())?;
            bail!(
                "farosd ended at once ({status}):\n{}",
                last_lines(&folder.log(), 15)
            );
        }
        if Instant::now() > deadline {
            bail!(
                "farosd does not answer; see {}\n{}",
                folder.log().display(),
                last_lines(&folder.log(), 15)
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(pid)
}

/// Ends `farosd`: in good order, or at once. No `farosd` is no error.
pub fn stop(folder: &Folder, kill: bool) -> anyhow::Result<()> {
    let Some(pid) = pid(folder) else { return Ok(()) };
    run("kill", &[if kill { "-KILL" } else { "-TERM" }, &pid.to_string()])?;
    let deadline = Instant::now() + PATIENCE;
    while is_running(pid) {
        if Instant::now() > deadline {
            bail!(
                "farosd (process {pid}) does not end; see {}",
                folder.log().display()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    drop(fs::remove_file(folder.pid_file()));
    Ok(())
}

/// The process number of the lab's `farosd`, if it runs.
pub fn pid(folder: &Folder) -> Option<u32> {
    let pid = fs::read_to_string(folder.pid_file()).ok()?.trim().parse().ok()?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    (is_running(pid) && matches!(command.trim(), "farosd" | "ip")).then_some(pid)
}

fn is_running(pid: u32) -> bool {
    // A zombie has ended: it waits for a parent that may be this very process. But a first thread that is a
    // zombie says nothing while others still run, and hold its sockets.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let zombie = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    });
    threads > 1 || (threads == 1 && !zombie)
}

fn answers(socket: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(socket).is_ok()
}

/// The last `n` lines of a text file, for an error message.
pub fn last_lines(path: &Path, n: usize) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}
