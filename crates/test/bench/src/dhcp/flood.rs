//! Clients that come at a rate by a relay, as `perfdhcp` has them come, for a small part of its CPU time: two cores are
//! for the server as well.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher as _,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use faros_bench::load::enter;
use faros_model::ports::DHCP_SERVER;
use rustix::{
    event::{PollFd, PollFlags, poll},
    net::sockopt::set_socket_recv_buffer_size_force,
};

use super::message::{CHADDR, COOKIE, GIADDR, OPTIONS, XID, YIADDR, option};

/// How many there are. They come in the same order each time, and who comes again has the same address.
pub(super) const CLIENTS: u32 = 500;
/// How long an acknowledgement is waited for from when a client came.
const PATIENCE: Duration = Duration::from_secs(1);
/// Room for answers that were not read yet: what is lost is to be lost by the server.
const ROOM: usize = 8 << 20;
/// So many come at once at most, before answers are read again: two of each.
const MOST_AT_ONCE: u32 = 32;
/// The share of those that come that may be lost.
const LOST: f64 = 0.01;
/// The share of the rate at which they must be finished while they come: a queue that grows is no rate that goes well.
const IN_TIME: f64 = 0.95;
/// How long they come before it counts: by then the server has settled down to the rate.
const LEAD: Duration = Duration::from_millis(500);

/// What of an exchange has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Nothing,
    Offer,
    Acknowledgement,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Came {
    /// How many were to come.
    due: u32,
    /// How many were acknowledged an address within a second of their coming.
    pub(crate) finished: u32,
    /// How many came a second, and were finished while they came.
    asked: f64,
    pub(crate) rate: f64,
}

impl Came {
    /// Whether the server can go on like that.
    pub(crate) fn went_well(self) -> bool {
        f64::from(self.finished) >= (1.0 - LOST) * f64::from(self.due) && self.rate >= IN_TIME * self.asked
    }
}

/// What comes of it when clients come to `server` for `lasts`, after a [`LEAD`] in which they come as well.
pub(super) fn flood(client: &str, server: Ipv4Addr, rate: f64, lasts: Duration) -> anyhow::Result<Came> {
    enter(client, move || Relay::new(server)?.put_on(rate, lasts))
}

/// Whom they all come by.
struct Relay {
    socket: UdpSocket,
    own: Ipv4Addr,
    /// Where it passes on what they say.
    to: SocketAddrV4,
    /// The `xid` of the first exchange.
    first: u32,
    /// When each began, and what came of it.
    exchanges: Vec<(Instant, Has)>,
    finished: u32,
}

