//! Sockets on the bastion's own address.
//!
//! They are bound to the address with `IP_FREEBIND`, so they can be had before the interface is there, and
//! stay good when it goes and comes back.

use std::{io, net::SocketAddrV4};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

use crate::service::BindError;

/// A UDP socket.
pub(crate) fn udp(address: SocketAddrV4) -> Result<UdpSocket, BindError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_freebind_v4(true)?;
        socket.set_recv_buffer_size(1 << 20)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        UdpSocket::from_std(socket.into())
    };
    open().map_err(|source| BindError {
        protocol: "udp",
        address,
        source,
    })
}

/// A listening TCP socket.
pub(crate) fn tcp(address: SocketAddrV4) -> Result<TcpListener, BindError> {
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_freebind_v4(true)?;
        // Connections that linger from before a restart do not keep the port.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(1024)?;
        TcpListener::from_std(socket.into())
    };
    open().map_err(|source| BindError {
        protocol: "tcp",
        address,
        source,
    })
}
