//! Why a node has to wait.

use std::fmt;

use faros_model::ids::HostName;

use super::Work;

/// Why a node has to wait, by what is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// It is in no live boot session.
    NotBooted,
    /// It has not asked.
    NotAsking,
    /// It is at work on what it was handed.
    AtWork(Work),
    /// It has failed, and tries again in so many seconds.
    Pause(i64),
    /// Another node begins the control plane.
    First(HostName),
    /// Another node has to leave the cluster as it was, before it begins anew.
    Leaving(HostName),
    /// Nobody begins the control plane.
    NoControlPlane,
    /// The API is not ready.
    Api(String),
    /// Another node joins the control plane just now, or is to do so first.
    Turn(HostName),
    /// A member of etcd is not well: one more would put the majority at risk.
    Etcd(HostName),
    /// Kubernetes takes the node for one that runs, from its life before.
    StillReady,
    /// Its member of etcd from its life before, or from a try that failed, has to go.
    OldMember,
    /// The control plane is being upgraded.
    Upgrade,
}

/// The stable word for which a node that asks is told to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// See [`Wait::NotBooted`]; no node hears this.
    NotBooted,
    /// See [`Wait::NotAsking`]; no node hears this.
    NotAsking,
    /// See [`Wait::AtWork`]; no node hears this.
    AtWork,
    /// See [`Wait::Pause`].
    Pause,
    /// See [`Wait::First`].
    First,
    /// See [`Wait::Leaving`].
    Leaving,
    /// See [`Wait::NoControlPlane`].
    NoControlPlane,
    /// See [`Wait::Api`].
    Api,
    /// See [`Wait::Turn`].
    Turn,
    /// See [`Wait::Etcd`].
    Etcd,
    /// See [`Wait::StillReady`].
    StillReady,
    /// See [`Wait::OldMember`].
    OldMember,
    /// See [`Wait::Upgrade`].
    Upgrade,
    /// See [`Verdict::Failed`](super::Verdict::Failed).
    GaveUp,
    /// The site has no cluster.
    NoCluster,
    /// What the cluster is made of is not there.
    NoRelease,
    /// The cluster's root keys are not open.
    NoKeys,
}

impl Reason {
    /// All of which a node may hear.
    pub const TOLD: [Self; 14] = [
        Self::Pause,
        Self::First,
        Self::Leaving,
        Self::NoControlPlane,
        Self::Api,
        Self::Turn,
        Self::Etcd,
        Self::StillReady,
        Self::OldMember,
        Self::Upgrade,
        Self::GaveUp,
        Self::NoCluster,
        Self::NoRelease,
        Self::NoKeys,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotBooted => "not-booted",
            Self::NotAsking => "not-asking",
            Self::AtWork => "at-work",
            Self::Pause => "pause",
            Self::First => "first",
            Self::Leaving => "leaving",
            Self::NoControlPlane => "no-control-plane",
            Self::Api => "api",
            Self::Turn => "turn",
            Self::Etcd => "etcd",
            Self::StillReady => "still-ready",
            Self::OldMember => "old-member",
            Self::Upgrade => "upgrade",
            Self::GaveUp => "gave-up",
            Self::NoCluster => "no-cluster",
            Self::NoRelease => "no-release",
            Self::NoKeys => "no-keys",
        }
    }
}

impl Wait {
    /// The word for it.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::NotBooted => Reason::NotBooted,
            Self::NotAsking => Reason::NotAsking,
            Self::AtWork(_) => Reason::AtWork,
            Self::Pause(_) => Reason::Pause,
            Self::First(_) => Reason::First,
            Self::Leaving(_) => Reason::Leaving,
            Self::NoControlPlane => Reason::NoControlPlane,
            Self::Api(_) => Reason::Api,
            Self::Turn(_) => Reason::Turn,
            Self::Etcd(_) => Reason::Etcd,
            Self::StillReady => Reason::StillReady,
            Self::OldMember => Reason::OldMember,
            Self::Upgrade => Reason::Upgrade,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBooted => f.write_str("the node is in no live boot session"),
            Self::NotAsking => f.write_str("the node runs, and has not asked to join"),
            Self::AtWork(work) => write!(f, "the node is at work: {}", work.as_str()),
            Self::Pause(seconds) => write!(f, "the node has failed, and tries again in {seconds} s"),
            Self::First(node) => write!(f, "{node} begins the control plane"),
            Self::Leaving(node) => write!(f, "{node} has to leave the cluster as it was, or five minutes to pass"),
            Self::NoControlPlane => f.write_str("no control-plane node has begun the cluster"),
            Self::Api(said) => write!(f, "the Kubernetes API is not ready: {said}"),
            Self::Turn(node) => write!(f, "{node} joins the control plane first"),
            Self::Etcd(node) => write!(f, "the member of etcd on {node} is not well"),
            Self::StillReady => f.write_str(
                "Kubernetes takes the node for one that runs, from its life before; that ends within a minute",
            ),
            Self::OldMember => f.write_str(
                "etcd has a member of the node's life before, or of a try that failed, which has to go first",
            ),
            Self::Upgrade => f.write_str("the control plane is being upgraded, and nobody joins meanwhile"),
        }
    }
}
