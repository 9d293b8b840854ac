//! The local API of `farosd`: HTTP and JSON over a root-only unix socket.
//!
//! The OpenAPI document is generated from these types. Field names are `camelCase`; times are RFC 3339 in
//! UTC; a refusal carries [`Failure`], or [`Problems`](crate::problem::Problems) with status 422 if a site
//! file is at fault.

mod balancer;
mod cluster;
mod keep;
mod time;
mod unlock;
mod upgrade;

use std::{collections::BTreeMap, net::Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    content::ContentEntry,
    event::{Event, Phase},
    ids::{ContentName, Digest, Generation, HostName, MacAddr, SessionId},
    plan::{Plan, Service},
    problem::Problem,
};

pub use self::balancer::{
    BackendChange, BackendStatus, BalancedService, BalancerStatus, DrainRequest, VirtualAddress,
};
pub use self::cluster::{
    CertificateEnd, ClusterNode, ClusterRole, ClusterState, ClusterStatus, ComponentState, ComponentStatus,
    Credentials, CredentialsRequest, MemberState, Missing,
};
pub use self::keep::{
    CertificateInfo, NodeWorkRequest, RestoreRequest, SnapshotExportRequest, SnapshotInfo, SnapshotRequest,
    WorkProgress,
};
pub use self::time::{TimeSource, TimeState, TimeStatus};
pub use self::unlock::{
    Lockdown, LockdownRequest, UnlockBackup, UnlockBackupRequest, UnlockBinding, UnlockKey, UnlockKeyChanged,
    UnlockKeyRequest, UnlockRestoreRequest, UnlockRestored, UnlockStatus,
};
pub use self::upgrade::{
    UpgradeNode, UpgradeNodeState, UpgradePauseRequest, UpgradeRequest, UpgradeState, UpgradeStatus,
};

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A stable word: `not-found`, `conflict`, `busy`, `bad-request`, `refused`, `failed`,
    /// `not-confirmed`.
    pub code: String,
    /// What was being done and what failed.
    pub message: String,
    /// What to do about it; empty if there is nothing to add.
    #[serde(default)]
    pub hint: String,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Version of `farosd`.
    pub version: String,
    /// Name of the site; `None` before the first generation.
    pub site: Option<HostName>,
    /// The accepted generation.
    pub generation: Option<Generation>,
    /// When the daemon started.
    pub started_at: jiff::Timestamp,
    /// Its process.
    pub pid: u32,
    /// Its state folder.
    pub state_dir: String,
    /// The LAN interface it serves, if there is one.
    pub lan_interface: Option<String>,
    /// Health of each service.
    pub services: Vec<ServiceStatus>,
    /// An apply that is under way or was interrupted.
    pub apply: Option<ApplyStatus>,
    /// Warnings of the accepted generation: what the file says and nothing acts on.
    pub warnings: Vec<Problem>,
}

/// The health of one service: one state, with a reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Which service.
    pub service: Service,
    /// Its state.
    pub state: ServiceState,
    /// Why it is in this state; empty when ready.
    pub reason: String,
    /// Where it listens.
    pub listens: Vec<String>,
    /// The generation it serves.
    pub generation: Option<Generation>,
    /// What it did and what it left alone, by name; every silence has one.
    pub counters: BTreeMap<String, u64>,
}

/// The state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// It answers.
    Ready,
    /// It waits for something, such as its interface.
    Waiting,
    /// The site file switches it off, or there is no generation yet.
    Off,
    /// It ended with an error.
    Failed,
}

/// Where an apply stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyStatus {
    /// The generation it makes.
    pub generation: Generation,
    /// Who asked for it.
    pub by: String,
    /// When it was begun.
    pub started_at: jiff::Timestamp,
    /// How many steps are done.
    pub done: usize,
    /// How many there are.
    pub of: usize,
    /// What the next step does; empty when all are done.
    pub next_step: String,
    /// While it waits for a confirmation: the seconds until it takes itself back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// `POST /v1/plan`, and the start of [`ApplyRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRequest {
    /// The text of the site file.
    pub site_file: String,
    /// Whether the apply would wait for a confirmation.
    #[serde(default)]
    pub window: Window,
}

/// What `POST /v1/plan` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanResponse {
    /// What an apply would do.
    pub plan: Plan,
    /// What the file says that may surprise.
    pub warnings: Vec<Problem>,
    /// What of this host bears on it, in words: who gives the uplink its address.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Content without which nodes that this arms cannot be installed. An apply is refused if any of it blocks.
    #[serde(default)]
    pub missing: Vec<Missing>,
}

/// `POST /v1/apply`. Answered by a stream of [`ApplyProgress`], one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRequest {
    /// The text of the site file.
    pub site_file: String,
    /// The generation on which the plan that was shown stands; refused as `conflict` if another runs by now.
    pub base: Option<Generation>,
    /// Who asks, for the history.
    pub by: String,
    /// The generation whose file this is, if it is a rollback.
    #[serde(default)]
    pub rollback_of: Option<Generation>,
    /// Whether it waits for a confirmation.
    #[serde(default)]
    pub window: Window,
    /// Whether it goes on though content is missing that nodes need which it arms: they wait for it.
    #[serde(default)]
    pub without_content: bool,
}

