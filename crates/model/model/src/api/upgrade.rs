//! An upgrade of the cluster, as the local API tells it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ids::HostName, kubernetes::KubeVersion, site::Role};

/// `GET /v1/cluster/upgrade`: how an upgrade of the cluster stands; if none was begun, what one would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// How it stands.
    pub state: UpgradeState,
    /// The version from before it.
    pub from: KubeVersion,
    /// The version that all nodes come to have.
    pub to: KubeVersion,
    /// When it was begun.
    pub since: Option<Timestamp>,
    /// By whom.
    pub by: Option<String>,
    /// The snapshot of etcd from before it.
    pub snapshot: Option<String>,
    /// What it waits for, or why it stands still, or why it cannot be begun; may be empty.
    pub why: String,
    /// The nodes that have joined, in the order of their turns.
    pub nodes: Vec<UpgradeNode>,
}

/// How an upgrade stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeState {
    /// There is nothing to do: all nodes are at the version.
    Done,
    /// It could be begun.
    Possible,
    /// It goes on.
    Running,
    /// Somebody paused it.
    Paused,
    /// Something failed, and somebody has to look.
    Stopped,
}

impl UpgradeState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Possible => "possible",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// A node in an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeNode {
    /// Its name.
    pub name: HostName,
    /// Its roles.
    pub roles: Vec<Role>,
    /// The version of its kubelet, if Kubernetes says it.
    pub version: Option<KubeVersion>,
    /// How far it is.
    pub state: UpgradeNodeState,
    /// Since when, if it is at its turn.
    pub since: Option<Timestamp>,
    /// What it said last of its upgrade; may be empty.
    pub said: String,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeNodeState {
    /// Its turn is to come.
    Waiting,
    /// Its pods move elsewhere.
    Emptying,
    /// It does it, or comes back from it.
    Upgrading,
    /// It is at the new version.
    Upgraded,
}

impl UpgradeNodeState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Emptying => "emptying",
            Self::Upgrading => "upgrading",
            Self::Upgraded => "upgraded",
        }
    }
}

/// `POST /v1/cluster/upgrade`: begins one, or has one go on that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpgradeRequest {
    /// Who asks, for the log.
    pub by: String,
    /// To which version; by default the one that the site file says.
    #[serde(default)]
    pub to: Option<KubeVersion>,
    /// Pods that nothing starts again elsewhere go as well.
    #[serde(default)]
    pub force: bool,
    /// So many seconds a node may take to become empty.
    pub timeout: u32,
}

/// `POST /v1/cluster/upgrade/pause`: no further node has its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpgradePauseRequest {
    /// Who asks, for the log.
    pub by: String,
}
