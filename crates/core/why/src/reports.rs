//! The reports that a node makes of itself, as the documentation lists them.

/// One report.
pub(crate) struct Report {
    /// The word in `report`.
    pub(crate) name: &'static str,
    /// When a node sends it.
    pub(crate) when: &'static str,
    /// What it says.
    pub(crate) facts: &'static str,
}

/// All reports, in the order of a boot.
pub(crate) const REPORTS: &[Report] = &[
    Report {
        name: "booted",
        when: "the network-booted system is up",
        facts: "`kernel`, `memoryBytes`, `cpus`, `uuid`, `product`, `firmware`, `disks` (each `name`, `bytes`, `serial`, `model`)",
    },
    Report {
        name: "ignition-fetched",
        when: "Ignition has its config and understands it",
        facts: "`ignitionVersion`",
    },
    Report {
        name: "stage",
        when: "a stage of the install begins or ends",
        facts: "`stage` (`disk`, `disks`, `mount`, `root`, `files`, `loader`, `finish`), `state` (`started`, `done`), `seconds`",
    },
    Report {
        name: "installed",
        when: "the disk holds the operating system; the node is disarmed by it",
        facts: "`seconds`",
    },
    Report {
        name: "failed",
        when: "the install failed",
        facts: "`stage`, `code` (the causes of the same name are in [why.md](why.md)), `message`",
    },
    Report {
        name: "booting",
        when: "the initramfs on the disk starts, before the disk is unlocked",
        facts: "`uuid`",
    },
    Report {
        name: "started",
        when: "the system started from its disk",
        facts: "`kernel`, `uuid`, `firmware`, `encrypted`, `filtered` (the packet filter is loaded), `filterChanged` (and not as it was then), `filter` (SHA-256 of its text), `listens` (sockets as `ss` tells them, such as `tcp 0.0.0.0:22`)",
    },
    Report {
        name: "alive",
        when: "every five minutes from then on; an event only if it was not known that the node runs, or its packet filter is another",
        facts: "as `started`",
    },
    Report {
        name: "joining",
        when: "the node begins what it was handed to become one of the cluster",
        facts: "`action` (`init`, `join`), `session`",
    },
    Report {
        name: "joined",
        when: "the node is one of the cluster; after each start from then on with the `action` `member`",
        facts: "`action`, `session`",
    },
    Report {
        name: "join-failed",
        when: "it could not become one; it tries again",
        facts: "`phase`, `said` (the last words of kubeadm), `code` (its exit code), and the complaints of `kubelet`, `etcd` and `api` (the API server), as far as there are any",
    },
    Report {
        name: "join-stuck",
        when: "it cannot even ask the bastion what to do, twice in a row",
        facts: "`phase` (`containerd`, `disk`, `ask`), `said`",
    },
    Report {
        name: "disk-full",
        when: "a node of the cluster has next to nothing left on its disk",
        facts: "`said`",
    },
    Report {
        name: "disk-well",
        when: "it has room again",
        facts: "none",
    },
    Report {
        name: "kubelet-ill",
        when: "its kubelet does not answer, for some minutes",
        facts: "`kubelet` (its last complaint)",
    },
    Report {
        name: "kubelet-well",
        when: "it answers again",
        facts: "none",
    },
    Report {
        name: "rebound",
        when: "the disks were bound to the new unlock key after a rotation",
        facts: "`thumbprint` of the signing key that they trust now",
    },
    Report {
        name: "rebind-failed",
        when: "a disk could not be bound to the new unlock key; it is tried again",
        facts: "`device`, `slot`",
    },
];
