//! What the live image is made of.

/// Debian release.
pub(crate) const SUITE: &str = "trixie";

/// Packages; their dependencies follow.
pub(crate) const PACKAGES: &[&str] = &[
    "ca-certificates",
    "curl",
    "ignition",
    "kmod",
    "linux-image-cloud-amd64",
    "systemd",
    "systemd-sysv",
    "udev",
];

/// Files of our own: path, mode, text.
pub(crate) const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/systemd/network/10-lan.network",
        0o644,
        include_str!("../files/live/etc/systemd/network/10-lan.network"),
    ),
    (
        "etc/systemd/system/faros-live.service",
        0o644,
        include_str!("../files/live/etc/systemd/system/faros-live.service"),
    ),
    (
        "usr/lib/faros/live",
        0o755,
        include_str!("../files/live/usr/lib/faros/live"),
    ),
];

/// Kernel modules that are kept, as folders or files below `kernel/`, without endings. A node needs its
/// network and its disks; all else is dead weight in memory.
pub(crate) const MODULES: &[&str] = &[
    "drivers/net/virtio_net",
    "drivers/net/net_failover",
    "net/core/failover",
    "drivers/net/ethernet/intel",
    "drivers/virtio",
    "drivers/block/virtio_blk",
    "drivers/char/hw_random",
    "drivers/nvme/host",
    "drivers/ata",
    "drivers/scsi/scsi_mod",
    "drivers/scsi/sd_mod",
    "drivers/scsi/virtio_scsi",
    "drivers/firmware/qemu_fw_cfg",
];

/// Folders and files of the tree that a running node does not need.
pub(crate) const NEEDLESS: &[&str] = &[
    "boot",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/share/perl",
    "usr/share/perl5",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/perl-base",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/bash-completion",
    "usr/share/zoneinfo",
    "usr/share/common-licenses",
    "usr/share/lintian",
    "usr/lib/udev/hwdb.d",
    "usr/lib/udev/hwdb.bin",
    "usr/lib/apt",
    "usr/lib/firmware",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/cache",
    "var/log",
    "etc/machine-id",
];

/// Units that only cost time on a node that lives in memory.
pub(crate) const MASKED: &[&str] = &[
    "systemd-hwdb-update.service",
    "ldconfig.service",
    "systemd-update-done.service",
    "systemd-journal-catalog-update.service",
    "systemd-journal-flush.service",
    "systemd-firstboot.service",
    "systemd-machine-id-commit.service",
    "systemd-pcrphase.service",
    "systemd-pcrmachine.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "getty@tty1.service",
    "serial-getty@ttyS0.service",
    "systemd-timesyncd.service",
];

/// Units that are started.
pub(crate) const WANTED: &[(&str, &str)] = &[
    (
        "multi-user.target.wants/faros-live.service",
        "/etc/systemd/system/faros-live.service",
    ),
    (
        "multi-user.target.wants/systemd-networkd.service",
        "/usr/lib/systemd/system/systemd-networkd.service",
    ),
    (
        "network-online.target.wants/systemd-networkd-wait-online.service",
        "/usr/lib/systemd/system/systemd-networkd-wait-online.service",
    ),
    ("default.target", "/usr/lib/systemd/system/multi-user.target"),
];
