//! The sockets on the LAN's interface.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use faros_model::ports::{DHCP_CLIENT, DHCP_SERVER};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::Instant;

use crate::{link::LanLink, packet::PacketSocket, service::BindError};

/// How long to wait before the next look, if the runtime cannot watch the socket.
const UNWATCHED: Duration = Duration::from_millis(100);

pub(super) struct Sockets {
    pub(super) link: LanLink,
    /// Never waits.
    pub(super) udp: UdpSocket,
    /// The same, where the runtime watches it.
    watched: Option<tokio::net::UdpSocket>,
    /// Hears what other servers answer; none where a client of the bastion itself has the port.
    pub(super) client: Option<tokio::net::UdpSocket>,
    pub(super) raw: PacketSocket,
}

impl Sockets {
    /// Has the runtime watch for packets, unless it is said when to `look`; says when to look.
    ///
    /// Who looks by the clock is not woken by each packet, as a driver of the kernel is not by each interrupt.
    pub(super) fn watch(&mut self, look: Option<Instant>) -> Option<Instant> {
        if look.is_some() {
            self.watched = None;
            return look;
        }
        if self.watched.is_none() {
            let watched = self.udp.try_clone().and_then(tokio::net::UdpSocket::from_std);
            self.watched = watched
                .inspect_err(|error| tracing::debug!(%error, "cannot watch for packets"))
                .ok();
        }
        self.watched.is_none().then(|| Instant::now() + UNWATCHED)
    }

    /// Waits until something came, if it is watched for.
    pub(super) async fn came(&self) {
        match &self.watched {
            Some(watched) if watched.readable().await.is_ok() => (),
            _ => std::future::pending().await,
        }
    }
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
    let client = bound(link, DHCP_CLIENT)
        .and_then(tokio::net::UdpSocket::from_std)
        .ok();
    Ok(Sockets {
        link: link.clone(),
        udp,
        watched: None,
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
    Ok(socket.into())
}
