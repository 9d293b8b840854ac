//! The sockets on the LAN's interface.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4, UdpSocket},
    time::Duration,
};

use faros_model::ports::{DHCP_CLIENT, DHCP_SERVER};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{link::LanLink, packet::PacketSocket, service::BindError};

/// How long to wait before the next look, if the runtime cannot watch the socket.
const UNWATCHED: Duration = Duration::from_millis(100);

pub(super) struct Sockets {
    pub(super) link: LanLink,
    /// Never waits. The runtime watches it only while it is [waited for](Self::came).
    pub(super) udp: UdpSocket,
    /// Hears what other servers answer; none where a client of the bastion itself has the port.
    pub(super) client: Option<tokio::net::UdpSocket>,
    pub(super) raw: PacketSocket,
}

impl Sockets {
    /// Waits until there is something to read; or until `look`, if it is said when to look.
    ///
    /// Who looks by the clock is not woken by each packet, as a driver of the kernel is not by each interrupt.
    pub(super) async fn came(&self, look: Option<Instant>) {
        if let Some(look) = look {
            return sleep_until(look).await;
        }
        let watched = self.udp.try_clone().and_then(tokio::net::UdpSocket::from_std);
        let came = async { watched?.readable().await };
        if came.await.is_err() {
            sleep(UNWATCHED).await;
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
