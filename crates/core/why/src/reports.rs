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
        name: "started",
        when: "the system started from its disk",
        facts: "`kernel`, `uuid`, `encrypted`",
    },
    Report {
        name: "rebound",
        when: "the disk was bound to a new unlock key",
        facts: "`key`",
    },
];
