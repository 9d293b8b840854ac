//! A machine of the cluster, and what is on its board: network, disks, controller, encryption.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ContentName, HostName, MacAddr};

/// One bare-metal machine of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its name.
    pub name: HostName,
    /// What it does; at least one.
    pub roles: Vec<Role>,
    /// MAC of the interface that network-boots.
    pub boot_mac: MacAddr,
    /// How it is on the LAN once it runs.
    pub network: NodeNetwork,
    /// Its address.
    pub address: Ipv4Addr,
    /// Processor architecture.
    pub architecture: Architecture,
    /// The operating system image, a name in the content store.
    pub image: ContentName,
    /// Where it is installed.
    pub install_disk: DiskRef,
    /// Further disks.
    pub data_disks: Vec<DataDisk>,
    /// Its board management controller.
    pub bmc: Option<Bmc>,
    /// How its disks are encrypted and unlocked.
    pub encryption: Encryption,
    /// Kubernetes labels.
    pub labels: BTreeMap<String, String>,
    /// Kubernetes taints, as `key=value:Effect`.
    pub taints: Vec<String>,
    /// Further kernel arguments.
    pub kernel_arguments: Vec<String>,
}

impl Node {
    /// All MACs by which the node may speak on the LAN: the boot interface, then the bond's members.
    pub fn macs(&self) -> impl Iterator<Item = MacAddr> {
        let members = self
            .network
            .bond
            .iter()
            .flat_map(|bond| bond.macs.iter().copied());
        std::iter::once(self.boot_mac).chain(members.filter(|mac| *mac != self.boot_mac))
    }

    /// Whether a MAC is one of the node's. One that the kernel cannot say is not: whoever speaks on the LAN has one.
    pub fn has_mac(&self, mac: Option<MacAddr>) -> bool {
        mac.is_some_and(|mac| self.macs().any(|own| own == mac))
    }
}

/// What a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Runs the Kubernetes control plane.
    ControlPlane,
    /// Runs workloads.
    Worker,
    /// Runs management workloads: storage, monitoring.
    MetaWorker,
    /// Entry point: load balancer, firewall.
    Frontend,
    /// A member of etcd and nothing else.
    Arbiter,
}

impl Role {
    /// The word in the site file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Worker => "worker",
            Self::MetaWorker => "meta-worker",
            Self::Frontend => "frontend",
            Self::Arbiter => "arbiter",
        }
    }
}

/// How a node is on the LAN once it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeNetwork {
    /// Whether the operating system asks DHCP or is told its address.
    pub addressing: NodeAddressing,
    /// Interfaces joined to one.
    pub bond: Option<Bond>,
}

/// Whether a node's operating system asks DHCP or is told its address (which is the same).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeAddressing {
    /// It asks, and gets its reservation.
    Dhcp,
    /// The address stands in its Ignition config.
    Static,
}

/// Interfaces joined to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bond {
    /// Linux bonding mode.
    pub mode: BondMode,
    /// Its members, at least two; the boot interface is one of them.
    pub macs: Vec<MacAddr>,
}

/// Linux bonding modes, by their kernel names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BondMode {
    /// Round robin.
    #[serde(rename = "balance-rr")]
    BalanceRr,
    /// One active member.
    #[serde(rename = "active-backup")]
    ActiveBackup,
    /// By hash.
    #[serde(rename = "balance-xor")]
    BalanceXor,
    /// Everything on all.
    #[serde(rename = "broadcast")]
    Broadcast,
    /// Link aggregation (LACP).
    #[serde(rename = "802.3ad")]
    Ieee8023ad,
}

impl BondMode {
    /// The kernel's name of the mode.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BalanceRr => "balance-rr",
            Self::ActiveBackup => "active-backup",
            Self::BalanceXor => "balance-xor",
            Self::Broadcast => "broadcast",
            Self::Ieee8023ad => "802.3ad",
        }
    }
}

/// Processor architectures, as `uname -m` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 64-bit Arm.
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Architecture {
    /// The word in the site file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }
}

/// How a disk is found on a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiskRef {
    /// By a path below `/dev`.
    Path(String),
    /// By what it is; all hints given must match exactly one disk.
    Hints(DiskHints),
}

/// What a disk must be to be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskHints {
    /// At least this many bytes.
    pub min_size_bytes: Option<u64>,
    /// Spinning or not.
    pub rotational: Option<bool>,
    /// Serial number.
    pub serial_number: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// World Wide Name.
    pub wwn: Option<String>,
}

/// A further disk of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataDisk {
    /// Which disk.
    pub disk: DiskRef,
    /// What for.
    pub usage: DiskUsage,
}

/// What a further disk is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DiskUsage {
    /// The kubelet's and the container runtime's data.
    Kubelet,
    /// The cluster's storage provider.
    Storage,
    /// Mounted at this absolute path.
    Mount(String),
}

/// A board management controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bmc {
    /// Protocol and scheme, such as `redfish+https`.
    pub scheme: String,
    /// Its address on the LAN.
    pub address: Ipv4Addr,
    /// Its MAC, for a DHCP reservation.
    pub mac: Option<MacAddr>,
    /// Name of the secret with its credentials.
    pub credentials_ref: Option<String>,
}

/// How a node's disks are encrypted and unlocked: at least `threshold` of `of` must help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// How many must help; 0 means not encrypted.
    pub threshold: u8,
    /// Who can help.
    pub of: Vec<UnlockBy>,
}

/// Who can help to unlock a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnlockBy {
    /// The bastion's Tang service.
    Tang,
    /// The machine's TPM 2.0.
    Tpm2,
    /// Other nodes.
    Peers,
}

impl UnlockBy {
    /// The word in the site file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tang => "tang",
            Self::Tpm2 => "tpm2",
            Self::Peers => "peers",
        }
    }
}
