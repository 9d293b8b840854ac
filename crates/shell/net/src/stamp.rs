//! Datagrams with the time at which the kernel had them, so that waiting for this process is not measured.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddrV4,
    os::fd::AsRawFd as _,
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
            control: nix::cmsg_space!(TimeSpec),
        })
    }

    pub(crate) fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// The next datagram, if there is one.
    pub(crate) fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        let Self { socket, control } = self;
        socket.try_io(Interest::READABLE, || {
            let mut parts = [IoSliceMut::new(buffer)];
            let message = recvmsg::<SockaddrIn>(
                socket.as_raw_fd(),
                &mut parts,
                Some(control),
                MsgFlags::MSG_DONTWAIT,
            )?;
            let from = message.address.ok_or(io::ErrorKind::InvalidData)?;
            let stamp = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(at) => {
                    let nanos = i32::try_from(at.tv_nsec()).ok()?;
                    Timestamp::new(at.tv_sec(), nanos).ok()
                }
                _ => None,
            });
            Ok((message.bytes, SocketAddrV4::new(from.ip(), from.port()), stamp))
        })
    }

    /// The next datagram.
    pub(crate) async fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Datagram> {
        loop {
            self.socket.readable().await?;
            match self.try_recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                done => return done,
            }
        }
    }
}
