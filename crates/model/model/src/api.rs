//! The local API of `farosd`: HTTP and JSON over a root-only unix socket.
//!
//! The OpenAPI document is generated from these types. Field names are `camelCase`; times are RFC 3339 in
//! UTC; a refusal carries [`Failure`], or [`Problems`](crate::problem::Problems) with status 422 if a site
//! file is at fault.

mod cluster;
mod keep;

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

pub use self::cluster::{
    CertificateEnd, ClusterNode, ClusterRole, ClusterState, ClusterStatus, ComponentState, ComponentStatus,
    Credentials, CredentialsRequest, MemberState, Missing,
};
pub use self::keep::{
    CertificateInfo, NodeWorkRequest, RestoreRequest, SnapshotExportRequest, SnapshotInfo, SnapshotRequest,
    WorkProgress,
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

/// A stop of all unlocking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lockdown {
    /// When it began, RFC 3339.
    pub since: jiff::Timestamp,
    /// Who ordered it.
    pub by: String,
    /// Why, in the words of whoever ordered it; may be empty.
    pub reason: String,
}

/// What a lockdown is asked for with, and lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockdownRequest {
    /// Who asks.
    pub by: String,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// A change of the unlock keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockKeyRequest {
    /// Who asks.
    pub by: String,
    /// The key that is to be retired.
    #[serde(default)]
    pub key: Option<String>,
    /// Retire it even if nodes depend on it, whose disks are lost then.
    #[serde(default)]
    pub force: bool,
}

/// What a change of the unlock keys did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockKeyChanged {
    /// The key that was made or retired.
    pub key: String,
}

/// Asks for a copy of the unlock keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockBackupRequest {
    /// For whom: public keys of age.
    pub recipients: Vec<String>,
}

/// A copy of the unlock keys, encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockBackup {
    /// An age file in ASCII armor.
    pub armored: String,
    /// Whether the roots of the cluster are in it too.
    #[serde(default)]
    pub roots: bool,
}

/// Asks for the unlock keys of a backup to be taken back into use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockRestoreRequest {
    /// Who asks.
    pub by: String,
    /// The backup: an age file in ASCII armor.
    pub armored: String,
    /// What opens it: the file that `age-keygen` wrote.
    pub identity: String,
}

impl std::fmt::Debug for UnlockRestoreRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnlockRestoreRequest")
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// What came back from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockRestored {
    /// Thumbprints of the exchange keys that were not there before.
    pub keys: Vec<String>,
    /// Fingerprint of the site's root, if the roots of the cluster came back.
    #[serde(default)]
    pub roots: Option<Digest>,
}

/// How unlocking stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockStatus {
    /// Where nodes find the service.
    pub url: String,
    /// Whom it helps.
    pub policy: crate::site::UnlockPolicy,
    /// What seals the keys at rest: `nothing`, `passphrase` or `tpm2`.
    pub sealed_with: String,
    /// The lockdown, if there is one.
    pub lockdown: Option<Lockdown>,
    /// The keys, newest first.
    pub keys: Vec<UnlockKey>,
}

/// An unlock key that nodes' disks may depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockKey {
    /// SHA-256 thumbprint of the exchange key (RFC 7638).
    pub key: String,
    /// SHA-256 thumbprint of the signing key that advertises it: what a node pins.
    pub signed_by: String,
    /// When it was made, RFC 3339.
    pub created_at: jiff::Timestamp,
    /// Whether new disks are bound to it; a rotated key only unlocks.
    pub advertised: bool,
    /// The nodes that depend on it.
    pub nodes: Vec<UnlockBinding>,
}

/// A node that depends on an unlock key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockBinding {
    /// The node.
    pub node: HostName,
    /// Since when the bastion knows.
    pub since: jiff::Timestamp,
    /// When it was last seen.
    pub last: jiff::Timestamp,
    /// How it was last seen: `advertised`, `rebound` or `recovered`.
    pub seen: String,
}

