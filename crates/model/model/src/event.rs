//! The flight recorder's vocabulary: what was seen of a machine, when, and in which phase that puts it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{HostName, SessionId};

/// One thing that happened. The JSON shape is a stable contract: fields and kinds are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its number within the site; grows without gaps in one run of the daemon and never repeats.
    pub seq: u64,
    /// When it was seen by the bastion, RFC 3339.
    pub at: jiff::Timestamp,
    /// The node it is about, or the name of an extra host; `None` for an unknown machine or the site itself.
    pub node: Option<HostName>,
    /// The boot session it belongs to.
    pub session: Option<SessionId>,
    /// What happened.
    pub kind: EventKind,
    /// Facts about it, by kind; see the events page of the documentation.
    pub detail: serde_json::Map<String, serde_json::Value>,
}

macro_rules! event_kinds {
    ($($(#[doc = $doc:literal])* $variant:ident => $name:literal,)*) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum EventKind {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EventKind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),*),)* }
            }

            /// The kind that a word names.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

event_kinds! {
    /// A machine broadcast a DHCPDISCOVER. Detail: `mac`, `architecture`, `vendorClass`, `userClass`, `uuid`, `hostname`.
    DhcpDiscover => "dhcp-discover",
    /// The bastion offered an address. Detail: `mac`, `address`, `bootFile`.
    DhcpOffer => "dhcp-offer",
    /// A machine asked for an address. Detail: `mac`, `address`, `state`.
    DhcpRequest => "dhcp-request",
    /// The bastion acknowledged a lease, after it was on disk. Detail: `mac`, `address`, `bootFile`, `leaseSeconds`.
    DhcpAck => "dhcp-ack",
    /// The bastion refused an address. Detail: `mac`, `address`, `reason`.
    DhcpNak => "dhcp-nak",
    /// A machine found its address in use. Detail: `mac`, `address`.
    DhcpDecline => "dhcp-decline",
    /// A machine gave its address back. Detail: `mac`, `address`.
    DhcpRelease => "dhcp-release",
    /// A machine asked for options only. Detail: `mac`, `address`.
    DhcpInform => "dhcp-inform",
    /// Another DHCP server was seen on the LAN. Detail: `server`, `mac`, `seenBy`.
    RogueDhcpServer => "rogue-dhcp-server",
    /// An address that the bastion was about to lease is in use by someone else. Detail: `address`, `mac`.
    AddressConflict => "address-conflict",
    /// A machine that is not in the site file asked for something. Detail: all it said about itself.
    MachineDiscovered => "machine-discovered",
    /// A boot loader was sent in full. Detail: `name`, `bytes`, `milliseconds`, `protocol`.
    LoaderFetched => "loader-fetched",
    /// A boot script was sent. Detail: `action` (`install`, `local-disk`, `nothing`), `reason`.
    BootScriptServed => "boot-script-served",
    /// A kernel was sent in full. Detail: `name`, `digest`, `bytes`, `milliseconds`.
    KernelFetched => "kernel-fetched",
    /// An initramfs was sent in full. Detail: `name`, `digest`, `bytes`, `milliseconds`.
    InitramfsFetched => "initramfs-fetched",
    /// Some other content was sent in full. Detail: `name`, `digest`, `bytes`, `milliseconds`.
    ContentFetched => "content-fetched",
    /// A transfer ended before its end. Detail: `name`, `bytes`, `of`, `reason`.
    TransferFailed => "transfer-failed",
    /// A node got its Ignition config. Detail: `bytes`.
    IgnitionServed => "ignition-served",
    /// Someone asked for an Ignition config and got nothing. Detail: `address`, `reason`.
    IgnitionRefused => "ignition-refused",
    /// A node asked to join its cluster, and has to wait; told again when the reason is another. Detail: `reason` (a word),
    /// `message`.
    JoinWaiting => "join-waiting",
    /// A node was handed what makes it one of its cluster. Detail: `action` (`init`, `join-control-plane`, `join-worker`),
    /// `bytes`.
    JoinHanded => "join-handed",
    /// A member of etcd was taken away. Detail: `member` (its number), `reason`.
    EtcdMemberRemoved => "etcd-member-removed",
    /// etcd has lost its majority, so that the Kubernetes API answers no more; or has it again. Detail: `well`, `of` (so many
    /// members of so many that vote), `silent` (the nodes of the others, such as `node-2 and node-3`); nothing if it has it again.
    EtcdMajority => "etcd-majority",
    /// A snapshot of the cluster's etcd was taken. Detail: `name`, `bytes` (on the bastion's disk), `revision`, `by`,
    /// `milliseconds`, `dropped` (how many old ones were let go for it).
    SnapshotTaken => "snapshot-taken",
    /// A snapshot that was due could not be taken; told once while the reason is the same. Detail: `message`.
    SnapshotFailed => "snapshot-failed",
    /// A cluster is to begin anew from a snapshot of its etcd. Detail: `name`, `by`.
    ClusterRestoring => "cluster-restoring",
    /// The certificates of a control-plane node come to their end, and it was told to renew them. No detail.
    CertificatesEnding => "certificates-ending",
    /// An upgrade of the cluster was begun. Detail: `from`, `to`, `by`.
    UpgradeBegun => "upgrade-begun",
    /// An upgrade of the cluster stands still until somebody says to go on. Detail: `to`, `message`; `by`, if somebody wanted
    /// it.
    UpgradeStopped => "upgrade-stopped",
    /// An upgrade of the cluster goes on after it stood still. Detail: `to`, `by`.
    UpgradeResumed => "upgrade-resumed",
    /// All control-plane nodes are at the new version, which new nodes get from now on. Detail: `to`.
    ControlPlaneUpgraded => "control-plane-upgraded",
    /// All nodes of the cluster are at the new version. Detail: `from`, `to`, `seconds`.
    ClusterUpgraded => "cluster-upgraded",
    /// It is a node's turn in an upgrade. Detail: `to`, `action` (`apply`, `node`).
    NodeUpgrading => "node-upgrading",
    /// A node is at the new version, and open to pods if it was. Detail: `to`, `seconds`.
    NodeUpgraded => "node-upgraded",
    /// A node was closed to new pods and emptied. Detail: `by`.
    NodeDrained => "node-drained",
    /// A node was opened to pods again. Detail: `by`.
    NodeOpened => "node-opened",
    /// A node was taken out of its cluster, for good. Detail: `by`.
    NodeRemoved => "node-removed",
    /// Kubernetes says that a node is ready. Detail: `version` (of its kubelet).
    NodeReady => "node-ready",
    /// Kubernetes says that a node is no longer ready. Detail: `message`.
    NodeNotReady => "node-not-ready",
    /// Kubernetes says that a node is short of something, and ends its pods for that; or no longer. Detail: `of` (`disk`,
    /// `memory`, `pids`; empty if no longer), `message`.
    NodePressure => "node-pressure",
    /// A node's request for a certificate was approved. Detail: `name` (of the request), `signer`, `token` (public half).
    CertificateApproved => "certificate-approved",
    /// A request for a certificate was denied. Detail: `name` (of the request), `signer`, `username`, `reason` (a word),
    /// `message`.
    CertificateDenied => "certificate-denied",
    /// The cluster as a whole is another than before. Detail: `from`, `to` (`waiting`, `installing`, `ready`, `degraded`),
    /// `reasons`.
    ClusterState => "cluster-state",
    /// A person got a certificate for the cluster. Detail: `user`, `role`, `until`, `by`.
    CredentialsIssued => "credentials-issued",
    /// Someone asked to join a cluster as a node and got nothing. Detail: `node`, `address`, `reason` (a word), `message`,
    /// `repeated` (how often within the last minute).
    JoinRefused => "join-refused",
    /// Someone asked as a node of the cluster what there is to do for it, and was not believed. Detail: `node`, `address`,
    /// `reason` (a word), `message`, `repeated`.
    TendRefused => "tend-refused",
    /// A node reported about itself. Detail: `report` (see the reports in the events page) and what the node said.
    NodeReport => "node-report",
    /// Someone fetched the advertisement of the unlock keys. Detail: `keys` (thumbprints), `address`.
    UnlockAdvertised => "unlock-advertised",
    /// The bastion helped to unlock a disk. Detail: `key` (thumbprint), `rotated`, `address`.
    UnlockRecovered => "unlock-recovered",
    /// The bastion refused to help. Detail: `reason` (a word), `message`, `key`, `address`, `repeated`.
    UnlockRefused => "unlock-refused",
    /// A node was found to depend on an unlock key for the first time. Detail: `key`.
    UnlockBound => "unlock-bound",
    /// A node no longer depends on an unlock key. Detail: `key`, `by`.
    UnlockUnbound => "unlock-unbound",
    /// New unlock keys are advertised; the old ones still unlock. Detail: `key`, `rotated`, `by`.
    UnlockRotated => "unlock-rotated",
    /// Unlock keys came back from a backup; they unlock, and are not advertised. Detail: `keys`, `by`.
    UnlockRestored => "unlock-restored",
    /// An unlock key was destroyed. Detail: `key`, `by`.
    UnlockRetired => "unlock-retired",
    /// All unlocking was stopped. Detail: `by`, `reason`.
    UnlockLockdown => "unlock-lockdown",
    /// Unlocking is allowed again. Detail: `by`.
    UnlockLockdownLifted => "unlock-lockdown-lifted",
    /// The roots of the cluster's certificates were made, or came back from a backup. Detail: `cluster`, `fingerprint`
    /// (SHA-256 of the site's root), `ends`, `by`.
    AuthorityMade => "authority-made",
    /// A container image that was asked for was not given. Detail: `image`, `reason` (`unknown`, `damaged`, `denied`,
    /// `unreadable`), `repeated`.
    ImageRefused => "image-refused",
    /// A machine is not the one it was, or two claim to be one: its boot session gets nothing more.
    /// Detail: `what` (`uuid`, `mac`), `expected`, `found`, `address`.
    IdentityConflict => "identity-conflict",
    /// A node has been in a phase for longer than it should. Detail: `phase`, `seconds`, `limit`.
    PhaseOverdue => "phase-overdue",
    /// A node entered a phase. Detail: `from`, `to`, `evidence`.
    PhaseChanged => "phase-changed",
    /// A node was armed: its next network boot installs it. Detail: `by`.
    NodeArmed => "node-armed",
    /// A node was disarmed: it boots its own disk. Detail: `by`, `reason`.
    NodeDisarmed => "node-disarmed",
    /// A service is ready. Detail: `service`, `listens`.
    ServiceReady => "service-ready",
    /// A service is not ready. Detail: `service`, `reason`.
    ServiceFailed => "service-failed",
    /// A network interface went away. Detail: `interface`.
    InterfaceLost => "interface-lost",
    /// A network interface came back. Detail: `interface`.
    InterfaceBack => "interface-back",
    /// Someone else changed what the router has in the kernel, and it was put right. Detail: `what` (`rules`,
    /// `setting`, `uplink`, `firewalld`), `found` (what was not as it should be), `more` (how many are not told).
    RouterRepaired => "router-repaired",
    /// A server behind a virtual IP came in: new connections are led to it. Detail: `service`, `backend`, `address`,
    /// `reason`.
    BackendUp => "backend-up",
    /// A server behind a virtual IP is out: no new connection is led to it. Detail: `service`, `backend`, `address`,
    /// `reason`, `left` (how many others are in; with 0, clients are turned away at once).
    BackendDown => "backend-down",
    /// Connections with a server whose machine is dead were ended, so that their clients need not wait. Detail:
    /// `address`, `connections`.
    ConnectionsEnded => "connections-ended",
    /// The bootstrap machine was let go as a server, because enough of the control plane is there. Detail: `reason`.
    BootstrapRetired => "bootstrap-retired",
    /// New connections are kept from a node, or led to it again. Detail: `backend`, `drained`, `by`.
    BackendDrained => "backend-drained",
    /// A virtual IP is used by another machine on the LAN; the bastion does not fight for it. Detail: `address`,
    /// `mac`, `held` (whether the bastion had it first, and keeps it).
    VirtualAddressTaken => "virtual-address-taken",
    /// The bastion has taken a virtual IP. Detail: `address`, `interface`.
    VirtualAddressHeld => "virtual-address-held",
    /// The router cannot do all of its work, and cannot help it; told again when it is another. Detail: `found` (in words;
    /// empty when all is well again).
    RouterTrouble => "router-trouble",
    /// An apply was begun. Detail: `generation`, `by`, `steps`.
    ApplyStarted => "apply-started",
    /// A step of an apply was done. Detail: `generation`, `step`, `of`, `title`.
    ApplyStepDone => "apply-step-done",
    /// An apply was resumed after a crash. Detail: `generation`, `step`, `of`.
    ApplyResumed => "apply-resumed",
    /// An apply runs and waits for a confirmation. Detail: `generation`, `by`, `seconds`.
    ApplyProvisional => "apply-provisional",
    /// An apply that waited for a confirmation got it. Detail: `generation`, `by`.
    ApplyConfirmed => "apply-confirmed",
    /// An apply that waited for a confirmation was taken back. Detail: `generation`, `why` (`not-confirmed`, `refused`,
    /// `restarted`), `by`.
    ApplyReverted => "apply-reverted",
    /// A generation was accepted. Detail: `generation`, `by`.
    GenerationAccepted => "generation-accepted",
    /// Content was added to the store. Detail: `name`, `digest`, `size`.
    ContentAdded => "content-added",
    /// Content in the store is not what its digest says. Detail: `name`, `digest`, `found`.
    ContentDamaged => "content-damaged",
    /// The daemon started. Detail: `version`, `generation`.
    DaemonStarted => "daemon-started",
    /// The daemon is about to end. Detail: `reason`.
    DaemonStopping => "daemon-stopping",
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where a machine is in its life (DESIGN: a node's life).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// In the site file, not seen yet.
    Expected,
    /// Its firmware or loader spoke DHCP, fetched a loader or a script.
    Netbooting,
    /// It got its Ignition config.
    Provisioning,
    /// It reported that its disk holds the operating system.
    Installed,
    /// Its disk was unlocked.
    Unlocked,
    /// It joined the Kubernetes cluster.
    Joined,
    /// Kubernetes says it is ready.
    Ready,
    /// It was told to boot its own disk, and has not been heard of since.
    LocalBoot,
    /// Something went wrong; the reason is beside it.
    Failed,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Expected,
        Self::Netbooting,
        Self::Provisioning,
        Self::Installed,
        Self::Unlocked,
        Self::Joined,
        Self::Ready,
        Self::LocalBoot,
        Self::Failed,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expected => "expected",
            Self::Netbooting => "netbooting",
            Self::Provisioning => "provisioning",
            Self::Installed => "installed",
            Self::Unlocked => "unlocked",
            Self::Joined => "joined",
            Self::Ready => "ready",
            Self::LocalBoot => "local-boot",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
