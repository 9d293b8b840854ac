//! Datagrams taken and sent many at a time: a system call for each is more than a tenth of what a short answer costs.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{SocketAddrV4, UdpSocket},
    os::fd::AsRawFd as _,
};

use jiff::Timestamp;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, recvmmsg};
use rustix::net::{
    MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, addr::SocketAddrArg as _, sendmmsg,
};

use crate::{listening::Ends, stamp};

/// Most that are taken at a time.
const MOST: usize = 32;
/// Room for one of them; the rest of a longer one is lost.
const ROOM: usize = 2048;

/// Datagrams that came.
pub(crate) struct Incoming {
    headers: MultiHeaders<SockaddrIn>,
    buffers: Vec<[u8; ROOM]>,
    /// What is known of each.
    came: Vec<stamp::Datagram>,
}

impl Incoming {
    /// Room for them.
    pub(crate) fn new() -> Self {
        Self::with(None)
    }

    /// Room for those of a socket that tells when the kernel had them, and does so of each: what the kernel tells of one
    /// is the room that it has for the next.
    pub(crate) fn stamped() -> Self {
        Self::with(Some(stamp::room()))
    }

    fn with(room_beside: Option<Vec<u8>>) -> Self {
        Self {
            headers: MultiHeaders::preallocate(MOST, room_beside),
            buffers: vec![[0; ROOM]; MOST],
            came: Vec::with_capacity(MOST),
        }
    }

    /// Waits for a datagram, and takes with it what else is there; nothing if it was woken because it ends.
    pub(crate) fn wait(&mut self, socket: &UdpSocket, ends: Ends<'_>) -> io::Result<()> {
        self.came.clear();
        let mut rooms: Vec<[IoSliceMut<'_>; 1]> = self
            .buffers
            .iter_mut()
            .map(|buffer| [IoSliceMut::new(buffer)])
            .collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let taken = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            rooms.iter_mut(),
            flags,
            None,
        )?;
        // What a socket that is shut down gives is from nobody.
        if ends.now() {
            return Ok(());
        }
        self.came.extend(taken.filter_map(|datagram| {
            let from = datagram.address?;
            let at = datagram.cmsgs().ok().and_then(stamp::of);
            Some((datagram.bytes, SocketAddrV4::new(from.ip(), from.port()), at))
        }));
        Ok(())
    }

    /// All that came, from whom, and when the kernel had it, if it tells.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddrV4, Option<Timestamp>)> {
        let all = self.buffers.iter().zip(&self.came);
        all.map(|(buffer, (length, from, at))| (&buffer[..*length], *from, *at))
    }
}

/// Datagrams that are to be sent.
pub(crate) struct Outgoing {
    /// Those that are kept, and room for the next ones.
    bytes: Vec<Vec<u8>>,
    /// Where those go that are kept.
    to: Vec<SocketAddrAny>,
}

