//! The kernel's table of connections: who is connected with which server, and an end to those that wait in vain.
//!
//! When a server's machine dies, its clients would wait until they give up by themselves. Their entries are
//! deleted, so that what they send next is answered by a reset (the firewall's rules do that). A client that only
//! listens sends nothing: it is prodded with a segment that no connection can contain, to which it has to answer
//! with what it expects next (RFC 9293 section 3.10.7.4); and that answer is reset.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd as _, OwnedFd},
};

use faros_model::site::Transport;
use nix::sys::{
    socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, bind, recv, sendto,
        setsockopt, socket, sockopt::RcvBuf,
    },
    time::{TimeVal, TimeValLike as _},
};

use crate::netfilter;

/// `NFNL_SUBSYS_CTNETLINK`, in a message's type.
const CONNTRACK: u16 = 1 << 8;
/// `IPCTNL_MSG_CT_GET`.
const GET: u16 = 1;
/// `IPCTNL_MSG_CT_DELETE`.
const DELETE: u16 = 2;
/// `AF_INET`.
const INET: u8 = 2;
/// `IPS_DST_NAT`: somebody led it to another address than it asked for.
const LED: u32 = 1 << 5;
/// `TCP_CONNTRACK_ESTABLISHED`.
const ESTABLISHED: u8 = 3;

/// A connection that was led to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its protocol.
    pub transport: Transport,
    /// Who asked.
    pub client: SocketAddrV4,
    /// What it asked for.
    pub asked: SocketAddrV4,
    /// Who answers.
    pub server: SocketAddrV4,
    /// Whether it is open in both directions.
    pub is_established: bool,
    /// What the kernel knows it by.
    key: Vec<u8>,
}

/// All connections that were led to a server. Takes milliseconds for some thousands.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn connections() -> io::Result<Vec<Connection>> {
    let ask = open()?;
    // `NLM_F_REQUEST | NLM_F_DUMP`
    netfilter::send(&ask, CONNTRACK | GET, 0x301, INET, &[])?;
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = recv(ask.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, after)) = message(rest) {
            rest = after;
            match kind {
                // `NLMSG_DONE`
                3 => return Ok(found),
                2 => refusal(body)?,
                _ => found.extend(body.get(4..).and_then(connection)),
            }
        }
    }
}

/// Has the kernel forget these; how many it knew.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn forget(connections: &[Connection]) -> io::Result<usize> {
    let ask = open()?;
    let mut known = 0;
    let mut buffer = [0; 4096];
    for own in connections {
        // `NLM_F_REQUEST | NLM_F_ACK`
        netfilter::send(&ask, CONNTRACK | DELETE, 5, INET, &own.key)?;
        let length = recv(ask.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        // One that has ended by itself meanwhile is no failure.
        let told = buffer.get(..length).and_then(message);
        known += usize::from(told.is_some_and(|(kind, body, _)| kind == 2 && refusal(body).is_ok()));
    }
    Ok(known)
}

/// Has the clients of these connections say where they are, in the name of whom they asked.
///
/// # Errors
/// If the kernel gives no raw socket.
pub fn prod(connections: &[Connection]) -> io::Result<()> {
    for own in connections.iter().filter(|own| own.transport == Transport::Tcp) {
        let raw = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Tcp,
        )?;
        bind(
            raw.as_raw_fd(),
            &SockaddrIn::from(SocketAddrV4::new(*own.asked.ip(), 0)),
        )?;
        // Two that are half of all numbers apart: one of them at least is out of the window, wherever that is.
        for sequence in [0, 1 << 31] {
            let to = SockaddrIn::from(SocketAddrV4::new(*own.client.ip(), 0));
            let segment = segment(own.asked, own.client, sequence);
            // Who cannot be reached need not be told.
            let _ = sendto(raw.as_raw_fd(), &segment, &to, MsgFlags::empty());
        }
    }
    Ok(())
}