/// Whether an apply waits for a confirmation, and takes itself back without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// If it could cut the operator off; a first apply does not, since nobody may be present.
    #[default]
    Planned,
    /// If it could cut the operator off, a first apply as well: somebody is there to confirm.
    Attended,
    /// In any case, for so many seconds.
    Seconds(u32),
    /// Never.
    None,
}

/// `POST /v1/confirm`: how an apply that waits for a confirmation ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmRequest {
    /// Who asks, for the history.
    pub by: String,
    /// Whether it is kept; if not, it is taken back at once.
    pub keep: bool,
    /// The generation that is meant; whichever waits, if it is not given.
    #[serde(default)]
    pub generation: Option<Generation>,
}

/// What `POST /v1/confirm` answers, after it is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// The generation that was waiting.
    pub generation: Generation,
    /// Whether it is kept.
    pub kept: bool,
}

/// One line of the progress of an apply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "progress", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum ApplyProgress {
    /// There was nothing to do, and nothing was written.
    Nothing {
        /// The generation that runs.
        generation: Generation,
    },
    /// The plan is in the journal.
    Started {
        /// What will be done.
        plan: Plan,
    },
    /// A step is begun.
    Step {
        /// Its number, from 1.
        step: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        title: String,
    },
    /// It runs, and takes itself back unless it is confirmed.
    Provisional {
        /// The generation that runs now, and is not accepted yet.
        generation: Generation,
        /// The seconds that are left to confirm it.
        seconds: u32,
    },
    /// All steps are done.
    Accepted {
        /// The generation that runs now.
        generation: Generation,
    },
    /// A step failed; the journal holds where.
    Failed {
        /// What failed.
        failure: Failure,
    },
}

/// One row of `GET /v1/generations`; with the file, `GET /v1/generations/{generation}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GenerationInfo {
    /// Its number.
    pub generation: Generation,
    /// When it was accepted.
    pub accepted_at: jiff::Timestamp,
    /// Who applied it.
    pub by: String,
    /// The generation whose file it repeats, if it is a rollback.
    pub rollback_of: Option<Generation>,
    /// What it changed, in one line.
    pub summary: String,
    /// SHA-256 of its file.
    pub digest: Digest,
    /// The text of the site file; only when one generation is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_file: Option<String>,
}

/// One row of `GET /v1/nodes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeStatus {
    /// Its name.
    pub name: HostName,
    /// The MAC that network-boots.
    pub boot_mac: MacAddr,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its roles.
    pub roles: Vec<crate::site::Role>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: Option<jiff::Timestamp>,
    /// Why, if it failed.
    pub reason: String,
    /// Whether its next network boot installs it.
    pub armed: bool,
    /// Its boot session, if it was seen.
    pub session: Option<SessionId>,
    /// The architecture its firmware announced, such as `bios` or `uefi-x86_64`.
    pub firmware: Option<String>,
    /// The last thing it did.
    pub last_event: Option<Event>,
    /// What is being sent to it right now.
    pub transfer: Option<Transfer>,
}

/// A transfer under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transfer {
    /// What is sent.
    pub name: String,
    /// Bytes sent so far.
    pub bytes: u64,
    /// Bytes in all.
    pub of: u64,
}

/// One row of `GET /v1/leases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseInfo {
    /// The address.
    pub address: Ipv4Addr,
    /// The client's MAC.
    pub mac: MacAddr,
    /// The name the site file gives the client, or the one it gave itself.
    pub name: Option<String>,
    /// Whether the address is reserved in the site file.
    pub reserved: bool,
    /// `active`, `offered`, `released`, `declined` or `expired`.
    pub state: String,
    /// When it was last acknowledged.
    pub since: Option<jiff::Timestamp>,
    /// When it ends.
    pub until: Option<jiff::Timestamp>,
}

/// One row of `GET /v1/discovered`: a machine that is not in the site file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Discovered {
    /// Its MAC.
    pub mac: MacAddr,
    /// When it was first seen.
    pub first_seen: jiff::Timestamp,
    /// When it was last seen.
    pub last_seen: jiff::Timestamp,
    /// The address it was leased, if any.
    pub address: Option<Ipv4Addr>,
    /// All it said about itself: `architecture`, `vendorClass`, `userClass`, `uuid`, `hostname`, …
    pub said: serde_json::Map<String, serde_json::Value>,
}

/// What `PUT /v1/content/{name}` and `GET /v1/content` answer, and the latter per row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContentAdded {
    /// The entry as it stands now.
    pub entry: ContentEntry,
    /// Whether the same bytes were there under this name already.
    pub unchanged: bool,
}

/// One row of what `POST /v1/content/verify` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContentVerified {
    /// Which entry.
    pub name: ContentName,
    /// The digest it should have.
    pub digest: Digest,
    /// What was found: `ok`, `missing` or `damaged`.
    pub state: String,
}

/// `POST /v1/nodes/{name}/arm` and `/disarm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArmRequest {
    /// Who asks, for the history.
    pub by: String,
}
