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
    service::{BindError, Counter, Health, Sightings},
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
/// As long as packets come, they are looked for so often, and nobody is woken by each of them.
const MOMENT: Duration = Duration::from_millis(2);

/// Keeps leases. Each is kept before its acknowledgment leaves.
pub trait LeaseLog: Send + Sync {
    /// Puts leases on disk, then calls `done` with whether all of them are there.
    fn append(&self, leases: Vec<Lease>, done: Box<dyn FnOnce(bool) + Send>);
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
    /// Leases that are to be written, in the order in which they were given.
    unwritten: Vec<(Ticket, Lease)>,
    /// Which of them were written, and whether they are on disk.
    written: mpsc::UnboundedSender<Written>,
    commits: mpsc::UnboundedReceiver<Written>,
    received: Counter,
    sent: Counter,
    /// When other servers are looked for next.
    look_around_at: Instant,
}

/// What was written together, and whether it is on disk.
type Written = (Vec<Ticket>, bool);

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
        let (written, commits) = mpsc::unbounded_channel();
        let dhcp = Self {
            server,
            link,
            tables,
            log,
            sightings,
            received: health.counter("dhcp_received"),
            sent: health.counter("dhcp_sent"),
            health,
            sockets,
            questions,
            probes: Probes::default(),
            unwritten: vec![],
            written,
            commits,
            look_around_at: Instant::now() + SETTLE,
        };
        Ok((dhcp, Leases(ask)))
    }

    /// Serves until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut buffer = vec![0; MAX_MESSAGE];
        let mut next_look = None;
        self.tell_state();
        loop {
            self.write();
            if let Some(sockets) = &mut self.sockets {
                next_look = sockets.watch(next_look);
            }
            let next_probe = self.probes.next();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some((tickets, stored)) = self.commits.recv() => {
                    for ticket in tickets {
                        let effects = self.server.on_committed(ticket, stored);
                        self.carry_out(effects);
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
                () = came(self.sockets.as_ref(), next_look) => {
                    let now = Instant::now();
                    next_look = match (self.receive(&mut buffer), next_look) {
                        (0, Some(_)) => None,
                        (BATCH, _) => Some(now),
                        _ => Some(now + MOMENT),
                    };
                }
                () = readable(self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref())) => {
                    self.overhear(&mut buffer);
                }
                () = at(next_probe) => self.probes_due(),
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

    /// Answers what came, and says how much it was.
    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        for n_came in 0..BATCH {
            let Some(sockets) = &self.sockets else {
                return n_came;
            };
            match sockets.udp.recv(buffer) {
                Ok(length) => {
                    self.received.add(1);
                    if look_around::is_own(&buffer[..length]) {
                        continue;
                    }
                    let effects = self.server.on_datagram(self.sightings.now(), &buffer[..length]);
                    self.carry_out(effects);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return n_came,
                Err(error) => {
                    tracing::debug!(%error, "cannot receive");
                    return n_came;
                }
            }
        }
        BATCH
    }

    /// What comes to the clients' port: answers, of which those of other servers matter.
    fn overhear(&mut self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Some(client) = self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref()) else {
                return;
            };
            let Ok(length) = client.try_recv(buffer) else {
                return;
            };
            if buffer.first() == Some(&2) {
                let effects = self.server.on_datagram(self.sightings.now(), &buffer[..length]);
                self.carry_out(effects);
            }
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send { to, bytes } => self.send(to, &bytes),
                Effect::Commit { ticket, lease } => self.unwritten.push((ticket, lease)),
                Effect::Probe { ticket, address } => self.probe(ticket, address),
                Effect::Saw(sighting) => self.sightings.send(sighting),
                Effect::Ignore(why) => self.health.counter(why.label()).add(1),
            }
        }
    }

    /// Has the leases written that were given since.
    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let (tickets, leases) = std::mem::take(&mut self.unwritten).into_iter().unzip();
        let written = self.written.clone();
        let done = move |stored| {
            // The service may have ended meanwhile; then nobody waits for the answer.
            let _ = written.send((tickets, stored));
        };
        self.log.append(leases, Box::new(done));
    }

    fn send(&self, to: Destination, bytes: &[u8]) {
        let Some(sockets) = &self.sockets else { return };
        let bastion = self.server.tables().bastion();
        let udp = |address, port| {
            sockets
                .udp
                .send_to(bytes, SocketAddrV4::new(address, port))
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
            Ok(()) => self.sent.add(1),
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

    fn probes_due(&mut self) {
        for (ticket, by) in self.probes.ended() {
            let effects = self.server.on_probed(self.sightings.now(), ticket, by);
            self.carry_out(effects);
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

/// Waits until there is something to read, or until it is time to look.
async fn came(sockets: Option<&Sockets>, look: Option<Instant>) {
    match (sockets, look) {
        (Some(_), Some(look)) => tokio::time::sleep_until(look).await,
        (Some(sockets), None) => sockets.came().await,
        (None, _) => std::future::pending().await,
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
