//! Answers as bytes, and where they go.

use std::net::Ipv4Addr;

use faros_model::ids::MacAddr;

use crate::message::{FIXED, Message, MessageType, opt};

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

/// An answer in the making. Options are added in the order of their weight: those that do not fit what
/// the client can take are left out from the end.
pub(crate) struct Reply<'a> {
    to: &'a Message,
    kind: MessageType,
    yiaddr: Ipv4Addr,
    siaddr: Ipv4Addr,
    file: Option<String>,
    options: Vec<(u8, Vec<u8>)>,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(to: &'a Message, kind: MessageType, server: Ipv4Addr, yiaddr: Ipv4Addr) -> Self {
        let options = vec![(opt::SERVER_ID, server.octets().to_vec())];
        Self {
            to,
            kind,
            yiaddr,
            siaddr: Ipv4Addr::UNSPECIFIED,
            file: None,
            options,
        }
    }

    pub(crate) fn option(&mut self, code: u8, value: impl Into<Vec<u8>>) {
        self.options.push((code, value.into()));
    }

    pub(crate) fn boot(&mut self, server: Ipv4Addr, file: &str) {
        self.siaddr = server;
        self.file = Some(file.to_owned());
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let to = self.to;
        let nak = self.kind == MessageType::Nak;
        let mut bytes = vec![0; FIXED];
        bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&to.xid.to_be_bytes());
        // RFC 2131 section 4.3.2: behind a relay, a refusal must be broadcast, or the client misses it.
        let flag = to.broadcast || (nak && !to.giaddr.is_unspecified());
        bytes[10] = if flag { 0x80 } else { 0 };
        if !nak {
            bytes[12..16].copy_from_slice(&to.ciaddr.octets());
        }
        bytes[16..20].copy_from_slice(&self.yiaddr.octets());
        bytes[20..24].copy_from_slice(&self.siaddr.octets());
        bytes[24..28].copy_from_slice(&to.giaddr.octets());
        bytes[28..34].copy_from_slice(&to.mac.0);
        if let Some(file) = self.file.as_deref().filter(|file| file.len() < 128) {
            bytes[108..108 + file.len()].copy_from_slice(file.as_bytes());
        }
        bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);

        let asked = match to.options.get(&opt::MAX_SIZE).map(Vec::as_slice) {
            Some([hi, lo]) => usize::from(u16::from_be_bytes([*hi, *lo])),
            _ => SMALLEST_MAXIMUM,
        };
        // The client counts the IP and UDP headers in.
        let room = asked.clamp(SMALLEST_MAXIMUM, 1500) - 28;
        // What must be there whatever the size: the client's identifier (RFC 6842), its UUID if it is PXE
        // firmware (RFC 4578 section 2.3), and the relay's own option, which comes last (RFC 3046 section 2.2).
        let mut tail = Vec::new();
        for code in [opt::CLIENT_ID, opt::CLIENT_UUID, opt::RELAY] {
            if let Some(value) = to.options.get(&code) {
                write_option(&mut tail, code, value);
            }
        }
        bytes.extend([opt::MESSAGE_TYPE, 1, self.kind as u8]);
        for (code, value) in &self.options {
            let mut option = Vec::new();
            write_option(&mut option, *code, value);
            if bytes.len() + option.len() + tail.len() < room {
                bytes.extend(option);
            }
        }
        bytes.extend(tail);
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

/// An option, in as many pieces as its length needs (RFC 3396).
fn write_option(into: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        into.extend([code, 0]);
    }
    for piece in value.chunks(255) {
        #[expect(clippy::cast_possible_truncation, reason = "a piece has at most 255 bytes")]
        into.extend([code, piece.len() as u8]);
        into.extend_from_slice(piece);
    }
}
