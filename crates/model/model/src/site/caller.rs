//! Whether whoever asks is the node it asks as: the same for all that is given to a node alone.

use std::net::Ipv4Addr;

use super::Node;
use crate::ids::MacAddr;

/// Somebody asks as a node.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The node.
    pub node: &'a Node,
    /// Where the request came from.
    pub from: Ipv4Addr,
    /// The MAC behind that address, where the kernel knows it.
    pub mac: Option<MacAddr>,
    /// Whether the node's boot session was closed because somebody else may be using its name.
    pub is_closed: bool,
}

/// Why a caller is not taken for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// It has not the node's address.
    WrongAddress,
    /// The address is the node's, and the MAC is another's or unknown.
    WrongMac,
    /// The machine may not be the one it says it is.
    IdentityConflict,
}

impl Caller<'_> {
    /// Whether it is the node.
    ///
    /// # Errors
    /// Why it is not taken for it.
    pub fn identified(&self) -> Result<(), Stranger> {
        if self.node.address != self.from {
            Err(Stranger::WrongAddress)
        } else if !self.node.has_mac(self.mac) {
            Err(Stranger::WrongMac)
        } else if self.is_closed {
            Err(Stranger::IdentityConflict)
        } else {
            Ok(())
        }
    }
}

impl Stranger {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::WrongAddress, Self::WrongMac, Self::IdentityConflict];

    /// The stable word, in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongAddress => "wrong-address",
            Self::WrongMac => "wrong-mac",
            Self::IdentityConflict => "identity-conflict",
        }
    }

    /// What it means, as a sentence without its full stop.
    pub const fn message(self) -> &'static str {
        match self {
            Self::WrongAddress => "another machine asked for it",
            Self::WrongMac => "the address is the node's, and the MAC is another's or unknown",
            Self::IdentityConflict => "the machine may not be the one it says it is",
        }
    }
}
