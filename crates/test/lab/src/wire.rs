//! A bad cable: frames are lost and late between two interfaces, by a process that carries them across.
//!
//! The kernels of build machines often lack `netem`, so the cable is two packet sockets and a queue. It
//! drops and delays each direction on its own. The dice have a seed, so the same cable loses the same frames.

use std::{
    collections::VecDeque,
    io::{Write as _, stdout},
    os::fd::{AsFd as _, AsRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrLike as _, bind, recv, send, socket,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

/// How bad a cable is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quality {
    /// Part of the frames that are lost in each direction, 0.0 to 1.0.
    pub loss: f64,
    /// How much later each frame arrives.
    pub delay: Duration,
}

/// Most frames under way in one direction; further ones are lost, as in a real queue.
const QUEUE: usize = 4096;

/// What a cable prints once it listens.
pub const LISTENS: &str = "listens";

/// Carries frames between the interfaces called `a` and `b` for ever, and says when it begins.
pub fn carry(a: &str, b: &str, quality: Quality, seed: u64) -> anyhow::Result<()> {
    let ends = [open(a)?, open(b)?];
    writeln!(stdout(), "{LISTENS}").context("cannot say that it listens")?;
    let mut queues: [VecDeque<(Instant, Vec<u8>)>; 2] = Default::default();
    let mut dice = Dice(seed | 1);
    let mut frame = vec![0; 65_536];
    loop {
        let now = Instant::now();
        for (queue, to) in queues.iter_mut().zip([&ends[1], &ends[0]]) {
            while queue.front().is_some_and(|(due, _)| *due <= now) {
                if let Some((_, bytes)) = queue.pop_front() {
                    // An interface that is down or full loses the frame: so does a cable.
                    let _ = send(to.as_raw_fd(), &bytes, MsgFlags::MSG_DONTWAIT);
                }
            }
        }
        let next = queues
            .iter()
            .filter_map(|queue| queue.front())
            .map(|(due, _)| *due)
            .min();
        let timeout = next.map(|due| {
            let wait = due.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: wait.as_secs().cast_signed(),
                tv_nsec: i64::from(wait.subsec_nanos()),
            }
        });
        let mut polled = [
            PollFd::new(&ends[0], PollFlags::IN),
            PollFd::new(&ends[1], PollFlags::IN),
        ];
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(error) => return Err(error).context("cannot wait for frames"),
        }
        for (end, queue) in ends.iter().zip(&mut queues) {
            while let Ok(length) = recv(end.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT) {
                if queue.len() < QUEUE && !dice.lost(quality.loss) {
                    queue.push_back((Instant::now() + quality.delay, frame[..length].to_vec()));
                }
            }
        }
    }
}

/// A packet socket on one interface, for whole frames.
fn open(interface: &str) -> anyhow::Result<OwnedFd> {
    let addresses = nix::ifaddrs::getifaddrs().context("cannot list the interfaces")?;
    let link = addresses
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| {
            entry
                .address
                .filter(|address| address.family() == Some(AddressFamily::Packet))
        })
        .with_context(|| format!("there is no interface {interface}"))?;
    let fd = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )
    .context("cannot make a packet socket")?;
    bind(fd.as_raw_fd(), &link).with_context(|| format!("cannot bind to {interface}"))?;
    rustix::net::sockopt::set_socket_recv_buffer_size(fd.as_fd(), 4 << 20)
        .context("cannot size the queue")?;
    Ok(fd)
}

/// Xorshift: enough for lost frames, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn lost(&mut self, part: f64) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits are plenty for a part of a whole"
        )]
        let roll = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        roll < part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_loses_the_part_it_should() {
        let mut dice = Dice(7);
        let lost = (0..10_000).filter(|_| dice.lost(0.1)).count();
        assert!((900..1_100).contains(&lost), "{lost} of 10000");
        assert!((0..1_000).all(|_| !dice.lost(0.0)));
        assert!((0..1_000).all(|_| dice.lost(1.0)));
    }
}
