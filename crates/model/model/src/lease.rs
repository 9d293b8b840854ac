//! DHCP leases, as they are kept on disk.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::MacAddr;

/// What the bastion remembers of one address that it gave out. One row per address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The client's hardware address.
    pub mac: MacAddr,
    /// The client identifier (option 61) as sent, if it was sent.
    pub client_id: Option<Vec<u8>>,
    /// The host name the client gave itself (option 12), cleaned.
    pub hostname: Option<String>,
    /// Whether it stands.
    pub state: LeaseState,
    /// When it was last given.
    pub since: jiff::Timestamp,
    /// When it ends.
    pub until: jiff::Timestamp,
}

/// Whether a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeaseState {
    /// Acknowledged to the client, until its end.
    Active,
    /// Given back by the client; remembered, so that the client gets it again if it returns.
    Released,
    /// Found in use by someone else (DHCPDECLINE or probe); not given to anyone until its end.
    Declined,
}
