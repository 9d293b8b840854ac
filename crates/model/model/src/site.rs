//! The checked site: what the operator wants, with every default filled in and every address given.
//!
//! A [`Site`] is only made by the check of a site file, so whoever holds one need not check again: names
//! and MACs are unique, addresses are in their subnet, ranges do not overlap. What no service acts on yet
//! is kept as the file says it, in [`Site::later`].
//!
//! The whole, and the cluster that it is for, are here; its networks, its machines and the services of the bastion each
//! have a file of their own. All are named as parts of this module.

mod caller;
mod lan;
mod node;
mod services;
mod uplink;

use std::{collections::BTreeMap, net::Ipv4Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::caller::{Caller, Stranger};
pub use self::lan::{ExtraHost, Lan, LanAddresses, LanRule, LanService, LanSource};
pub use self::node::{
    Architecture, Bmc, Bond, BondMode, DataDisk, DiskHints, DiskRef, DiskUsage, Encryption, Node,
    NodeAddressing, NodeNetwork, Role, UnlockBy,
};
pub use self::services::{
    Balancer, ContentPolicy, Dns, DnsData, DnsRecord, IngressAffinity, SealKeysWith, Services, Time, Unlock,
    UnlockPolicy,
};
pub use self::uplink::{
    GatewayMode, InterfaceRef, Published, PublishedTarget, Transport, Uplink, UplinkAddressing,
};
use crate::{
    ids::{DomainName, HostName, MacAddr},
    net::Subnet,
};

/// A whole site.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Site {
    /// The cluster's name; names are `<host>.<name>.<domain>`.
    pub name: HostName,
    /// The parent domain.
    pub domain: DomainName,
    /// Labels for the fleet.
    pub labels: BTreeMap<String, String>,
    /// Public keys that may log in on nodes, in `authorized_keys` format.
    pub ssh_authorized_keys: Vec<String>,
    /// The network towards the rest of the world.
    pub uplink: Uplink,
    /// The network of the nodes.
    pub lan: Lan,
    /// Name service beyond the names that follow from the site itself.
    pub dns: Dns,
    /// Time service.
    pub time: Time,
    /// The Kubernetes cluster.
    pub cluster: Cluster,
    /// The bare-metal machines of the cluster, by name.
    pub nodes: BTreeMap<HostName, Node>,
    /// Whom the bastion helps to unlock disks, and how its own keys are kept.
    pub unlock: Unlock,
    /// Whether install content is reachable only while a node is armed, or always.
    pub content: ContentPolicy,
    /// How the virtual IPs are served.
    pub balancer: Balancer,
    /// Which services of the bastion run.
    pub services: Services,
    /// The parts of the site file that no service acts on yet, as JSON, by key below `spec`.
    pub later: BTreeMap<String, serde_json::Value>,
}

impl Site {
    /// `<name>.<domain>`: the zone for which the bastion's DNS has authority.
    pub fn zone(&self) -> DomainName {
        self.domain.child(&self.name)
    }

    /// The address of the machine that brings the control plane up; `None` where there is none, so that whoever takes
    /// the address is not taken for it.
    pub fn bootstrap(&self) -> Option<Ipv4Addr> {
        (self.cluster.distribution == Distribution::Openshift).then_some(self.lan.addresses.bootstrap)
    }

    /// The node that owns `mac`: its boot interface or a member of its bond.
    pub fn node_by_mac(&self, mac: MacAddr) -> Option<&Node> {
        self.nodes.values().find(|node| node.macs().any(|own| own == mac))
    }
}

/// The Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Which distribution is installed.
    pub distribution: Distribution,
    /// Its version, as the distribution writes it.
    pub version: Option<String>,
    /// Addresses of pods.
    pub pod_network: Subnet,
    /// Addresses of services.
    pub service_network: Subnet,
    /// The network plug-in.
    pub network_plugin: String,
}

/// Which Kubernetes is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Upstream Kubernetes by kubeadm.
    Kubeadm,
    /// OpenShift.
    Openshift,
    /// Only the machines.
    None,
}

impl Distribution {
    /// Whether its control plane serves machine configs, which have secrets of the cluster, without a password.
    pub const fn has_machine_config(self) -> bool {
        matches!(self, Self::Openshift)
    }
}
