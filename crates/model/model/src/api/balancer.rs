//! Who answers behind the virtual IPs.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::MacAddr;

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
