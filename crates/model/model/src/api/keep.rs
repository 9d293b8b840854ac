//! Keeping a cluster alive: snapshots of its etcd, and work on its nodes.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Failure;
use crate::ids::HostName;

/// A snapshot of etcd that the bastion has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotInfo {
    /// Its name, such as `20261121T173000Z-r4711`.
    pub name: String,
    /// When it was taken.
    pub at: Timestamp,
    /// etcd's revision when it was begun.
    pub revision: u64,
    /// Its size on the bastion's disk, encrypted, in bytes.
    pub size: u64,
}

/// `POST /v1/cluster/snapshots`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotRequest {
    /// Who asks, for the log.
    pub by: String,
}

/// `POST /v1/cluster/snapshots/{name}/export`. Answered by an age file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotExportRequest {
    /// Public keys of age, any one of which opens it.
    pub recipients: Vec<String>,
}

/// `POST /v1/nodes/{name}/drain`, `…/replace` and `…/remove`. Answered by a stream of [`WorkProgress`], one JSON object
/// a line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeWorkRequest {
    /// Who asks, for the log.
    pub by: String,
    /// Pods that nothing starts again elsewhere go as well; and a node that cannot be emptied is replaced or removed
    /// all the same. etcd's majority is kept in any case.
    #[serde(default)]
    pub force: bool,
    /// So many seconds the node may take to become empty.
    pub timeout: u32,
    /// The node is opened to pods again instead; for a drain.
    #[serde(default)]
    pub lift: bool,
}

/// One line of the progress of work on the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "progress", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum WorkProgress {
    /// Something is begun.
    Step {
        /// What.
        title: String,
    },
    /// It waits.
    Waiting {
        /// For what, each with its reason.
        for_what: Vec<String>,
    },
    /// It is done.
    Done {
        /// What is to be done now, by people; may be empty.
        next: String,
    },
    /// It ended before its end.
    Failed {
        /// Why.
        failure: Failure,
    },
}

/// `POST /v1/cluster/restore`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreRequest {
    /// The snapshot's name.
    pub snapshot: String,
    /// Even if etcd has its majority.
    #[serde(default)]
    pub force: bool,
    /// Who asks, for the log.
    pub by: String,
}

/// A certificate of the cluster, and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateInfo {
    /// The node that has it; `None` for the roots, which the bastion has.
    pub node: Option<HostName>,
    /// What it is for, as kubeadm calls it.
    pub name: String,
    /// When it ends.
    pub ends: Timestamp,
}
