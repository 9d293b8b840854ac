//! What a machine is made of, and QEMU's command line for it.

use std::path::Path;

use clap::ValueEnum;
use faros_model::ids::MacAddr;

/// UEFI firmware of Debian's package `ovmf`: code, and a template of its variables.
pub(super) const OVMF: (&str, &str) = (
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
