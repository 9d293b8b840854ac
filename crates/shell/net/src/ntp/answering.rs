//! Answers clients, on a thread of its own.

use std::{io, net::UdpSocket, sync::Arc};

use faros_ntp::{Clock, Outcome, Server, Tables};
use tokio::sync::watch;

use super::{HostClock, received};
use crate::{
    batch::{Incoming, Outgoing},
    listening::{self, Ends, Listening},
    service::Health,
};

/// So many answers are sent together. Each says when it was made, and the last leaves some microseconds later for each
/// that is sent before it.
const TOGETHER: usize = 8;

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
        let (mut incoming, mut outgoing) = (Incoming::stamped(), Outgoing::new());
        let answered = self.health.counter("ntp_answered");
        let slowed = self.health.counter("ntp_slowed");
        let own = Arc::clone(&self.tables.borrow_and_update());
        let mut server = Server::new(own.lan, own.bastion);
        let mut standing = *self.clock.borrow_and_update();
        loop {
            if let Err(error) = incoming.wait(socket, ends) {
                listening::rest_after(&error);
            }
            if ends.now() {
                return;
            }
            if self.tables.has_changed().unwrap_or(false) {
                server.serve(&self.tables.borrow_and_update());
            }
            if self.clock.has_changed().unwrap_or(false) {
                standing = *self.clock.borrow_and_update();
            }
            let host = &*self.host;
            for (question, from, stamp) in incoming.iter() {
                let came = received(host, stamp);
                let (counter, answer) =
                    match server.respond(question, *from.ip(), came, &standing, host.now()) {
                        Outcome::Answered(bytes) => (&answered, bytes),
                        Outcome::Slowed(bytes) => (&slowed, bytes),
                        Outcome::Silent(why) => {
                            self.health.counter(why.label()).add(1);
                            continue;
                        }
                    };
                counter.add(1);
                let room = outgoing.room();
                room.clear();
                room.extend_from_slice(&answer);
                outgoing.keep(from);
                if outgoing.kept() == TOGETHER {
                    outgoing.send(socket);
                }
            }
            outgoing.send(socket);
        }
    }
}