/// An acknowledgement without data (RFC 9293 section 3.1).
fn segment(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> [u8; 20] {
    let mut tcp = [0; 20];
    tcp[..2].copy_from_slice(&from.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[12] = 5 << 4;
    tcp[13] = 0x10;
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    let words = [&addresses[..], &[0, 6, 0, 20], &tcp].concat();
    let sum: u32 = words
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !(sum + (sum >> 16));
    tcp[16..18].copy_from_slice(&sum.to_be_bytes()[2..]);
    tcp
}

fn open() -> io::Result<OwnedFd> {
    let ask = netfilter::open(TimeVal::seconds(2))?;
    setsockopt(&ask, RcvBuf, &(1 << 20))?;
    Ok(ask)
}

/// The first message: its type, its body, and what is behind it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(16..length)?;
    let after = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, after))
}

/// `NLMSG_ERROR` with a number that is not zero.
fn refusal(body: &[u8]) -> io::Result<()> {
    let number = body.get(..4).and_then(|own| own.try_into().ok());
    match number.map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(number) => Err(io::Error::from_raw_os_error(-number)),
        None => Err(io::Error::other("the kernel says nothing of connections")),
    }
}

/// Attributes: length and type, what they hold, and room up to a multiple of four.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(rest.get(..2)?.try_into().ok()?));
        // The upper two bits say how to read it, and not what it is.
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes)
        .find(|(kind, _)| *kind == wanted)
        .map(|(_, value)| value)
}

/// `CTA_TUPLE_*`: source, destination, and the protocol's number.
fn tuple(bytes: &[u8]) -> Option<(u8, SocketAddrV4, SocketAddrV4)> {
    let (ip, transport) = (attribute(bytes, 1)?, attribute(bytes, 2)?);
    let address = |kind| Some(Ipv4Addr::from(<[u8; 4]>::try_from(attribute(ip, kind)?).ok()?));
    let port = |kind| Some(u16::from_be_bytes(attribute(transport, kind)?.try_into().ok()?));
    let number = *attribute(transport, 1)?.first()?;
    Some((
        number,
        SocketAddrV4::new(address(1)?, port(2)?),
        SocketAddrV4::new(address(2)?, port(3)?),
    ))
}

fn connection(bytes: &[u8]) -> Option<Connection> {
    let status = u32::from_be_bytes(attribute(bytes, 3)?.try_into().ok()?);
    if status & LED == 0 {
        return None;
    }
    let original = attribute(bytes, 1)?;
    let (number, client, asked) = tuple(original)?;
    let (_, server, _) = tuple(attribute(bytes, 2)?)?;
    let transport = match number {
        6 => Transport::Tcp,
        17 => Transport::Udp,
        _ => return None,
    };
    // `CTA_PROTOINFO`, in it `CTA_PROTOINFO_TCP`, in it `CTA_PROTOINFO_TCP_STATE`; `IPS_ASSURED` of who has none.
    let state = attribute(bytes, 4).and_then(|own| attribute(attribute(own, 1)?, 1)?.first().copied());
    let mut key = Vec::new();
    for (kind, value) in [(1_u16 | 0x8000, original), (12, attribute(bytes, 12)?)] {
        let length = u16::try_from(4 + value.len()).ok()?;
        key.extend(length.to_ne_bytes());
        key.extend(kind.to_ne_bytes());
        key.extend(value);
        key.resize(key.len().next_multiple_of(4), 0);
    }
    Some(Connection {
        transport,
        client,
        asked,
        server,
        is_established: state.map_or(status & 4 != 0, |state| state == ESTABLISHED),
        key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_connection_is_none() {
        assert_eq!(connection(&[]), None);
        assert_eq!(connection(&[0; 64]), None);
        assert_eq!(connection(&[255; 64]), None);
        assert!(message(&[0; 8]).is_none());
    }

    #[test]
    fn a_segment_adds_up() {
        let (from, to) = (
            SocketAddrV4::new(Ipv4Addr::new(192, 168, 8, 2), 6443),
            SocketAddrV4::new(Ipv4Addr::new(192, 168, 8, 99), 40000),
        );
        let tcp = segment(from, to, 1 << 31);
        let addresses = [from.ip().octets(), to.ip().octets()].concat();
        let words = [&addresses[..], &[0, 6, 0, 20], &tcp].concat();
        let sum = words.chunks_exact(2).fold(0_u32, |sum, pair| {
            let sum = sum + u32::from(u16::from_be_bytes([pair[0], pair[1]]));
            (sum & 0xffff) + (sum >> 16)
        });
        assert_eq!(sum, 0xffff);
    }
}
