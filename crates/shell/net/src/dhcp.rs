//! Runs the DHCP server on the LAN's interface.
//!
//! One task owns the server, so no lock stands between a packet and its answer. The socket is bound to the
//! interface, not to an address: nothing is ever answered on the uplink. When the interface goes, the
//! service waits for it and goes on when it is back, with all it knew.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddrV4},
    sync::Arc,
    time::Duration,
};

use faros_dhcp::{Destination, Effect, Server, Tables, Ticket};
use faros_model::{
    api::{LeaseInfo, ServiceState},
    event::EventKind,
    ids::MacAddr,
    lease::{Lease, LeaseState},
    ports::{DHCP_CLIENT, DHCP_SERVER},
    sighting::Sighting,
};
use jiff::Timestamp;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    link::LanLink,
    packet::{PacketSocket, arp_probe, arp_sender, udp_frame},
    service::{BindError, Health, Sightings},
};

/// How long an address that is about to be offered is listened for.
const PROBE: Duration = Duration::from_millis(500);
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
    /// Probes under way, by their end.
    probes: BTreeMap<(Instant, Ticket), Ipv4Addr>,
    listener: Option<PacketSocket>,
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

struct Sockets {
    link: LanLink,
    udp: UdpSocket,
    /// Hears what other servers answer; none where a client of the bastion itself has the port.
    client: Option<UdpSocket>,
    raw: PacketSocket,
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
            Some(link) => Some(open(link)?),
            None => None,
        };
        let (ask, questions) = mpsc::channel(16);
        let probes = BTreeMap::new();
        let dhcp = Self {
            server,
            link,
            tables,
            log,
            sightings,
            health,
            sockets,
            questions,
            probes,
            listener: None,
        };
        Ok((dhcp, Leases(ask)))
    }

    /// Serves until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let (committed, mut commits) = mpsc::unbounded_channel::<(Ticket, bool)>();
        let mut look_around = tokio::time::interval(LOOK_AROUND);
        look_around.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut buffer = vec![0; MAX_MESSAGE];
        self.tell_state();
        loop {
            let next_probe = self.probes.keys().next().map(|(at, _)| *at);
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some((ticket, stored)) = commits.recv() => {
                    let effects = self.server.on_committed(ticket, stored);
                    self.carry_out(effects, &committed);
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
                    let _ = answer.send(rows(&self.server, Timestamp::now()));
                }
                () = readable(self.sockets.as_ref().map(|sockets| &sockets.udp)) => {
                    self.receive(&mut buffer, &committed);
                }
                () = readable(self.sockets.as_ref().and_then(|sockets| sockets.client.as_ref())) => {
                    self.overhear(&mut buffer, &committed);
                }
                () = at(next_probe) => self.probes_due(&mut buffer, &committed),
                _ = look_around.tick() => self.look_around(),
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
            at: Timestamp::now(),
            mac: None,
            address: None,
            kind,
            detail,
        });
        drop(before);
        if let Some(link) = now {
            match open(&link) {
                Ok(sockets) => self.sockets = Some(sockets),
                Err(error) => {
                    tracing::warn!(interface = link.name, %error, "cannot serve DHCP");
                    self.health.listens(vec![]);
                    self.health.set(ServiceState::Waiting, error.to_string());
                    return;
                }
            }
        }
        self.tell_state();
    }

    fn receive(&mut self, buffer: &mut [u8], committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        let received = self.health.counter("dhcp_received");
        for _ in 0..BATCH {
            let Some(sockets) = &self.sockets else { return };
            match sockets.udp.try_recv(buffer) {
                Ok(length) => {
                    received.add(1);
                    if is_own(&buffer[..length]) {
                        continue;
                    }
                    let effects = self.server.on_datagram(Timestamp::now(), &buffer[..length]);
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
                let effects = self.server.on_datagram(Timestamp::now(), &buffer[..length]);
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
        if let Some(sockets) = &self.sockets {
            if self.listener.is_none() {
                self.listener = PacketSocket::listener(&sockets.link.name).ok();
            }
            if let Err(error) = sockets.raw.send(&arp_probe(sockets.link.mac, address)) {
                tracing::debug!(%address, %error, "cannot probe");
            }
        }
        self.probes.insert((Instant::now() + PROBE, ticket), address);
    }

    /// Ends the probes that are due. Answers have waited in the listener's queue until now.
    fn probes_due(&mut self, buffer: &mut [u8], committed: &mpsc::UnboundedSender<(Ticket, bool)>) {
        let mut claimed: Vec<(MacAddr, Ipv4Addr)> = Vec::new();
        if let Some(listener) = &self.listener {
            while let Some(frame) = listener.receive(buffer) {
                claimed.extend(arp_sender(frame));
            }
        }
        let now = Instant::now();
        let due: Vec<_> = self
            .probes
            .iter()
            .filter(|((at, _), address)| *at <= now || claimed.iter().any(|(_, own)| own == *address))
            .map(|(key, address)| (*key, *address))
            .collect();
        for ((at, ticket), address) in due {
            self.probes.remove(&(at, ticket));
            let by = claimed
                .iter()
                .find(|(_, own)| *own == address)
                .map(|(mac, _)| *mac);
            let effects = self.server.on_probed(Timestamp::now(), ticket, by);
            self.carry_out(effects, committed);
        }
        if self.probes.is_empty() {
            self.listener = None;
        }
    }

    /// Asks whether another server is there: a DHCPDISCOVER that this server itself leaves alone.
    fn look_around(&self) {
        let Some(sockets) = &self.sockets else { return };
        if sockets.client.is_some() {
            let message = look_around_message();
            let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, DHCP_SERVER);
            if let Err(error) = sockets.udp.try_send_to(&message, to.into()) {
                tracing::debug!(%error, "cannot look for other servers");
            }
        }
    }
}

/// The MAC under which the bastion asks for other servers: locally administered, and of nobody.
const LOOK_AROUND_MAC: [u8; 6] = [0x02, 0xfa, 0x20, 0x05, 0, 1];

fn look_around_message() -> Vec<u8> {
    let mut message = vec![0; 240];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(b"faro");
    message[10] = 0x80;
    message[28..34].copy_from_slice(&LOOK_AROUND_MAC);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    message.extend([53, 1, 1, 255]);
    message.resize(300, 0);
    message
}

fn is_own(message: &[u8]) -> bool {
    message.get(28..34) == Some(&LOOK_AROUND_MAC)
}

fn open(link: &LanLink) -> Result<Sockets, BindError> {
    let udp = bound(link, DHCP_SERVER).map_err(|source| BindError {
        protocol: "udp",
        address: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_SERVER),
        source,
    })?;
    let raw = PacketSocket::sender(&link.name).map_err(|source| BindError {
        protocol: "packet",
        address: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, DHCP_SERVER),
        source,
    })?;
    // Without it other servers are still heard of from their clients.
    let client = bound(link, DHCP_CLIENT).ok();
    Ok(Sockets {
        link: link.clone(),
        udp,
        client,
        raw,
    })
}

fn bound(link: &LanLink, port: u16) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.set_broadcast(true)?;
    // Room for a burst: every machine of a site may start at the same moment.
    socket.set_recv_buffer_size(1 << 20)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    UdpSocket::from_std(socket.into())
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

fn rows(server: &Server, now: Timestamp) -> Vec<LeaseInfo> {
    let mut rows: Vec<LeaseInfo> = server
        .leases()
        .map(|lease| {
            let own = server
                .tables()
                .reservation(lease.mac)
                .filter(|own| own.address == lease.address);
            let state = match lease.state {
                LeaseState::Active if lease.until <= now => "expired",
                LeaseState::Active => "active",
                LeaseState::Released => "released",
                LeaseState::Declined => "declined",
            };
            LeaseInfo {
                address: lease.address,
                mac: lease.mac,
                name: own
                    .map(|own| own.name.to_string())
                    .or_else(|| lease.hostname.clone()),
                reserved: own.is_some(),
                state: state.to_owned(),
                since: Some(lease.since),
                until: Some(lease.until),
            }
        })
        .collect();
    rows.sort_by_key(|row| row.address);
    rows
}
