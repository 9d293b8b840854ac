//! Machines: QEMU by software emulation, on a tap of the switch, with an empty disk.
//!
//! What a machine is made of is a value; the command line is a pure function of it. A running machine is
//! known by its folder, so that one command starts it and another one stops it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{net::UnixStream, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use faros_model::ids::MacAddr;
use serde_json::json;

use crate::run::run;

/// UEFI firmware of Debian's package `ovmf`: code, and a template of its variables.
const OVMF: (&str, &str) = (
    "/usr/share/OVMF/OVMF_CODE_4M.fd",
    "/usr/share/OVMF/OVMF_VARS_4M.fd",
);

/// A machine's firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Firmware {
    /// `SeaBIOS`.
    Bios,
    /// OVMF.
    Uefi,
}

impl Firmware {
    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// What the firmware tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Boot {
    /// The network, always.
    NetworkFirst,
    /// The disk.
    DiskFirst,
}

/// What a machine is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hardware {
    /// Its firmware.
    pub firmware: Firmware,
    /// What its firmware tries first.
    pub boot: Boot,
    /// Model of its network interface: QEMU's name, with or without `-pci`.
    pub nic: String,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Size of its disk in GiB.
    pub disk_gib: u32,
    /// Further network interfaces on the same switch, which boot nothing.
    pub more_nics: Vec<MacAddr>,
    /// Further disks.
    pub more_disks: Vec<Disk>,
    /// Whether it has a TPM 2.0, which lives in its folder.
    pub tpm: bool,
}

/// A further disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// Size in GiB.
    pub gib: u32,
    /// Its serial number, by which a site file can mean it.
    pub serial: String,
}

impl std::str::FromStr for Disk {
    type Err = String;

