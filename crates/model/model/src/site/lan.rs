//! The network of the nodes: its addresses, its neighbors that are no nodes, and who may use what of the bastion.

use std::{collections::BTreeMap, net::Ipv4Addr};

use serde::Serialize;

use crate::{
    ids::{HostName, MacAddr},
    net::{Range, Subnet},
};

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
