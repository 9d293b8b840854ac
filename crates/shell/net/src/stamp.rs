//! Datagrams with the time at which the kernel had them, so that waiting for this process is not measured.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddrV4,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use jiff::Timestamp;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt::ReceiveTimestampns,
};
use nix::sys::time::TimeSpec;
use tokio::{io::Interest, net::UdpSocket};

/// Receives datagrams of one socket with their times.
#[derive(Debug)]
pub(crate) struct Stamped {
    socket: UdpSocket,
    control: Vec<u8>,
}

/// A datagram: its length, from whom, and when the kernel had it, if it tells.
pub(crate) type Datagram = (usize, SocketAddrV4, Option<Timestamp>);

impl Stamped {
    /// Has the kernel note the time on this socket from now on.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<Self> {
        setsockopt(&socket, ReceiveTimestampns, &true)?;
        Ok(Self {
            socket,
            control: room(),
        })
    }

    /// The socket by itself; it goes on telling times.
    pub(crate) fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.socket.into_std()
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The next datagram.
    pub(crate) async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let Self { socket, control } = self;
        loop {
            socket.readable().await?;
            let received = socket.try_io(Interest::READABLE, || receive(socket.as_fd(), buffer, control));
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                done => return done,
            }
        }
    }
}

/// Room for what the kernel tells of a datagram.
pub(crate) fn room() -> Vec<u8> {
    nix::cmsg_space!(TimeSpec)
}

/// When the kernel had a datagram, by what it tells beside it.
pub(crate) fn of(mut told: impl Iterator<Item = ControlMessageOwned>) -> Option<Timestamp> {
    told.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(at) => {
            let nanos = i32::try_from(at.tv_nsec()).ok()?;
            Timestamp::new(at.tv_sec(), nanos).ok()
        }
        _ => None,
    })
}

/// The next datagram of a socket that tells times, if there is one.
fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Datagram> {
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut parts, Some(control), flags)?;
    let from = message.address.ok_or(io::ErrorKind::InvalidData)?;
    let stamp = of(message.cmsgs()?);
    Ok((message.bytes, SocketAddrV4::new(from.ip(), from.port()), stamp))
}
