//! Answers as bytes, and where they go.

use std::net::Ipv4Addr;

use faros_model::ids::MacAddr;

use crate::{
    message::{FIXED, Message, MessageType, opt},
    options::{self, room_for},
};

/// Smallest message: old relays and clients drop shorter ones (RFC 1542 section 2.1).
const SMALLEST: usize = 300;
/// What every client can take (RFC 2131 section 2).
const SMALLEST_MAXIMUM: usize = 576;

/// Where an answer goes (RFC 2131 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To everyone on the LAN, port 68.
    Broadcast,
    /// To a client that has no address yet: the frame goes to its MAC, the packet to the address it gets.
    Unconfigured {
        /// The address it gets.
        address: Ipv4Addr,
        /// Its MAC.
        mac: MacAddr,
    },
    /// To a client at its address, port 68.
    Client(Ipv4Addr),
    /// To a relay, port 67.
    Relay(Ipv4Addr),
}

/// What must be there whatever the size: the client's identifier (RFC 6842), its UUID if it is PXE firmware (RFC 4578
/// section 2.3), and the relay's own option, which comes last (RFC 3046 section 2.2).
const KEPT: [u8; 3] = [opt::CLIENT_ID, opt::CLIENT_UUID, opt::RELAY];

/// An answer in the making. Options are added in the order of their weight: those that do not fit what
/// the client can take are left out.
pub(crate) struct Reply<'a> {
    to: &'a Message,
    kind: MessageType,
    yiaddr: Ipv4Addr,
    bytes: Vec<u8>,
    /// Where options must end, so that there is room for what is kept.
    room: usize,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(to: &'a Message, kind: MessageType, server: Ipv4Addr, yiaddr: Ipv4Addr) -> Self {
        let nak = kind == MessageType::Nak;
        let mut bytes = Vec::with_capacity(SMALLEST_MAXIMUM);
        bytes.resize(FIXED, 0);
        bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&to.xid.to_be_bytes());
        // RFC 2131 section 4.3.2: behind a relay, a refusal must be broadcast, or the client misses it.
        let flag = to.broadcast || (nak && !to.giaddr.is_unspecified());
        bytes[10] = if flag { 0x80 } else { 0 };
        if !nak {
            bytes[12..16].copy_from_slice(&to.ciaddr.octets());
        }
        bytes[16..20].copy_from_slice(&yiaddr.octets());
        bytes[24..28].copy_from_slice(&to.giaddr.octets());
        bytes[28..34].copy_from_slice(&to.mac.0);
        bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
        bytes.extend([opt::MESSAGE_TYPE, 1, kind as u8]);

        let asked = match to.options.get(opt::MAX_SIZE) {
            Some([hi, lo]) => usize::from(u16::from_be_bytes([*hi, *lo])),
            _ => SMALLEST_MAXIMUM,
        };
        // The client counts the IP and UDP headers in.
        let room = asked.clamp(SMALLEST_MAXIMUM, 1500) - 28;
        let kept: usize = KEPT
            .into_iter()
            .filter_map(|code| to.options.get(code))
            .map(room_for)
            .sum();
        let mut reply = Self {
            to,
            kind,
            yiaddr,
            bytes,
            // The last byte says that it is the end.
            room: (room - 1).saturating_sub(kept),
        };
        reply.option(opt::SERVER_ID, &server.octets());
        reply
    }

    /// Adds an option, if there is room for it.
    pub(crate) fn option(&mut self, code: u8, value: &[u8]) {
        if self.bytes.len() + room_for(value) <= self.room {
            options::write(&mut self.bytes, code, value);
        }
    }

    /// Says what to load, and from where.
    pub(crate) fn boot(&mut self, server: Ipv4Addr, file: &str) {
        self.bytes[20..24].copy_from_slice(&server.octets());
        if file.len() < 128 {
            self.bytes[108..108 + file.len()].copy_from_slice(file.as_bytes());
        }
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = self.bytes;
        for code in KEPT {
            if let Some(value) = self.to.options.get(code) {
                options::write(&mut bytes, code, value);
            }
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(SMALLEST), 0);
        bytes
    }

    /// Where it goes.
    pub(crate) fn destination(&self) -> Destination {
        let to = self.to;
        if !to.giaddr.is_unspecified() {
            Destination::Relay(to.giaddr)
        } else if self.kind == MessageType::Nak {
            Destination::Broadcast
        } else if !to.ciaddr.is_unspecified() {
            Destination::Client(to.ciaddr)
        } else if to.broadcast {
            Destination::Broadcast
        } else {
            Destination::Unconfigured {
                address: self.yiaddr,
                mac: to.mac,
            }
        }
    }
}
