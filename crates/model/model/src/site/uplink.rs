//! The bastion's side towards the outside: its interface and address, and what is reachable through it.
//!
//! What is published has its callers with it: the check has put the trusted networks where an entry names none, so
//! that nobody looks them up again.

use std::net::{Ipv4Addr, SocketAddrV4};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{HostName, MacAddr},
    net::Subnet,
};

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
