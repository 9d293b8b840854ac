//! The cluster, as the local API tells it: how it is by which evidence, and who gets credentials for it.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UpgradeStatus;
use crate::{ids::HostName, kubernetes::KubeVersion, net::serde_as_text, site::Role};

/// `GET /v1/cluster`: how the cluster is, and by which evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// For when this is true.
    pub at: Timestamp,
    /// The whole.
    pub state: ClusterState,
    /// Since when, as far as this run of the daemon knows.
    pub since: Timestamp,
    /// Why it is not ready; empty if it is.
    pub reasons: Vec<String>,
    /// `<name>.<domain>`.
    pub name: String,
    /// Where the Kubernetes API answers, `api.<name>.<domain>:6443`.
    pub endpoint: String,
    /// The virtual IP behind that name.
    pub address: std::net::Ipv4Addr,
    /// The version that runs, or is to be installed; `None` if none is there that fits.
    pub version: Option<KubeVersion>,
    /// When the first node had begun the control plane.
    pub established: Option<Timestamp>,
    /// Content without which nothing can be installed.
    pub missing: Vec<Missing>,
    /// The cluster's parts.
    pub components: Vec<ComponentStatus>,
    /// The nodes, by name.
    pub nodes: Vec<ClusterNode>,
    /// Certificates, and when they end; the soonest first.
    pub certificates: Vec<CertificateEnd>,
    /// The upgrade that was begun, if it is not at its end.
    #[serde(default)]
    pub upgrade: Option<UpgradeStatus>,
}

/// How the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterState {
    /// The site file wants none that Faros installs.
    None,
    /// There is none, and nobody is at it: something is missing, or no control-plane node asks.
    Waiting,
    /// It comes to be: nodes begin it, or join it.
    Installing,
    /// All nodes of the site are ready, and all parts answer.
    Ready,
    /// It is there, and something of it is not well.
    Degraded,
}

impl ClusterState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Waiting => "waiting",
            Self::Installing => "installing",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
        }
    }
}

/// Content that is needed, and is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// What it is.
    pub what: String,
    /// Who needs it.
    pub needed_by: Vec<HostName>,
    /// The command that brings it.
    pub command: String,
    /// Whether a cluster cannot be begun without it.
    pub blocks: bool,
}

/// How a part of the cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// `content`, `root-keys`, `kube-apiserver`, `etcd`, `kube-scheduler`, `kube-controller-manager`, `coredns`,
    /// `kube-proxy`, or the name of another pod of `kube-system`.
    pub component: String,
    /// On which node, if it is on one.
    pub node: Option<HostName>,
    /// How it is.
    pub state: ComponentState,
    /// Since when, as far as is known.
    pub since: Option<Timestamp>,
    /// Which part it waits for, if that is known.
    pub waits_for: Option<String>,
    /// What it said last.
    pub said: String,
}

/// How a part of the cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentState {
    /// It answers, or says that it is ready.
    Ready,
    /// It is there, and not ready.
    NotReady,
    /// It is not there yet.
    Waiting,
    /// Nobody says.
    Unknown,
}

impl ComponentState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        }
    }
}

/// How a node stands to its cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterNode {
    /// Its name.
    pub name: HostName,
    /// Its roles.
    pub roles: Vec<Role>,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// How it stands.
    pub state: MemberState,
    /// Since when, as far as is known.
    pub since: Option<Timestamp>,
    /// What it waits for.
    pub waits_for: Option<String>,
    /// What that said last, or the node itself.
    pub said: String,
    /// The version of its kubelet, if Kubernetes knows it.
    pub version: Option<String>,
    /// Whether its next network boot installs it.
    pub armed: bool,
}

/// How a node stands to its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemberState {
    /// It has not been seen yet.
    Expected,
    /// It boots, or is being installed.
    Booting,
    /// It runs, and waits for something.
    Waiting,
    /// It is at work on what it was handed.
    Joining,
    /// It has joined, and is not ready yet.
    Starting,
    /// Kubernetes says that it is ready.
    Ready,
    /// It has joined, and Kubernetes says that it is not ready.
    NotReady,
    /// It has joined, and Kubernetes does not answer, or does not know it.
    Unknown,
    /// It has failed, and somebody has to look.
    Failed,
}

impl MemberState {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Booting => "booting",
            Self::Waiting => "waiting",
            Self::Joining => "joining",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::NotReady => "not-ready",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
        }
    }
}

/// When a certificate ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateEnd {
    /// Whose it is, such as `root of etcd` or `kubelet`.
    pub what: String,
    /// On which node, if it is on one.
    pub node: Option<HostName>,
    /// When it ends.
    pub ends: Timestamp,
}

/// What a person may do in the cluster: one of the roles that Kubernetes comes with, over all of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterRole {
    /// See most things, and no Secrets.
    View,
    /// And change workloads.
    Edit,
    /// And change who may do what in namespaces.
    Admin,
    /// Anything.
    ClusterAdmin,
}

impl ClusterRole {
    /// All of them, from the least to the most.
    pub const ALL: [Self; 4] = [Self::View, Self::Edit, Self::Admin, Self::ClusterAdmin];

    /// The stable word, which is Kubernetes' name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Admin => "admin",
            Self::ClusterAdmin => "cluster-admin",
        }
    }
}

impl fmt::Display for ClusterRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ClusterRole {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or("is no role: view, edit, admin or cluster-admin")
    }
}

serde_as_text!(ClusterRole);

/// `POST /v1/cluster/credentials`: a certificate for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialsRequest {
    /// Who asks, for the history.
    pub by: String,
    /// Whose it is to be.
    pub user: String,
    /// What they may do.
    pub role: ClusterRole,
    /// For how many seconds.
    pub seconds: u32,
    /// A certificate request (PKCS #10, PEM) with the key that it is to be for. What it asks for is not looked at.
    pub request: String,
}

/// A certificate for one person, and what else a kubeconfig is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The name by which Kubernetes knows whoever has it.
    pub user: String,
    /// Their group there.
    pub group: String,
    /// The role.
    pub role: ClusterRole,
    /// The certificate (PEM).
    pub certificate: String,
    /// The certificate of the cluster's authority (PEM).
    pub authority: String,
    /// When it ends.
    pub ends: Timestamp,
    /// The cluster, `<name>.<domain>`.
    pub cluster: String,
    /// The API's name, `api.<name>.<domain>`.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// The virtual IP behind the name.
    pub address: std::net::Ipv4Addr,
}
