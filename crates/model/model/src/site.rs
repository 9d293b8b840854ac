//! The checked site: what the operator wants, with every default filled in and every address given.
//!
//! A [`Site`] is only made by the check of a site file, so whoever holds one need not check again: names
//! and MACs are unique, addresses are in their subnet, ranges do not overlap. What no service acts on yet
//! is kept as the file says it, in [`Site::later`].

mod caller;
mod node;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddrV4},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::caller::{Caller, Stranger};
pub use self::node::{
    Architecture, Bmc, Bond, BondMode, DataDisk, DiskHints, DiskRef, DiskUsage, Encryption, Node,
    NodeAddressing, NodeNetwork, Role, UnlockBy,
};
use crate::{
    ids::{DomainName, HostName, MacAddr},
    net::{Range, Subnet},
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

/// The bastion's side towards the outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Uplink {
    /// Which interface it is.
    pub interface: InterfaceRef,
    /// How it gets its address.
    pub addressing: UplinkAddressing,
    /// How nodes and the outside reach each other.
    pub gateway_mode: GatewayMode,
    /// Who may come in at all.
    pub trusted_networks: Vec<Subnet>,
    /// What is reachable from outside.
    pub publish: Vec<Published>,
}

/// Something that is reachable from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// What it is.
    pub what: PublishedTarget,
    /// Who may come in: the entry's own list, or the trusted networks. Nobody, if there are none.
    pub from: Vec<Subnet>,
}

/// What is reachable from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum PublishedTarget {
    /// SSH to the bastion.
    Ssh,
    /// The web console of the bastion.
    Console,
    /// The Kubernetes API.
    Api,
    /// HTTP ingress.
    IngressHttp,
    /// HTTPS ingress.
    IngressHttps,
    /// A port of the operator's own.
    Port {
        /// Its name.
        name: HostName,
        /// Its protocol.
        protocol: Transport,
        /// Its number on the uplink.
        port: u16,
        /// Where it leads, spread over all.
        to: Vec<SocketAddrV4>,
    },
}

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// An interface, by its name or by its address (a name that moves is found by its MAC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum InterfaceRef {
    /// By name, such as `enp1s0`.
    Name(String),
    /// By Ethernet address.
    Mac(MacAddr),
}

/// How the uplink gets its address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum UplinkAddressing {
    /// By DHCP.
    Dhcp,
    /// Someone else manages it.
    Host,
    /// As given.
    Static {
        /// The bastion's address on the uplink.
        address: Ipv4Addr,
        /// The network it is in.
        subnet: Subnet,
        /// The next hop.
        gateway: Option<Ipv4Addr>,
    },
}

/// How nodes and the outside reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GatewayMode {
    /// Only what is published is reachable from outside; nodes reach out by masquerade.
    Pat,
    /// The enterprise routes to the LAN through the bastion.
    Nat,
}

/// The network of the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lan {
    /// The bastion's interfaces on it.
    pub interfaces: Vec<String>,
    /// Its network.
    pub subnet: Subnet,
    /// Its MTU in bytes; announced by DHCP if it is not 1500.
    pub mtu: u16,
    /// Addresses leased to machines that are not in the site file.
    pub dynamic_range: Range,
    /// MACs that get no answer from DHCP.
    pub ignored_macs: Vec<MacAddr>,
    /// Addresses of the bastion and of the virtual IPs.
    pub addresses: LanAddresses,
    /// Neighbors that are no nodes, by name.
    pub hosts: BTreeMap<HostName, ExtraHost>,
    /// Who may use what of the bastion; `None` leaves it to the role of each machine.
    pub firewall: Option<Vec<LanRule>>,
}

/// Machines of the LAN, and what of the bastion they may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LanRule {
    /// Who.
    pub from: Vec<LanSource>,
    /// What.
    pub allow: Vec<LanService>,
}

/// Machines of the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LanSource {
    /// The nodes, and the bootstrap machine.
    Nodes,
    /// The nodes' controllers.
    Bmcs,
    /// The other hosts of the site file.
    Hosts,
    /// Whoever is in none of these groups.
    Unknown,
    /// Whoever has an address of this network.
    Network(Subnet),
}

/// A service of the bastion on the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LanService {
    /// Addresses.
    Dhcp,
    /// Names.
    Dns,
    /// Time.
    Ntp,
    /// Loaders, kernels and images.
    Netboot,
    /// Ignition configs.
    Ignition,
    /// Disk unlocking.
    Unlock,
    /// SSH to the bastion.
    Ssh,
    /// The web console.
    Console,
    /// The Kubernetes API.
    Api,
    /// Container images.
    Registry,
    /// The cluster's own services: ingress, and published ports.
    Ingress,
}

