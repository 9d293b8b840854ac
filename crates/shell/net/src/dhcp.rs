//! Runs the DHCP server on the LAN's interface.
//!
//! One task owns the server, so no lock stands between a packet and its answer. The socket is bound to the
//! interface, not to an address: nothing is ever answered on the uplink. When the interface goes, the
//! service waits for it and goes on when it is back, with all it knew.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use faros_dhcp::{Destination, Effect, Server, Tables, Ticket};
use faros_model::{
    api::{LeaseInfo, ServiceState},
    event::EventKind,
    lease::Lease,
    ports::{DHCP_CLIENT, DHCP_SERVER},
    sighting::Sighting,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

mod look_around;
mod probes;
mod rows;
mod sockets;

use self::{probes::Probes, sockets::Sockets};
use crate::{
    link::LanLink,
    packet::udp_frame,
    service::{BindError, Health, Sightings},
};

/// How long to wait before the port is tried again, if it could not be had when the interface came.
const RETRY: Duration = Duration::from_secs(5);
/// How long an interface that came may take until it carries packets.
const SETTLE: Duration = Duration::from_secs(2);
/// How often other servers are looked for.
const LOOK_AROUND: Duration = Duration::from_mins(10);
/// Largest message that is read.
const MAX_MESSAGE: usize = 4096;
/// Most packets that are read before other work gets its turn.
const BATCH: usize = 256;

/// Keeps leases. Called for each lease before its acknowledgment leaves.
pub trait LeaseLog: Send + Sync {
    /// Puts a lease on disk, then calls `done` with whether it is there.
    fn append(&self, lease: Lease, done: Box<dyn FnOnce(bool) + Send>);
}

/// The DHCP service.
pub struct Dhcp {
    server: Server,
    link: watch::Receiver<Option<LanLink>>,
    tables: watch::Receiver<Arc<Tables>>,
    log: Arc<dyn LeaseLog>,
    sightings: Sightings,
    health: Health,
    sockets: Option<Sockets>,
    questions: mpsc::Receiver<oneshot::Sender<Vec<LeaseInfo>>>,
    probes: Probes,
    /// When other servers are looked for next.
    look_around_at: Instant,
}

/// Asks a running service for its leases.
#[derive(Debug, Clone)]
pub struct Leases(mpsc::Sender<oneshot::Sender<Vec<LeaseInfo>>>);

impl Leases {
    /// All leases and who has them; none if the service does not run.
    pub async fn all(&self) -> Vec<LeaseInfo> {
        let (answer, answered) = oneshot::channel();
        if self.0.send(answer).await.is_err() {
            return vec![];
        }
        answered.await.unwrap_or_default()
    }
}

impl std::fmt::Debug for Dhcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dhcp")
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

impl Dhcp {
    /// Takes the port on the interface, if the interface is there.
    ///
    /// # Errors
    /// If the port cannot be had.
    pub fn bind(
        link: watch::Receiver<Option<LanLink>>,
        tables: watch::Receiver<Arc<Tables>>,
        leases: Vec<Lease>,
        log: Arc<dyn LeaseLog>,
        sightings: Sightings,
        health: Health,
    ) -> Result<(Self, Leases), BindError> {
        let server = Server::new(Arc::clone(&tables.borrow()), leases);
        let sockets = match &*link.borrow() {
            Some(link) => Some(sockets::open(link)?),
            None => None,
        };
        let (ask, questions) = mpsc::channel(16);
        let dhcp = Self {
            server,
            link,
            tables,
            log,
            sightings,
            health,
            sockets,
            questions,
            probes: Probes::default(),
            look_around_at: Instant::now() + SETTLE,
        };
        Ok((dhcp, Leases(ask)))
    }

    /// Serves until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let (committed, mut commits) = mpsc::unbounded_channel::<(Ticket, bool)>();
        let mut buffer = vec![0; MAX_MESSAGE];
        self.tell_state();
        loop {
            let next_probe = self.probes.next();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(first) = commits.recv() => {
                    // What was written together is said together.
                    let rest = std::iter::from_fn(|| commits.try_recv().ok()).take(BATCH);
                    for (ticket, stored) in std::iter::once(first).chain(rest) {
                        let effects = self.server.on_committed(ticket, stored);
                        self.carry_out(effects, &committed);
                    }
                }
                changed = self.link.changed() => match changed {
                    Ok(()) => self.relink(),
                    Err(_) => return,
                },
                Ok(()) = self.tables.changed() => {
                    let tables = Arc::clone(&self.tables.borrow_and_update());
                    self.server.swap(tables);
                }
                Some(answer) = self.questions.recv() => {
                    // Whoever asked may have gone.
                    let _ = answer.send(rows::all(&self.server, self.sightings.now()));
                }
                () = readable(self.sockets.as_ref().map(|sockets| &sockets.udp)) => {
                    self.receive(&mut buffer, &committed);
                }
                () = readable(self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref())) => {
                    self.overhear(&mut buffer, &committed);
                }
                () = at(next_probe) => self.probes_due(&committed),
                () = at(Some(self.look_around_at)) => self.look_around(),
                () = tokio::time::sleep(RETRY), if self.lacks_port() => self.take_port(),
            }
        }
    }

    fn tell_state(&self) {
        match &self.sockets {
            Some(sockets) => {
                self.health.listens(vec![format!(
                    "udp 0.0.0.0:{DHCP_SERVER} on {}",
                    sockets.link.name
                )]);
                self.health.set(ServiceState::Ready, "");
            }
            None => {
                self.health.listens(vec![]);
                self.health
                    .set(ServiceState::Waiting, "the LAN's interface is not there");
            }
        }
    }

    /// The interface came, went, or is another one by the same name.
    fn relink(&mut self) {
        let now = self.link.borrow_and_update().clone();
        let before = self.sockets.take();
        let known = before.as_ref().map(|sockets| &sockets.link);
        if known == now.as_ref() {
            self.sockets = before;
            return;
        }
        let kind = if now.is_some() {
            EventKind::InterfaceBack
        } else {
            EventKind::InterfaceLost
        };
        let name = now
            .as_ref()
            .or(known)
            .map(|link| link.name.clone())
            .unwrap_or_default();
        let detail = [("interface".to_owned(), name.into())].into_iter().collect();
        self.sightings.send(Sighting {
            at: self.sightings.now(),
            mac: None,
            address: None,
            kind,
            detail,
        });
        drop(before);
        self.probes.interface_changed();
        self.take_port();
    }

    fn lacks_port(&self) -> bool {
        self.sockets.is_none() && self.link.borrow().is_some()
    }

    /// Binds to the interface, if it is there.
    fn take_port(&mut self) {
        let link = self.link.borrow().clone();
        match link.as_ref().map(sockets::open).transpose() {
            Ok(sockets) => {
                self.sockets = sockets;
                self.tell_state();
                self.look_around_at = Instant::now() + SETTLE;
            }
            Err(error) => {
                tracing::warn!(interface = link.map(|link| link.name), %error, "cannot serve DHCP");
                self.health.listens(vec![]);
                self.health.set(ServiceState::Waiting, error.to_string());
            }
        }
    }

    fn receive(&mut self, buffer: &mut [u8], committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        let received = self.health.counter("dhcp_received");
        for _ in 0..BATCH {
            let Some(sockets) = &self.sockets else { return };
            match sockets.udp.try_recv(buffer) {
                Ok(length) => {
                    received.add(1);
                    if look_around::is_own(&buffer[..length]) {
                        continue;
                    }
                    let effects = self.server.on_datagram(self.sightings.now(), &buffer[..length]);
                    self.carry_out(effects, committed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive");
                    return;
                }
            }
        }
    }

    /// What comes to the clients' port: answers, of which those of other servers matter.
    fn overhear(&mut self, buffer: &mut [u8], committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        for _ in 0..BATCH {
            let Some(client) = self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref()) else {
                return;
            };
            let Ok(length) = client.try_recv(buffer) else {
                return;
            };
            if buffer.first() == Some(&2) {
                let effects = self.server.on_datagram(self.sightings.now(), &buffer[..length]);
                self.carry_out(effects, committed);
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>, committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        for effect in effects {
            match effect {
                Effect::Send { to, bytes } => self.send(to, &bytes),
                Effect::Commit { ticket, lease } => {
                    let committed = committed.clone();
                    let done = move |stored| {
                        // The service may have ended meanwhile; then nobody waits for the answer.
                        let _ = committed.send((ticket, stored));
                    };
                    self.log.append(lease, Box::new(done));
                }
                Effect::Probe { ticket, address } => self.probe(ticket, address),
                Effect::Saw(sighting) => self.sightings.send(sighting),
                Effect::Ignore(why) => self.health.counter(why.label()).add(1),
            }
        }
    }

    fn send(&self, to: Destination, bytes: &[u8]) {
        let Some(sockets) = &self.sockets else { return };
        let bastion = self.server.tables().bastion();
        let udp = |address, port| {
            sockets
                .udp
                .try_send_to(bytes, SocketAddrV4::new(address, port).into())
                .map(|_| ())
        };
        let sent = match to {
            Destination::Broadcast => udp(Ipv4Addr::BROADCAST, DHCP_CLIENT),
            Destination::Client(address) => udp(address, DHCP_CLIENT),
            Destination::Relay(address) => udp(address, DHCP_SERVER),
            Destination::Unconfigured { address, mac } => {
                let from = (sockets.link.mac, bastion, DHCP_SERVER);
                sockets
                    .raw
                    .send(&udp_frame(from, (mac, address, DHCP_CLIENT), bytes))
            }
        };
        match sent {
            Ok(()) => self.health.counter("dhcp_sent").add(1),
            Err(error) => {
                self.health.counter("dhcp_send_failed").add(1);
                tracing::debug!(?to, %error, "cannot send");
            }
        }
    }

    fn probe(&mut self, ticket: Ticket, address: Ipv4Addr) {
        let through = self.sockets.as_ref().map(|sockets| (&sockets.raw, &sockets.link));
        self.probes.start(through, ticket, address);
    }

    fn probes_due(&mut self, committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        for (ticket, by) in self.probes.ended() {
            let effects = self.server.on_probed(self.sightings.now(), ticket, by);
            self.carry_out(effects, committed);
        }
    }

    /// Asks whether another server is there: a DHCPDISCOVER that this server itself leaves alone.
    fn look_around(&mut self) {
        self.look_around_at = Instant::now() + LOOK_AROUND;
        let client = self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref());
        if let Some(client) = client {
            let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_SERVER);
            if let Err(error) = client.try_send_to(&look_around::message(), to.into()) {
                tracing::debug!(%error, "cannot look for other servers");
            }
        }
    }
}

async fn readable(socket: Option<&UdpSocket>) {
    match socket {
        Some(socket) if socket.readable().await.is_ok() => (),
        _ => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