/// How the bastion's clock stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeStatus {
    /// What the clock is worth.
    pub state: TimeState,
    /// Why, in words; empty if it is synchronized with sources.
    pub why: String,
    /// The stratum that clients are told; `None` while unsynchronized.
    pub stratum: Option<u8>,
    /// What clients are told that the time comes from: an address, `127.127.1.1` for the clock itself.
    pub reference: Option<Ipv4Addr>,
    /// How far the sources say that the clock is behind, in seconds.
    pub offset: Option<f64>,
    /// Round trip to the reference clock, in seconds.
    pub root_delay: f64,
    /// How far the clock may be off besides half of that, in seconds.
    pub root_dispersion: f64,
    /// When the clock was last compared.
    pub compared_at: Option<jiff::Timestamp>,
    /// Who keeps the clock: `farosd`, `host` or `nobody`.
    pub kept_by: String,
    /// Which daemon of the host keeps it, or why nobody does.
    pub keeper: String,
    /// Whether whoever keeps the clock has told the kernel that it is right.
    pub kernel_synchronized: bool,
    /// How often the clock was set, instead of steered, since the daemon started.
    pub steps: u64,
    /// The sources of the site file, in its order.
    pub sources: Vec<TimeSource>,
}

/// What a clock is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeState {
    /// Measured against sources that agree, or vouched for by the host's time daemon.
    Synchronized,
    /// No source answers: the site goes by the bastion's clock.
    Orphan,
    /// Known to be wrong, or not known to be right yet.
    Unsynchronized,
}

/// An upstream time server as it is seen from the bastion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSource {
    /// Its name or address in the site file.
    pub server: String,
    /// The address that is asked.
    pub address: Option<Ipv4Addr>,
    /// `best`, `agrees`, `disagrees`, `asking`, `unreachable`, `unsynchronized`, `loop`, `too-far` or `unknown-name`.
    pub state: String,
    /// Its stratum.
    pub stratum: Option<u8>,
    /// How far it is ahead of the bastion's clock, in seconds.
    pub offset: Option<f64>,
    /// Round trip to it, in seconds.
    pub delay: Option<f64>,
    /// How much its answers differ, in seconds.
    pub jitter: Option<f64>,
    /// Which of the last eight questions it answered; the latest is the lowest bit.
    pub reach: u8,
    /// When the answer came that counts.
    pub measured_at: Option<jiff::Timestamp>,
}

/// `GET /v1/balancer`: the virtual IPs, and who answers behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BalancerStatus {
    /// The virtual IPs.
    pub addresses: Vec<VirtualAddress>,
    /// How the certificates of the API's servers are judged: `ca` (they must be good for the API's name) or `any`.
    pub api_certificates: String,
    /// The services, in the order of the site.
    pub services: Vec<BalancedService>,
}

/// A virtual IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualAddress {
    /// The address.
    pub address: Ipv4Addr,
    /// `own` (it is the bastion's), `held`, `asking`, `taken` or `no-interface`.
    pub state: String,
    /// Who else uses it.
    pub used_by: Option<MacAddr>,
}

/// A port on a virtual IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BalancedService {
    /// Its name.
    pub name: String,
    /// Its address on the LAN; `None` if only the uplink has it.
    pub address: Option<Ipv4Addr>,
    /// Its protocol.
    pub protocol: crate::site::Transport,
    /// Its port.
    pub port: u16,
    /// What decides which backend a client gets: `random` or `source`.
    pub affinity: String,
    /// How backends are asked, such as `https /readyz`.
    pub check: String,
    /// Whether new connections are led to anyone; if not, they are turned away at once.
    pub served: bool,
    /// Its backends.
    pub backends: Vec<BackendStatus>,
}

/// A server behind a virtual IP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// The node's name, `bootstrap`, or its address.
    pub name: String,
    /// Where it answers.
    pub address: std::net::SocketAddrV4,
    /// `new` (it has never answered), `in`, `out` or `retired`.
    pub state: String,
    /// Whether new connections are kept from it by the operator's will.
    pub drained: bool,
    /// Since when it is in this state.
    pub since: jiff::Timestamp,
    /// Why.
    pub reason: String,
    /// Its part of the service's new connections, in percent.
    pub share: u8,
    /// Connections that are there now.
    pub connections: u64,
    /// Bytes from clients to it, with headers.
    pub bytes_in: u64,
    /// Bytes from it to clients, with headers.
    pub bytes_out: u64,
    /// When it came in and went out, oldest first.
    pub history: Vec<BackendChange>,
}

/// One change of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendChange {
    /// When.
    pub at: jiff::Timestamp,
    /// The state since then.
    pub state: String,
    /// Why.
    pub reason: String,
}

/// `POST /v1/balancer/drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainRequest {
    /// The backend's name: a node's, mostly.
    pub backend: String,
    /// Whether new connections are to be kept from it.
    pub drained: bool,
    /// Even if a service is led to nobody then.
    #[serde(default)]
    pub force: bool,
    /// Who asks, for the history.
    pub by: String,
}