impl LanService {
    /// The word in the site file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Dns => "dns",
            Self::Ntp => "ntp",
            Self::Netboot => "netboot",
            Self::Ignition => "ignition",
            Self::Unlock => "unlock",
            Self::Ssh => "ssh",
            Self::Console => "console",
            Self::Api => "api",
            Self::Registry => "registry",
            Self::Ingress => "ingress",
        }
    }
}

/// The addresses on the LAN that belong to the site itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LanAddresses {
    /// The bastion: gateway, DNS, NTP, boot server.
    pub bastion: Ipv4Addr,
    /// Virtual IP of the Kubernetes API (`api`, `api-int`).
    pub api: Ipv4Addr,
    /// Virtual IP of the ingress (`*.apps`); may be that of the API.
    pub ingress: Ipv4Addr,
    /// The bootstrap machine.
    pub bootstrap: Ipv4Addr,
}

/// A neighbor on the LAN that is no node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtraHost {
    /// Its name.
    pub name: HostName,
    /// Its MAC, for a DHCP reservation; without it the host has only names.
    pub mac: Option<MacAddr>,
    /// Its address.
    pub address: Ipv4Addr,
}

/// Name service beyond the names that follow from the site itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Resolvers that answer for the rest of the world; none means that other names do not resolve.
    pub forwarders: Vec<Ipv4Addr>,
    /// Further records of the site's own zone.
    pub records: Vec<DnsRecord>,
}

/// One further record of the site's own zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRecord {
    /// Name relative to the zone.
    pub name: HostName,
    /// What it says.
    pub data: DnsData,
}

/// The data of a further record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DnsData {
    /// An address.
    A(Ipv4Addr),
    /// An alias, absolute.
    Cname(DomainName),
    /// Text.
    Txt(String),
}

/// Time service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// Upstream servers, names or addresses.
    pub sources: Vec<String>,
    /// Stratum to claim when no source answers.
    pub orphan_stratum: u8,
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

/// Unlocking of disks by the bastion's Tang service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unlock {
    /// Whom the bastion helps.
    pub policy: UnlockPolicy,
    /// What seals the bastion's own keys at rest.
    pub seal_keys_with: SealKeysWith,
}

/// Whom the bastion helps to unlock disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnlockPolicy {
    /// Only a node that is booting right now, and that is known to depend on the key it asks for.
    BootSession,
    /// Any node of the site.
    KnownNodes,
    /// Anyone on the LAN: plain Tang.
    Anyone,
}

/// What seals the bastion's own keys at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SealKeysWith {
    /// The bastion's TPM 2.0.
    Tpm2,
    /// A passphrase that is asked for when the daemon starts.
    Passphrase,
    /// Nothing: who has the bastion's disk has the keys.
    Nothing,
}

/// Whether install content is reachable only while a node is armed, or always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentPolicy {
    /// Only while a node is to be installed.
    WhileArmed,
    /// Always.
    Always,
}

/// How the virtual IPs are served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Balancer {
    /// What decides which node an ingress client gets.
    pub ingress_affinity: IngressAffinity,
    /// Certificates in PEM of who may sign those of the API's servers; by default the authority of our own cluster, and
    /// of other clusters anybody.
    pub api_ca: Option<String>,
}

/// What decides which node an ingress client gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IngressAffinity {
    /// Chance.
    None,
    /// Its address: it stays with its node as long as that is well.
    Source,
}

/// Which services of the bastion run. All of them, unless the site file switches one off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one switch for each service, as in the site file"
)]
pub struct Services {
    /// Addresses and boot options.
    pub dhcp: bool,
    /// Names.
    pub dns: bool,
    /// Loaders, kernels and images, by TFTP and HTTP, and the boot scripts.
    pub netboot: bool,
    /// Ignition configs.
    pub ignition: bool,
    /// Unlocking of disks.
    pub unlock: bool,
    /// Time.
    pub ntp: bool,
    /// The way in and out: forwarding, firewall, published ports.
    pub router: bool,
    /// Virtual IPs, and who of the nodes answers behind them. Runs only where the router does.
    pub balancer: bool,
}

impl Site {
    /// Whether a service of the bastion runs.
    pub const fn runs(&self, service: crate::plan::Service) -> bool {
        match service {
            crate::plan::Service::Dhcp => self.services.dhcp,
            crate::plan::Service::Dns => self.services.dns,
            crate::plan::Service::Netboot => self.services.netboot,
            crate::plan::Service::Ignition => self.services.ignition,
            crate::plan::Service::Unlock => self.services.unlock,
            crate::plan::Service::Ntp => self.services.ntp,
            crate::plan::Service::Router => self.services.router,
            crate::plan::Service::Balancer => self.services.balancer,
            // It follows from there being a cluster to be installed.
            crate::plan::Service::Registry => {
                matches!(self.cluster.distribution, Distribution::Kubeadm)
            }
        }
    }
}
