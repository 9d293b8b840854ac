//! What an image is made of: two trees of Debian packages by name.
//!
//! The *installer* lives in memory: kernel and initramfs, with Ignition and all that its stages call. The *root*
//! is what it puts onto a node's disk.

/// Debian release.
pub(crate) const SUITE: &str = "trixie";

/// One tree.
#[derive(Debug)]
pub(crate) struct Tree {
    /// For people.
    pub(crate) name: &'static str,
    /// Packages, besides the kernel; their dependencies follow.
    pub(crate) packages: &'static [&'static str],
    /// Files of our own: path, mode, text.
    pub(crate) files: &'static [(&'static str, u32, &'static str)],
    /// Folders and files that are left out.
    pub(crate) needless: &'static [&'static str],
    /// Units that never start.
    pub(crate) masked: &'static [&'static str],
    /// Links below `etc/systemd/system`: name, target.
    pub(crate) wanted: &'static [(&'static str, &'static str)],
    /// What stands in `etc/machine-id`: `uninitialized` makes the first start one on which systemd enables what it
    /// is told to; with nothing there is no such start.
    pub(crate) machine_id: &'static str,
}

/// The kernel of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// For machines of any make: all of Debian's drivers for networks and disks.
    Generic,
    /// For virtual machines: small, and quick to start.
    Cloud,
}

impl Kernel {
    /// Debian's package for 64-bit x86.
    pub(crate) const fn package(self) -> &'static str {
        match self {
            Self::Generic => "linux-image-amd64",
            Self::Cloud => "linux-image-cloud-amd64",
        }
    }

    /// The image's name in the content store.
    pub const fn image_name(self) -> &'static str {
        match self {
            Self::Generic => "debian-13",
            Self::Cloud => "debian-13-cloud",
        }
    }
}

macro_rules! file {
    ($tree:literal, $path:literal, $mode:literal) => {
        (
            $path,
            $mode,
            include_str!(concat!("../files/", $tree, "/", $path)),
        )
    };
}

/// The installer.
pub(crate) const INSTALLER: Tree = Tree {
    name: "installer",
    packages: &[
        "ca-certificates",
        "clevis-luks",
        "clevis-systemd",
        "clevis-tpm2",
        "cpio",
        "cryptsetup-bin",
        "curl",
        "dmsetup",
        "dosfstools",
        "e2fsprogs",
        "gdisk",
        "ignition",
        "jq",
        "kmod",
        "systemd",
        "systemd-sysv",
        "udev",
        "zstd",
    ],
    files: &[
        file!("common", "etc/systemd/network/90-lan.network", 0o644),
        file!("common", "usr/lib/faros/report", 0o644),
        file!("live", "etc/systemd/system/faros-install.service", 0o644),
        file!("live", "usr/lib/faros/install", 0o755),
        // Ignition has files labelled for SELinux, which Debian has not.
        ("usr/sbin/setfiles", 0o755, "#!/bin/sh\nexit 0\n"),
        // Ignition makes throw-away passphrases, which need no dictionary that is not there.
        (
            "etc/security/pwquality.conf.d/ignition.conf",
            0o644,
            "dictcheck = 0\n",
        ),
        // udev would ignore an open LUKS volume that has no file system yet, and Ignition wait for it for ever.
        // Named to come after systemd's own, which say so.
        (
            "usr/lib/udev/rules.d/99-zz-faros-unformatted.rules",
            0o644,
            "SUBSYSTEM==\"block\", ENV{DM_UUID}==\"CRYPT-*\", ENV{ID_FS_USAGE}==\"\", ENV{SYSTEMD_READY}=\"1\"\n",
        ),
    ],
    needless: &[
        "usr/lib/x86_64-linux-gnu/perl",
        "usr/lib/x86_64-linux-gnu/perl-base",
        "usr/share/perl",
        "usr/share/perl5",
        "usr/share/i18n",
        "usr/lib/x86_64-linux-gnu/gconv",
        "usr/share/zoneinfo",
        "usr/lib/apt",
        "var/lib/apt",
        "var/lib/dpkg",
        "usr/lib/udev/hwdb.d",
        "usr/lib/udev/hwdb.bin",
        "boot",
    ],
    masked: &[
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "dpkg-db-backup.timer",
        "e2scrub_all.timer",
        "fstrim.timer",
        "getty@tty1.service",
        "ldconfig.service",
        "serial-getty@ttyS0.service",
        "systemd-firstboot.service",
        "systemd-hwdb-update.service",
        "systemd-journal-catalog-update.service",
        "systemd-journal-flush.service",
        "systemd-machine-id-commit.service",
        "systemd-pcrmachine.service",
        "systemd-pcrphase.service",
        "systemd-timesyncd.service",
        "systemd-update-done.service",
    ],
    wanted: &[
        (
            "multi-user.target.wants/faros-install.service",
            "/etc/systemd/system/faros-install.service",
        ),
        NETWORKD,
        WAIT_ONLINE,
        DEFAULT_TARGET,
    ],
    machine_id: "",
};

