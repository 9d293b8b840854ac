//! Answers clients, on a thread of its own.
//!
//! A packet costs what the kernel takes to wake somebody up and to carry an answer, and little else. So nobody asks
//! first whether there is a packet: the thread sleeps in the very call that takes it.

use std::{
    io,
    net::UdpSocket,
    os::fd::AsFd as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use faros_ntp::{Clock, Outcome, Server, Tables};
use rustix::net::{SendFlags, Shutdown, sendto, shutdown};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{HostClock, received};
use crate::{service::Health, stamp};

/// What is needed of memory is small.
const STACK: usize = 256 << 10;
/// How long to rest when the socket is broken, which is said of none that is bound.
const REST: Duration = Duration::from_millis(50);

/// The thread, for as long as this lives.
#[derive(Debug)]
pub(super) struct Answering {
    socket: Arc<UdpSocket>,
    ends: Arc<AtomicBool>,
    ended: CancellationToken,
}

/// What clients are answered by.
pub(super) struct Answers {
    pub(super) tables: watch::Receiver<Arc<Tables>>,
    pub(super) clock: watch::Receiver<Clock>,
    pub(super) host: Arc<dyn HostClock>,
    pub(super) health: Health,
}

impl Answering {
    /// Begins, with a socket that tells times.
    pub(super) fn start(socket: UdpSocket, answers: Answers) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        let (socket, ends) = (Arc::new(socket), Arc::new(AtomicBool::new(false)));
        let ended = CancellationToken::new();
        thread::Builder::new()
            .name("faros-ntp".to_owned())
            .stack_size(STACK)
            .spawn({
                let (socket, ends, ended) = (Arc::clone(&socket), Arc::clone(&ends), ended.clone());
                move || {
                    // Told in the end, also after a panic, and when the socket is let go.
                    let _ended = ended.drop_guard();
                    let socket = socket;
                    answers.give(&socket, &ends);
                }
            })?;
        Ok(Self { socket, ends, ended })
    }

    /// Waits until the thread has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Has the thread end.
    pub(super) fn end(&self) {
        self.ends.store(true, Ordering::Release);
        // Whoever waits for a packet is woken, though the kernel says that there is no connection to shut down.
        let _ = shutdown(&*self.socket, Shutdown::Both);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.end();
    }
}

impl Answers {
    fn give(mut self, socket: &UdpSocket, ends: &AtomicBool) {
        let (mut buffer, mut control) = ([0; 1024], stamp::room());
        let answered = self.health.counter("ntp_answered");
        let slowed = self.health.counter("ntp_slowed");
        let own = Arc::clone(&self.tables.borrow_and_update());
        let mut server = Server::new(own.lan, own.bastion);
        let mut standing = *self.clock.borrow_and_update();
        loop {
            let datagram = stamp::receive(socket.as_fd(), &mut buffer, &mut control, stamp::Wait::Yes);
            if ends.load(Ordering::Acquire) {
                return;
            }
            let (length, from, stamp) = match datagram {
                Ok(datagram) => datagram,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive");
                    thread::sleep(REST);
                    continue;
                }
            };
            if self.tables.has_changed().unwrap_or(false) {
                server.serve(&self.tables.borrow_and_update());
            }
            if self.clock.has_changed().unwrap_or(false) {
                standing = *self.clock.borrow_and_update();
            }
            let host = &*self.host;
            let came = received(host, stamp);
            // A full send queue loses the answer, as the network may.
            let send = |bytes: &[u8]| {
                let _ = sendto(socket, bytes, SendFlags::DONTWAIT, &from);
            };
            match server.respond(&buffer[..length], *from.ip(), came, &standing, host.now()) {
                Outcome::Answered(bytes) => {
                    answered.add(1);
                    send(&bytes);
                }
                Outcome::Slowed(bytes) => {
                    slowed.add(1);
                    send(&bytes);
                }
                Outcome::Silent(why) => self.health.counter(why.label()).add(1),
            }
        }
    }
}
