//! Questions in datagrams, on a thread of its own.

use std::{
    io,
    net::{SocketAddrV4, UdpSocket},
    sync::Arc,
};

use faros_dns::{Outcome, Question, Transport, Zones, fitted};
use rustix::net::{SendFlags, sendto};
use tokio::runtime::Handle;

use super::{Shared, forwarding};
use crate::{
    batch::{Incoming, Outgoing},
    listening::{self, Ends, Listening},
};

/// Begins to answer. What forwarders are asked is asked on `runtime`.
pub(super) fn start(socket: UdpSocket, shared: Arc<Shared>, runtime: Handle) -> io::Result<Listening> {
    let answers = Answers { shared, runtime };
    Listening::start("faros-dns", socket, move |socket, ends| {
        answers.give(socket, ends);
    })
}

struct Answers {
    shared: Arc<Shared>,
    runtime: Handle,
}

impl Answers {
    fn give(self, socket: &Arc<UdpSocket>, ends: Ends<'_>) {
        let shared = &self.shared;
        let (mut incoming, mut outgoing) = (Incoming::new(), Outgoing::new());
        let own = shared.health.counter("dns_own");
        let forwarded = shared.health.counter("dns_forwarded");
        let mut updates = shared.zones.clone();
        let mut zones = Arc::clone(&updates.borrow_and_update());
        loop {
            if let Err(error) = incoming.wait(socket, ends) {
                listening::rest_after(&error);
            }
            if ends.now() {
                return;
            }
            if updates.has_changed().unwrap_or(false) {
                zones = Arc::clone(&updates.borrow_and_update());
            }
            for (query, from, _) in incoming.iter() {
                match zones.answer(*from.ip(), Transport::Udp, query, outgoing.room()) {
                    Outcome::Answered(_) => {
                        own.add(1);
                        outgoing.keep(from);
                    }
                    Outcome::Silent(why) => shared.health.counter(why.label()).add(1),
                    Outcome::Forward(question) => {
                        forwarded.add(1);
                        if let Some(answer) = self.forward(socket, &zones, question, query, from) {
                            *outgoing.room() = answer;
                            outgoing.keep(from);
                        }
                    }
                }
            }
            outgoing.send(socket);
        }
    }

    /// The answer to a question for a forwarder, or `None` where a task will send it.
    fn forward(
        &self,
        socket: &Arc<UdpSocket>,
        zones: &Arc<Zones>,
        question: Question,
        query: &[u8],
        from: SocketAddrV4,
    ) -> Option<Vec<u8>> {
        let shared = &self.shared;
        // What is known is answered where it is read: a task costs more than the answer.
        if let Some(answer) = forwarding::fresh(shared, &question, query) {
            return Some(fitted(query, answer));
        }
        // There are no more tasks than places, however fast questions come.
        let Some(place) = forwarding::place(shared) else {
            return Some(fitted(query, forwarding::without(shared, &question, query)));
        };
        let (shared, socket, query) = (Arc::clone(shared), Arc::clone(socket), query.to_vec());
        let zones = Arc::clone(zones);
        self.runtime.spawn(async move {
            let answer = forwarding::forwarded(&shared, &zones, question, &query, place).await;
            // A full send queue loses it, as the network may.
            let _ = sendto(&socket, &fitted(&query, answer), SendFlags::DONTWAIT, &from);
        });
        None
    }
}
