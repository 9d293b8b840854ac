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

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident => $word:literal,)*) => {
        /// The stable word for which a node that asks is told to wait.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

reasons! {
    /// See [`Wait::NotBooted`].
    NotBooted => "not-booted",
    /// See [`Wait::NotAsking`].
    NotAsking => "not-asking",
    /// See [`Wait::AtWork`].
    AtWork => "at-work",
    /// See [`Wait::Pause`].
    Pause => "pause",
    /// See [`Wait::First`].
    First => "first",
    /// See [`Wait::Leaving`].
    Leaving => "leaving",
    /// See [`Wait::NoControlPlane`].
    NoControlPlane => "no-control-plane",
    /// See [`Wait::Api`].
    Api => "api",
    /// See [`Wait::Turn`].
    Turn => "turn",
    /// See [`Wait::Etcd`].
    Etcd => "etcd",
    /// See [`Wait::StillReady`].
    StillReady => "still-ready",
    /// See [`Wait::OldMember`].
    OldMember => "old-member",
    /// See [`Wait::Upgrade`].
    Upgrade => "upgrade",
    /// See [`Verdict::Failed`](super::Verdict::Failed).
    GaveUp => "gave-up",
    /// The site has no cluster.
    NoCluster => "no-cluster",
    /// What the cluster is made of is not there.
    NoRelease => "no-release",
    /// The cluster's root keys are not open.
    NoKeys => "no-keys",
}

impl Reason {
    /// Whether a node may hear it: who waits for others alone is not asking.
    pub const fn is_told(self) -> bool {
        !matches!(self, Self::NotBooted | Self::NotAsking | Self::AtWork)
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