impl Relay {
    fn new(server: Ipv4Addr) -> anyhow::Result<Self> {
        let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        probe.connect((server, DHCP_SERVER))?;
        let IpAddr::V4(own) = probe.local_addr()?.ip() else {
            bail!("{server} is not reached by IPv4");
        };
        let socket = UdpSocket::bind((own, DHCP_SERVER)).context("cannot be a relay")?;
        socket.set_broadcast(true)?;
        socket.set_nonblocking(true)?;
        set_socket_recv_buffer_size_force(&socket, ROOM)?;
        let random = RandomState::new().hash_one(0_u32);
        Ok(Self {
            socket,
            own,
            to: SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_SERVER),
            first: u32::try_from(random >> 32)?,
            exchanges: Vec::new(),
            finished: 0,
        })
    }

    fn put_on(mut self, asked: f64, lasts: Duration) -> anyhow::Result<Came> {
        let begun = Instant::now();
        let (ends, mut before) = (LEAD + lasts, None);
        while begun.elapsed() < ends {
            if before.is_none() && begun.elapsed() >= LEAD {
                before = Some((self.finished, begun.elapsed()));
            }
            let due = count(begun.elapsed().as_secs_f64() * asked);
            for _ in 0..due.saturating_sub(self.n_begun()?).min(MOST_AT_ONCE) {
                self.begin()?;
            }
            if !self.take()? && due <= self.n_begun()? {
                let next = Duration::from_secs_f64(f64::from(self.n_begun()? + 1) / asked);
                self.wait(next.min(ends).saturating_sub(begun.elapsed()))?;
            }
        }
        let (before, since) = before.unwrap_or_default();
        let rate = f64::from(self.finished - before) / begun.elapsed().saturating_sub(since).as_secs_f64();
        while self.finished < self.n_begun()? && begun.elapsed() < ends + PATIENCE {
            if !self.take()? {
                self.wait((ends + PATIENCE).saturating_sub(begun.elapsed()))?;
            }
        }
        Ok(Came {
            // Those that did not even begin are lost as well.
            due: count(ends.as_secs_f64() * asked).max(self.n_begun()?),
            finished: self.finished,
            asked,
            rate,
        })
    }

    fn n_begun(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.exchanges.len())?)
    }

    /// One more looks for a server.
    fn begin(&mut self) -> anyhow::Result<()> {
        let message = self.message(self.first.wrapping_add(self.n_begun()?), 1, &[]);
        self.exchanges.push((Instant::now(), Has::Nothing));
        self.send(&message)
    }

    /// Reads answers, and asks for what was offered; whether there were any.
    fn take(&mut self) -> anyhow::Result<bool> {
        let mut buffer = [0; 2048];
        for n in 0..2 * MOST_AT_ONCE {
            match self.socket.recv(&mut buffer) {
                Ok(length) => self.read(&buffer[..length])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(n > 0),
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
        Ok(true)
    }

    fn read(&mut self, answer: &[u8]) -> anyhow::Result<()> {
        let Some(xid) = answer.get(XID..).and_then(|rest| rest.first_chunk()) else {
            return Ok(());
        };
        let xid = u32::from_be_bytes(*xid);
        let n = usize::try_from(xid.wrapping_sub(self.first))?;
        let Some((begun, has)) = self.exchanges.get_mut(n) else {
            return Ok(());
        };
        match (*has, option(answer, 53)) {
            (Has::Nothing, Some([2])) => {
                let server = option(answer, 54).context("an offer does not say whose it is")?;
                let more = [&[50, 4], &answer[YIADDR..YIADDR + 4], &[54, 4], server].concat();
                *has = Has::Offer;
                let message = self.message(xid, 3, &more);
                self.send(&message)
            }
            (Has::Offer, Some([5])) => {
                *has = Has::Acknowledgement;
                self.finished += u32::from(begun.elapsed() < PATIENCE);
                Ok(())
            }
            // What was refused, or comes too late: not finished.
            _ => Ok(()),
        }
    }

    fn message(&self, xid: u32, kind: u8, more: &[u8]) -> Vec<u8> {
        let mut message = vec![0; OPTIONS];
        // A request by Ethernet, that one relay passed on.
        message[..4].copy_from_slice(&[1, 1, 6, 1]);
        message[XID..XID + 4].copy_from_slice(&xid.to_be_bytes());
        message[GIADDR..GIADDR + 4].copy_from_slice(&self.own.octets());
        // Of those that `perfdhcp` has, who keep their addresses.
        let [a, b, c, d] = (0x0102_0304 + xid.wrapping_sub(self.first) % CLIENTS).to_be_bytes();
        let mac = [0x00, 0x0c, a, b, c, d];
        message[CHADDR..CHADDR + 6].copy_from_slice(&mac);
        message[COOKIE..].copy_from_slice(&[99, 130, 83, 99]);
        message.extend([53, 1, kind, 61, 7, 1]);
        message.extend(mac);
        message.extend_from_slice(more);
        // What `perfdhcp` wants to know as well.
        message.extend([55, 7, 1, 28, 2, 3, 15, 6, 12, 255]);
        message.resize(message.len().max(300), 0);
        message
    }

    fn send(&self, message: &[u8]) -> anyhow::Result<()> {
        match self.socket.send_to(message, self.to) {
            // Lost, as the network may.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error).context("cannot send"),
            _ => Ok(()),
        }
    }

    /// Until there is an answer, or for as long as that.
    fn wait(&self, at_most: Duration) -> anyhow::Result<()> {
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut sockets, Some(&at_most.try_into()?))?;
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "how many come in some seconds"
)]
fn count(of: f64) -> u32 {
    of as u32
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn answer(to: &[u8], kind: u8) -> Vec<u8> {
        let mut answer = to[..OPTIONS].to_vec();
        answer[0] = 2;
        answer[YIADDR..YIADDR + 4].copy_from_slice(&[10, 9, 128, 7]);
        answer.extend([53, 1, kind, 54, 4, 10, 9, 0, 1, 255]);
        answer
    }

    #[test]
    fn who_is_offered_an_address_asks_for_it_and_is_done_when_it_is_acknowledged() -> anyhow::Result<()> {
        let server = UdpSocket::bind("127.0.0.1:0")?;
        server.set_read_timeout(Some(Duration::from_secs(5)))?;
        let SocketAddr::V4(to) = server.local_addr()? else {
            bail!("not by IPv4");
        };
        let mut relay = Relay {
            socket: UdpSocket::bind("127.0.0.1:0")?,
            own: Ipv4Addr::LOCALHOST,
            to,
            first: u32::MAX,
            exchanges: vec![],
            finished: 0,
        };
        let asked = || -> anyhow::Result<Vec<u8>> {
            let mut buffer = [0; 2048];
            let length = server.recv(&mut buffer)?;
            Ok(buffer[..length].to_vec())
        };
        relay.begin()?;
        relay.begin()?;
        let (one, other) = (asked()?, asked()?);
        assert_eq!(option(&one, 53), Some([1].as_slice()));
        assert_ne!(one[CHADDR..CHADDR + 6], other[CHADDR..CHADDR + 6]);
        // An acknowledgement of nothing does not count.
        relay.read(&answer(&one, 5))?;
        relay.read(&answer(&one, 2))?;
        relay.read(&answer(&other, 2))?;
        let (one, other) = (asked()?, asked()?);
        assert_eq!(option(&one, 53), Some([3].as_slice()));
        assert_eq!(option(&one, 50), Some([10, 9, 128, 7].as_slice()));
        assert_eq!(option(&one, 54), Some([10, 9, 0, 1].as_slice()));
        assert_eq!(relay.finished, 0);
        relay.read(&answer(&one, 5))?;
        relay.read(&answer(&one, 5))?;
        relay.read(&answer(&other, 6))?;
        assert_eq!(relay.finished, 1);
        Ok(())
    }

    #[test]
    fn a_queue_that_grows_does_not_go_well() {
        let came = |finished, rate| Came {
            due: 1000,
            finished,
            asked: 500.0,
            rate,
        };
        assert!(came(995, 480.0).went_well());
        assert!(!came(980, 480.0).went_well());
        assert!(!came(1000, 350.0).went_well());
    }
}