    /// Reads `SERIAL=GIB`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not SERIAL=GIB");
        let (serial, gib) = text.split_once('=').ok_or_else(wrong)?;
        let is_serial = |c: char| c.is_ascii_alphanumeric();
        if serial.is_empty() || serial.len() > 20 || !serial.chars().all(is_serial) {
            return Err(format!(
                "`{serial}` is not a serial number of at most 20 letters and digits"
            ));
        }
        Ok(Self {
            gib: gib.parse().map_err(|_| wrong())?,
            serial: serial.to_owned(),
        })
    }
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            firmware: Firmware::Bios,
            boot: Boot::NetworkFirst,
            nic: "virtio-net".to_owned(),
            memory_mib: 1024,
            disk_gib: 8,
            more_nics: vec![],
            more_disks: vec![],
            tpm: false,
        }
    }
}

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

    /// Powers it on in `namespace`, on the interfaces called `taps`: that of `mac`, then those of its further ones.
    pub fn start(
        &self,
        hardware: &Hardware,
        mac: MacAddr,
        taps: &[String],
        namespace: &str,
    ) -> anyhow::Result<()> {
        ensure!(self.pid().is_none(), "the machine runs already");
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

/// QEMU's command line, the program first.
pub fn command_line(hardware: &Hardware, mac: MacAddr, taps: &[String], folder: &Path) -> Vec<String> {
    let folder = folder.display();
    let (network, disk) = match hardware.boot {
        Boot::NetworkFirst => (1, 2),
        Boot::DiskFirst => (2, 1),
    };
    let nic = match hardware.nic.as_str() {
        "virtio-net" => "virtio-net-pci",
        other => other,
    };
    let mut line: Vec<String> = [
        "qemu-system-x86_64",
        // Without KVM; a guest must not have cmpxchg16b, whose emulation corrupts flags in QEMU 7.
        "-accel",
        "tcg",
        "-cpu",
        "Westmere,-cx16",
        "-smp",
        "1",
        "-nodefaults",
        "-display",
        "none",
        "-device",
        "VGA",
    ]
    .map(str::to_owned)
    .to_vec();
    let mut add = |option: &str, value: String| line.extend([option.to_owned(), value]);
    add("-m", hardware.memory_mib.to_string());
    match hardware.firmware {
        Firmware::Bios => add("-machine", "pc".to_owned()),
        Firmware::Uefi => {
            add("-machine", "q35".to_owned());
            add(
                "-drive",
                format!("if=pflash,unit=0,format=raw,readonly=on,file={}", OVMF.0),
            );
            add(
                "-drive",
                format!("if=pflash,unit=1,format=raw,file={folder}/variables.fd"),
            );
        }
    }
    for (idx, tap) in taps.iter().enumerate() {
        add(
            "-netdev",
            format!("tap,id=lan{idx},ifname={tap},script=no,downscript=no"),
        );
    }
    // OVMF has a driver of its own for virtio: without the card's ROM, which is iPXE already, it boots as
    // real firmware does, by PXE and with a loader.
    let rom = if hardware.firmware == Firmware::Uefi && nic == "virtio-net-pci" {
        ",romfile="
    } else {
        ""
    };
    add(
        "-device",
        format!("{nic},netdev=lan0,mac={mac},bootindex={network}{rom}"),
    );
    for (idx, mac) in (1..).zip(&hardware.more_nics) {
        // Out of the way of the disk, which the site file knows by its place.
        let slot = 0x10 + idx;
        add(
            "-device",
            format!("{nic},netdev=lan{idx},mac={mac},romfile=,addr={slot:#x}"),
        );
    }
    add(
        "-uuid",
        format!("fa205000-0000-4000-8000-{}", mac.to_string().replace(':', "")),
    );
    add(
        "-drive",
        format!("if=none,id=disk,format=qcow2,cache=unsafe,file={folder}/disk.qcow2"),
    );
    add(
        "-device",
        format!("virtio-blk-pci,drive=disk,addr=0x4,bootindex={disk}"),
    );
    for (idx, Disk { serial, .. }) in (3..).zip(&hardware.more_disks) {
        add(
            "-drive",
            format!("if=none,id=more-{serial},format=qcow2,cache=unsafe,file={folder}/more-{serial}.qcow2"),
        );
        add(
            "-device",
            format!("virtio-blk-pci,drive=more-{serial},serial={serial},bootindex={idx}"),
        );
    }
    if hardware.tpm {
        add("-chardev", format!("socket,id=tpm,path={folder}/tpm/socket"));
        add("-tpmdev", "emulator,id=tpm,chardev=tpm".to_owned());
        add("-device", "tpm-tis,tpmdev=tpm".to_owned());
    }
    add("-device", "virtio-rng-pci".to_owned());
    add("-chardev", format!("file,id=serial,path={folder}/serial.log"));
    add("-serial", "chardev:serial".to_owned());
    add("-qmp", format!("unix:{folder}/qmp.sock,server=on,wait=off"));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_guest_has_what_the_emulation_breaks() {
        for firmware in [Firmware::Bios, Firmware::Uefi] {
            let hardware = Hardware {
                firmware,
                ..Hardware::default()
            };
            let taps = ["tap0".to_owned()];
            let line = command_line(&hardware, MacAddr([2, 0, 0, 0, 0, 1]), &taps, Path::new("/x")).join(" ");
            assert!(line.contains("-accel tcg -cpu Westmere,-cx16"), "{line}");
            assert_eq!(line.contains("pflash"), firmware == Firmware::Uefi);
            assert!(
                line.contains("virtio-net-pci,netdev=lan0,mac=02:00:00:00:00:01,bootindex=1"),
                "{line}"
            );
        }
    }

    #[test]
    fn a_further_disk_is_a_serial_number_and_a_size() {
        let disk = Disk {
            gib: 4,
            serial: "DATA1".to_owned(),
        };
        assert_eq!("DATA1=4".parse(), Ok(disk));
        for wrong in ["DATA1", "=4", "DATA1=", "DATA1=x", "a,file=/etc/passwd=4"] {
            assert!(wrong.parse::<Disk>().is_err(), "{wrong}");
        }
    }
}
