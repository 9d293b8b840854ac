//! Disks, how they are encrypted, and storage made of them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pattern;

/// A disk: a stable path, or hints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DiskRef {
    /// A path such as `/dev/disk/by-id/…` or `/dev/disk/by-path/…`; `/dev/sda` is accepted with a warning.
    Path(String),
    /// What the disk is.
    ByHints(DiskByHints),
}

wire! {
    /// A disk that is found by what it is.
    #[schemars(extend("required" = ["hints"]))]
    DiskByHints {
        /// What the disk is, at least one hint.
        hints: DiskHints,
    }
}

wire! {
    /// What a disk is; all hints must match, and exactly one disk.
    DiskHints {
        /// At least this size: a number with Ki, Mi, Gi, Ti (1024) or k, M, G, T (1000), in bytes.
        #[schemars(extend("examples" = ["200Gi"], "pattern" = pattern::SIZE))]
        min_size: String,
        /// Spinning or not.
        #[schemars(extend("examples" = [false]))]
        rotational: bool,
        /// Serial number.
        #[schemars(extend("examples" = ["S3EVNX0K"]))]
        serial_number: String,
        /// Model, as `lsblk -o MODEL` shows it.
        #[schemars(extend("examples" = ["EVO"]))]
        model: String,
        /// World Wide Name.
        #[schemars(extend("examples" = ["0x5002538d"]))]
        wwn: String,
    }
}

wire! {
    /// A further disk of a node.
    #[schemars(extend("required" = ["disk", "use"]))]
    DataDisk {
        /// Which disk.
        #[schemars(extend("examples" = ["/dev/disk/by-id/nvme-eui.0025385b01404a3f"]))]
        disk: DiskRef,
        /// What for.
        #[schemars(extend("examples" = ["storage"]))]
        r#use: DiskUse,
    }
}

/// What a further disk is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum DiskUse {
    /// `kubelet` or `storage`.
    Word(DiskUseWord),
    /// A mount point.
    Mount(DiskMount),
}

words! {
    /// What a further disk is for, in a word.
    DiskUseWord {
        /// Data of the kubelet and the container runtime.
        Kubelet = "kubelet",
        /// The cluster's storage.
        Storage = "storage",
    }
}

wire! {
    /// A mount point.
    #[schemars(extend("required" = ["mount"]))]
    DiskMount {
        /// Absolute path.
        #[schemars(extend("examples" = ["/var/lib/media"]))]
        mount: String,
    }
}

wire! {
    /// Encryption of a node's disks.
    Encryption {
        /// What unlocks them.
        #[schemars(extend("default" = "tang"))]
        unlock: UnlockSpec,
    }
}

/// What unlocks a node's disks: a common choice, or a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum UnlockSpec {
    /// `tang`, `tang+tpm2` or `none`.
    Word(UnlockWord),
    /// So many of these.
    Threshold(UnlockThreshold),
}

words! {
    /// A common choice of what unlocks disks.
    UnlockWord {
        /// The bastion.
        Tang = "tang",
        /// The bastion and the machine's TPM together.
        TangAndTpm2 = "tang+tpm2",
        /// Nothing: the disks are not encrypted.
        None = "none",
    }
}

wire! {
    /// So many of these must help.
    #[schemars(extend("required" = ["threshold", "of"]))]
    UnlockThreshold {
        /// How many must help, at most as many as `of` has.
        #[schemars(extend("examples" = [2], "minimum" = 1))]
        threshold: u8,
        /// Who can help.
        #[schemars(extend("examples" = [["tang", "tpm2", "peers"]]))]
        of: Vec<UnlockBy>,
    }
}

words! {
    /// Who can help to unlock.
    UnlockBy {
        /// The bastion.
        Tang = "tang",
        /// The machine's TPM 2.0.
        Tpm2 = "tpm2",
        /// Other nodes.
        Peers = "peers",
    }
}

wire! {
    /// Storage for the cluster.
    Storage {
        /// Who provides it.
        #[schemars(extend("default" = "none"))]
        provider: StorageProvider,
        /// Which disks it takes.
        #[schemars(extend("default" = "by-node"))]
        disks: StorageDisks,
        /// Whether it encrypts.
        #[schemars(extend("default" = true))]
        encrypted: bool,
    }
}

words! {
    /// Who provides storage.
    StorageProvider {
        /// Ceph by Rook.
        RookCeph = "rook-ceph",
        /// Local volumes.
        Local = "local",
        /// Nobody.
        None = "none",
    }
}

words! {
    /// Which disks storage takes.
    StorageDisks {
        /// The data disks of nodes with `use: storage`.
        ByNode = "by-node",
    }
}
