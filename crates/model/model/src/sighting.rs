//! What a service saw, before anyone has said which node and boot session it belongs to.

use std::net::Ipv4Addr;

use crate::{event::EventKind, ids::MacAddr};

/// One thing that a service of the bastion saw or did. The boot tracker turns it into events.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// When.
    pub at: jiff::Timestamp,
    /// The machine's MAC, where the service knows it.
    pub mac: Option<MacAddr>,
    /// The machine's address, where the service knows it.
    pub address: Option<Ipv4Addr>,
    /// What.
    pub kind: EventKind,
    /// Facts about it, as [`EventKind`] describes.
    pub detail: serde_json::Map<String, serde_json::Value>,
}