/// The root of an installed node.
pub(crate) const ROOT: Tree = Tree {
    name: "root",
    packages: &[
        "ca-certificates",
        "clevis-dracut",
        "clevis-luks",
        "clevis-systemd",
        "clevis-tpm2",
        "conntrack",
        "containerd",
        "cryptsetup-bin",
        "curl",
        "dbus",
        "dmsetup",
        "dosfstools",
        "dracut",
        "e2fsprogs",
        "ethtool",
        "gdisk",
        "grub-efi-amd64-bin",
        "grub-pc-bin",
        "grub2-common",
        "iproute2",
        "iptables",
        "jq",
        "kmod",
        "nftables",
        "openssh-server",
        "socat",
        "sudo",
        "systemd",
        "systemd-boot-efi",
        "systemd-cryptsetup",
        "systemd-resolved",
        "systemd-sysv",
        "systemd-timesyncd",
        "udev",
        "zstd",
    ],
    files: &[
        file!("common", "etc/systemd/network/90-lan.network", 0o644),
        file!("common", "usr/lib/faros/report", 0o644),
        file!("root", "etc/dracut.conf.d/faros.conf", 0o644),
        file!("root", "usr/lib/dracut/modules.d/61faros/booting", 0o755),
        file!(
            "root",
            "usr/lib/dracut/modules.d/61faros/faros-booting.service",
            0o644
        ),
        file!("root", "usr/lib/dracut/modules.d/61faros/module-setup.sh", 0o755),
        file!("root", "etc/ssh/sshd_config.d/10-faros.conf", 0o644),
        file!("root", "etc/systemd/system/faros-report.service", 0o644),
        file!("root", "etc/systemd/system/faros-report.timer", 0o644),
        file!("root", "usr/lib/faros/started", 0o755),
        // Everything that systemd would bring up to date at the first start is: that takes minutes under emulation.
        ("etc/.updated", 0o644, ""),
        ("var/.updated", 0o644, ""),
    ],
    needless: &[
        "boot",
        "var/lib/apt",
        "etc/ssh/ssh_host_ecdsa_key",
        "etc/ssh/ssh_host_ecdsa_key.pub",
        "etc/ssh/ssh_host_ed25519_key",
        "etc/ssh/ssh_host_ed25519_key.pub",
        "etc/ssh/ssh_host_rsa_key",
        "etc/ssh/ssh_host_rsa_key.pub",
    ],
    masked: &[
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "e2scrub_all.timer",
        // Asks at the console, where nobody is.
        "systemd-firstboot.service",
    ],
    wanted: &[
        (
            "multi-user.target.wants/faros-report.service",
            "/etc/systemd/system/faros-report.service",
        ),
        (
            "timers.target.wants/faros-report.timer",
            "/etc/systemd/system/faros-report.timer",
        ),
        NETWORKD,
        WAIT_ONLINE,
        DEFAULT_TARGET,
    ],
    machine_id: "uninitialized\n",
};

const NETWORKD: (&str, &str) = (
    "multi-user.target.wants/systemd-networkd.service",
    "/usr/lib/systemd/system/systemd-networkd.service",
);
const WAIT_ONLINE: (&str, &str) = (
    "network-online.target.wants/systemd-networkd-wait-online.service",
    "/usr/lib/systemd/system/systemd-networkd-wait-online.service",
);
const DEFAULT_TARGET: (&str, &str) = ("default.target", "/usr/lib/systemd/system/multi-user.target");

/// GRUB's modules in the program that starts a UEFI machine's own disk.
pub(crate) const LOCAL_BOOT_MODULES: &[&str] = &[
    "chain",
    "echo",
    "exfat",
    "ext2",
    "fat",
    "minicmd",
    "normal",
    "part_gpt",
    "part_msdos",
    "search",
    "search_fs_file",
    "test",
];

/// What that program does.
pub(crate) const LOCAL_BOOT: &str = include_str!("../files/local-boot/grub.cfg");

/// What no tree needs: nobody reads manuals on a node.
pub(crate) const NEEDLESS: &[&str] = &[
    "etc/machine-id",
    "usr/lib/firmware",
    "usr/share/bash-completion",
    "usr/share/common-licenses",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache",
    "var/log",
];

/// Kernel modules that the installer keeps, as folders or files below `kernel/`, without endings: networks,
/// disks, encryption and the file systems of the recipe. All else is dead weight in memory.
pub(crate) const MODULES: &[&str] = &[
    "arch/x86/crypto",
    "crypto",
    "drivers/ata",
    "drivers/block/virtio_blk",
    "drivers/char/hw_random",
    "drivers/char/tpm",
    "drivers/firmware/qemu_fw_cfg",
    "drivers/md/dm-bufio",
    "drivers/md/dm-crypt",
    "drivers/md/dm-mod",
    "drivers/message/fusion",
    "drivers/net/bonding",
    "drivers/net/ethernet",
    "drivers/net/mdio",
    "drivers/net/net_failover",
    "drivers/net/phy",
    "drivers/net/virtio_net",
    "drivers/nvme/host",
    "drivers/scsi",
    "drivers/usb/host",
    "drivers/usb/storage",
    "drivers/virtio",
    "fs/efivarfs",
    "fs/ext4",
    "fs/fat",
    "fs/jbd2",
    "fs/mbcache",
    "fs/nls",
    "lib",
    "net/core/failover",
];
