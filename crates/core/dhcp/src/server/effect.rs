//! What the server wants done, and the names of its silences.

use std::net::Ipv4Addr;

use faros_model::{lease::Lease, sighting::Sighting};

use crate::reply::Destination;

/// Something asked of the driver, whose outcome it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// Where to.
        to: Destination,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Put a lease on disk, then call [`Server::on_committed`](super::Server::on_committed).
    Commit {
        /// Names the outcome.
        ticket: Ticket,
        /// The lease.
        lease: Lease,
    },
    /// Find out whether anyone uses an address, then call [`Server::on_probed`](super::Server::on_probed).
    Probe {
        /// Names the outcome.
        ticket: Ticket,
        /// The address.
        address: Ipv4Addr,
    },
    /// Tell what was seen.
    Saw(Sighting),
    /// Nothing is answered, for this reason.
    Ignore(Ignored),
}

/// Why a message gets no answer. A closed set, so that each has its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is no DHCP message, or a broken one.
    Malformed,
    /// The site file says to ignore the machine.
    IgnoredMac,
    /// The hardware address names no machine.
    BadMac,
    /// It came through a relay of another network.
    ForeignRelay,
    /// It is for another server.
    OtherServer,
    /// It is from a server.
    FromServer,
    /// The client asks for an address of which there is no record (RFC 2131 section 4.3.2).
    NoRecord,
    /// The address that the site file gives the machine is in use by another.
    InUse,
    /// The address it will get is being probed; the offer follows by itself.
    Probing,
    /// No dynamic address is left.
    PoolEmpty,
    /// Too many clients at once.
    Overload,
    /// The lease could not be put on disk.
    NotStored,
    /// The client is answered by not answering: DECLINE and RELEASE.
    Noted,
}

impl Ignored {
    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "dhcp_malformed",
            Self::IgnoredMac => "dhcp_ignored_mac",
            Self::BadMac => "dhcp_bad_mac",
            Self::ForeignRelay => "dhcp_foreign_relay",
            Self::OtherServer => "dhcp_other_server",
            Self::FromServer => "dhcp_from_server",
            Self::NoRecord => "dhcp_no_record",
            Self::InUse => "dhcp_address_in_use",
            Self::Probing => "dhcp_probing",
            Self::PoolEmpty => "dhcp_pool_empty",
            Self::Overload => "dhcp_overload",
            Self::NotStored => "dhcp_not_stored",
            Self::Noted => "dhcp_noted",
        }
    }
}
