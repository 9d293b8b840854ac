//! The sockets on the LAN's interface.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
};

use faros_model::ports::{DHCP_CLIENT, DHCP_SERVER};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::{link::LanLink, packet::PacketSocket, service::BindError};

pub(super) struct Sockets {
    pub(super) link: LanLink,
    pub(super) udp: UdpSocket,
    /// Hears what other servers answer; none where a client of the bastion itself has the port.
    pub(super) client: Option<UdpSocket>,
    pub(super) raw: PacketSocket,
}

pub(super) fn open(link: &LanLink) -> Result<Sockets, BindError> {
    let udp = bound(link, DHCP_SERVER).map_err(|source| BindError {
        protocol: "udp",
        address: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_SERVER),
        source,
    })?;
    let raw = PacketSocket::sender(&link.name).map_err(|source| BindError {
        protocol: "packet",
        address: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_SERVER),
        source,
    })?;
    // Without it other servers are still heard of from their clients.
    let client = bound(link, DHCP_CLIENT).ok();
    Ok(Sockets {
        link: link.clone(),
        udp,
        client,
        raw,
    })
}

fn bound(link: &LanLink, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.set_broadcast(true)?;
    // Room for a burst: every machine of a site may start at the same moment.
    socket.set_recv_buffer_size(1 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    UdpSocket::from_std(socket.into())
}
