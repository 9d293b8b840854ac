//! Answers clients, on a thread of its own.

use std::{io, net::UdpSocket, os::fd::AsFd as _, sync::Arc};

use faros_ntp::{Clock, Outcome, Server, Tables};
use rustix::net::{SendFlags, sendto};
use tokio::sync::watch;

use super::{HostClock, received};
use crate::{
    listening::{self, Ends, Listening},
    service::Health,
    stamp,
};

/// What clients are answered by.
pub(super) struct Answers {
    pub(super) tables: watch::Receiver<Arc<Tables>>,
    pub(super) clock: watch::Receiver<Clock>,
    pub(super) host: Arc<dyn HostClock>,
    pub(super) health: Health,
}

impl Answers {
    /// Begins to give them, by a socket that tells times.
    pub(super) fn start(self, socket: UdpSocket) -> io::Result<Listening> {
        Listening::start("faros-ntp", socket, |socket, ends| self.give(socket, ends))
    }

    fn give(mut self, socket: &UdpSocket, ends: Ends<'_>) {
        let (mut buffer, mut control) = ([0; 1024], stamp::room());
        let answered = self.health.counter("ntp_answered");
        let slowed = self.health.counter("ntp_slowed");
        let own = Arc::clone(&self.tables.borrow_and_update());
        let mut server = Server::new(own.lan, own.bastion);
        let mut standing = *self.clock.borrow_and_update();
        loop {
            let datagram = stamp::receive(socket.as_fd(), &mut buffer, &mut control, stamp::Wait::Yes);
            if ends.now() {
                return;
            }
            let (length, from, stamp) = match datagram {
                Ok(datagram) => datagram,
                Err(error) => {
                    listening::rest_after(&error);
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