impl Outgoing {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![Vec::new(); MOST],
            to: Vec::with_capacity(MOST),
        }
    }

    /// Where the next one is written.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        let next = self.to.len();
        if next == self.bytes.len() {
            self.bytes.push(Vec::new());
        }
        &mut self.bytes[next]
    }

    /// Keeps what was written to send it there.
    pub(crate) fn keep(&mut self, to: SocketAddrV4) {
        self.to.push(to.as_any());
    }

    /// How many are kept.
    pub(crate) fn kept(&self) -> usize {
        self.to.len()
    }

    /// Sends all that is kept. A full send queue loses one, as the network may.
    pub(crate) fn send(&mut self, socket: &UdpSocket) {
        let parts: Vec<[IoSlice<'_>; 1]> = self.bytes[..self.to.len()]
            .iter()
            .map(|bytes| [IoSlice::new(bytes)])
            .collect();
        let mut besides: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            parts.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let all = self.to.iter().zip(&parts).zip(&mut besides);
        let mut all: Vec<MMsgHdr<'_>> = all
            .map(|((to, part), beside)| MMsgHdr::new_with_addr(to, part, beside))
            .collect();
        let mut left = all.as_mut_slice();
        while !left.is_empty() {
            // It tells what went wrong only of the first, which is then the one that is lost.
            let n_done = sendmmsg(socket, left, SendFlags::DONTWAIT).unwrap_or(1).max(1);
            left = left.get_mut(n_done..).unwrap_or_default();
        }
        self.to.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, sync::mpsc, time::Duration};

    use super::*;
    use crate::listening::Listening;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn client(of: SocketAddr) -> io::Result<UdpSocket> {
        let client = UdpSocket::bind("127.0.0.1:0")?;
        client.connect(of)?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(client)
    }

    /// Answers what begins with `a`, and nothing else.
    fn server() -> io::Result<(SocketAddr, Listening)> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let at = socket.local_addr()?;
        let listening = Listening::start("test", socket, |socket, ends| {
            let (mut incoming, mut outgoing) = (Incoming::new(), Outgoing::new());
            while !ends.now() && incoming.wait(socket, ends).is_ok() {
                for (bytes, from, _) in incoming.iter() {
                    let room = outgoing.room();
                    room.clear();
                    room.extend_from_slice(bytes);
                    if bytes.first() == Some(&b'a') {
                        outgoing.keep(from);
                    }
                }
                outgoing.send(socket);
            }
        })?;
        Ok((at, listening))
    }

    #[test]
    fn each_of_many_is_answered_to_who_asked() -> Outcome {
        let (at, _listening) = server()?;
        let clients = [client(at)?, client(at)?, client(at)?];
        for n in 0..20_u8 {
            for (idx, client) in (0_u8..).zip(&clients) {
                client.send(&[b'a', idx, n])?;
                client.send(&[b'b', idx, n])?;
            }
        }
        for (idx, client) in (0_u8..).zip(&clients) {
            for n in 0..20_u8 {
                let mut answer = [0; 8];
                let length = client.recv(&mut answer)?;
                assert_eq!(&answer[..length], [b'a', idx, n]);
            }
        }
        Ok(())
    }

    #[test]
    fn one_that_cannot_be_sent_does_not_cost_the_others() -> Outcome {
        let (socket, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        other.set_read_timeout(Some(Duration::from_secs(5)))?;
        let SocketAddr::V4(to) = other.local_addr()? else {
            return Err("an address of IPv4".into());
        };
        let mut outgoing = Outgoing::new();
        for n in 0..40_u8 {
            outgoing.room().push(n);
            // Nobody has port 0.
            let port = if n % 3 == 0 { 0 } else { to.port() };
            outgoing.keep(SocketAddrV4::new(*to.ip(), port));
        }
        outgoing.send(&socket);
        for n in (0..40_u8).filter(|n| n % 3 != 0) {
            let mut answer = [0; 8];
            assert_eq!((other.recv(&mut answer)?, answer[0]), (1, n));
        }
        Ok(())
    }

    #[tokio::test]
    async fn each_of_many_has_its_time_and_goes_on_having_it() -> Outcome {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
        let at = socket.local_addr()?;
        // These came before the kernel was told to note times.
        let (client, mut early) = (client(at)?, 2);
        client.send(b"a")?;
        client.send(b"b")?;
        let (told, begun) = mpsc::channel();
        let socket = crate::stamp::Stamped::new(socket)?.into_std()?;
        let _listening = Listening::start("test", socket, move |socket, ends| {
            let mut incoming = Incoming::stamped();
            while !ends.now() && incoming.wait(socket, ends).is_ok() {
                for (_, _, stamp) in incoming.iter() {
                    let _ = told.send(stamp);
                }
            }
        })?;
        for round in 0..10 {
            for _ in 0..5 {
                client.send(b"c")?;
            }
            for _ in 0..5 + std::mem::take(&mut early) {
                let stamp = begun.recv_timeout(Duration::from_secs(5))?;
                let stamp = stamp.ok_or_else(|| format!("none in round {round}"))?;
                let age = Timestamp::now().duration_since(stamp);
                assert!(age.as_secs() < 5 && !age.is_negative(), "{age:?}");
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn who_waits_ends_when_told_to() -> Outcome {
        let (at, listening) = server()?;
        client(at)?.send(b"b")?;
        listening.end();
        listening.ended().await;
        drop(listening);
        UdpSocket::bind(at)?;
        Ok(())
    }
}
