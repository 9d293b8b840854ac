//! Runs the name service on the bastion's LAN address, over UDP and TCP, and asks the forwarders.
//!
//! Own names are answered where the packet is read. A question for a forwarder has a task of its own, with
//! an end in any case: who asks gets SERVFAIL before its own patience ends.

mod datagrams;
mod forwarding;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use faros_dns::{Cache, Outcome, Transport, Zones};
use faros_model::ports::DNS;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    runtime::Handle,
    sync::{Semaphore, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    service::{BindError, Health},
    socket,
};

/// Most questions at the forwarders at a time.
const MAX_ASKED: usize = 512;
/// Most TCP connections at a time.
const MAX_CONNECTIONS: usize = 128;
/// How long an idle TCP connection is kept (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);

/// The name service.
pub struct Dns {
    udp: UdpSocket,
    tcp: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    zones: watch::Receiver<Arc<Zones>>,
    health: Health,
    cache: Mutex<Cache>,
    clock: Clock,
    asked: Arc<Semaphore>,
    /// The forwarder that answered last is asked first.
    preferred: AtomicUsize,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns")
            .field("udp", &self.udp)
            .finish_non_exhaustive()
    }
}

impl Dns {
    /// Takes the port, on UDP and TCP.
    ///
    /// # Errors
    /// If one of them cannot be had.
    pub fn bind(
        address: Ipv4Addr,
        zones: watch::Receiver<Arc<Zones>>,
        health: Health,
    ) -> Result<Self, BindError> {
        let address = SocketAddrV4::new(address, DNS);
        let udp = socket::udp(address)?;
        let tcp = socket::tcp(address)?;
        let shared = Shared {
            zones,
            health,
            cache: Mutex::default(),
            clock: Clock::default(),
            asked: Arc::new(Semaphore::new(MAX_ASKED)),
            preferred: AtomicUsize::new(0),
        };
        Ok(Self {
            udp,
            tcp,
            shared: Arc::new(shared),
        })
    }

    /// Serves until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let Self { udp, tcp, shared } = self;
        let started = udp
            .into_std()
            .and_then(|udp| datagrams::start(udp, Arc::clone(&shared), Handle::current()));
        let listening = match started {
            Ok(listening) => listening,
            Err(error) => return tracing::error!(%error, "cannot answer questions in datagrams"),
        };
        tokio::select! {
            () = stop.cancelled() => (),
            () = listening.ended() => (),
            () = connections(tcp, shared) => (),
        }
        // The port is free when this has ended.
        listening.end();
        listening.ended().await;
    }
}

async fn connections(listener: TcpListener, shared: Arc<Shared>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, SocketAddr::V4(from))) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let serves = shared.zones.borrow().serves(*from.ip());
        let place = Arc::clone(&room).try_acquire_owned();
        let (true, Ok(place)) = (serves, place) else {
            shared
                .health
                .counter(if serves { "dns_overload" } else { "dns_outsider" })
                .add(1);
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection(stream, *from.ip(), &shared).await {
                tracing::trace!(%from, %error, "connection ended");
            }
        });
    }
}

/// Answers the questions of one connection, in order (RFC 7766).
async fn connection(mut stream: TcpStream, from: Ipv4Addr, shared: &Shared) -> std::io::Result<()> {
    let mut answer = Vec::new();
    loop {
        let length = match timeout(IDLE, stream.read_u16()).await {
            Ok(length) => usize::from(length?),
            Err(_) => return Ok(()),
        };
        let mut query = vec![0; length];
        timeout(IDLE, stream.read_exact(&mut query)).await??;
        let zones = Arc::clone(&shared.zones.borrow());
        match zones.answer(from, Transport::Tcp, &query, &mut answer) {
            Outcome::Answered(_) => shared.health.counter("dns_own").add(1),
            Outcome::Silent(why) => {
                shared.health.counter(why.label()).add(1);
                return Ok(());
            }
            Outcome::Forward(question) => {
                shared.health.counter("dns_forwarded").add(1);
                answer = if let Some(known) = forwarding::fresh(shared, &question, &query) {
                    known
                } else if let Some(place) = forwarding::place(shared) {
                    forwarding::forwarded(shared, &zones, question, &query, place).await
                } else {
                    forwarding::without(shared, &question, &query)
                };
            }
        }
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}
