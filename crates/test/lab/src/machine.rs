//! Machines: QEMU by software emulation, on a tap of the switch, with an empty disk.
//!
//! What a machine is made of is a value; the command line is a pure function of it. A running machine is
//! known by its folder, so that one command starts it and another one stops it.

mod hardware;

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_model::ids::MacAddr;
use serde_json::json;

use self::hardware::OVMF;
pub use self::hardware::{Boot, Disk, Firmware, Hardware, command_line};
use crate::run::run;

/// A machine, known by its folder.
#[derive(Debug, Clone)]
pub struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// The machine of this folder, which need not exist.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Fails if it runs.
    pub fn must_be_off(&self) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "the machine runs already");
        Ok(())
    }

    /// Powers it on in `namespace`, on the interfaces called `taps`: that of `mac`, then those of its further ones.
    pub fn start(
        &self,
        hardware: &Hardware,
        mac: MacAddr,
        taps: &[String],
        namespace: &str,
    ) -> anyhow::Result<()> {
        self.must_be_off()?;
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))?;
        self.provide_disk("disk", hardware.disk_gib)?;
        for disk in &hardware.more_disks {
            self.provide_disk(&format!("more-{}", disk.serial), disk.gib)?;
        }
        if hardware.tpm {
            self.start_tpm()?;
        }
        let variables = self.folder.join("variables.fd");
        if hardware.firmware == Firmware::Uefi && !variables.exists() {
            fs::copy(OVMF.1, &variables)
                .context("cannot copy OVMF's variables; install the Debian package ovmf")?;
        }
        let log = fs::File::create(self.folder.join("qemu.log"))?;
        let mut child = Command::new("ip")
            .args(["netns", "exec", namespace])
            .args(command_line(hardware, mac, taps, &self.folder))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("cannot start QEMU; install the Debian package qemu-system-x86")?;
        fs::write(self.folder.join("pid"), child.id().to_string())?;
        // What is wrong with its command line, QEMU says at once.
        thread::sleep(Duration::from_millis(300));
        if let Some(status) = child.try_wait()? {
            let said = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
            bail!("QEMU ended at once ({status}): {}", said.trim());
        }
        Ok(())
    }

    fn provide_disk(&self, name: &str, gib: u32) -> anyhow::Result<()> {
        let disk = self.folder.join(name).with_extension("qcow2");
        if disk.exists() {
            return Ok(());
        }
        let path = disk.to_str().context("the lab's folder is no text")?;
        let size = format!("{gib}G");
        run("qemu-img", &["create", "-q", "-f", "qcow2", path, &size]).map(drop)
    }

    /// Starts the TPM, which ends with the machine and keeps what it holds.
    fn start_tpm(&self) -> anyhow::Result<()> {
        let folder = self.folder.join("tpm");
        fs::create_dir_all(&folder)?;
        let folder = folder.to_str().context("the lab's folder is no text")?;
        let (state, control) = (
            format!("dir={folder}"),
            format!("type=unixio,path={folder}/socket"),
        );
        let words = [
            "socket",
            "--tpm2",
            "--daemon",
            "--terminate",
            "--tpmstate",
            &state,
            "--ctrl",
            &control,
        ];
        run("swtpm", &words)
            .map(drop)
            .context("cannot start a TPM; install the Debian package swtpm")
    }

    /// Throws its TPM away: at its next start it has another one, as if its disks were in another machine.
    pub fn forget_tpm(&self) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "the machine runs");
        let folder = self.folder.join("tpm");
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }

    /// Plugs the cable of one of its network interfaces in or out, as the machine itself sees it; the first is 0.
    pub fn plug(&self, nic: usize, is_in: bool) -> anyhow::Result<()> {
        let mut monitor =
            UnixStream::connect(self.folder.join("qmp.sock")).context("the machine does not run")?;
        monitor.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut answers = BufReader::new(monitor.try_clone()?).lines();
        // QEMU's own greeting, then an answer for each command.
        for command in [
            None,
            Some(json!({ "execute": "qmp_capabilities" })),
            Some(json!({ "execute": "set_link", "arguments": { "name": format!("lan{nic}"), "up": is_in } })),
        ] {
            if let Some(command) = command {
                monitor.write_all(command.to_string().as_bytes())?;
            }
            let answer = answers.next().context("QEMU's monitor ended")??;
            ensure!(!answer.contains("\"error\""), "{answer}");
        }
        Ok(())
    }

    /// Presses the power button; pulls the plug after ten seconds.
    pub fn stop(&self) -> anyhow::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        // QEMU takes SIGTERM as the plug being pulled in good order: its disk is written out.
        run("kill", &["-TERM", &pid.to_string()])?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.pid().is_some() {
            if Instant::now() > deadline {
                return self.cut();
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Pulls the plug.
    pub fn cut(&self) -> anyhow::Result<()> {
        if let Some(pid) = self.pid() {
            run("kill", &["-KILL", &pid.to_string()])?;
        }
        Ok(())
    }

    /// What it said on its serial console.
    pub fn log(&self) -> anyhow::Result<String> {
        let path = self.folder.join("serial.log");
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Its process, if it runs.
    pub fn pid(&self) -> Option<u32> {
        let pid: u32 = fs::read_to_string(self.folder.join("pid"))
            .ok()?
            .trim()
            .parse()
            .ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
        let lives = !rest.trim_start().starts_with('Z');
        (lives && (name.starts_with("qemu") || name == "ip")).then_some(pid)
    }
}
