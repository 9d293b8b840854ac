//! Runs the name service on the bastion's LAN address, over UDP and TCP, and asks the forwarders.
//!
//! Own names are answered where the packet is read. A question for a forwarder has a task of its own, with
//! an end in any case: who asks gets SERVFAIL before its own patience ends.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use faros_dns::{
    Cache, Cached, Outcome, Question, Rcode, Transport, Zones, upstream_answers, with_id, with_rcode,
};
use faros_model::ports::DNS;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
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
/// How long one forwarder is waited for.
const PATIENCE: Duration = Duration::from_millis(1200);
/// How long all of them are waited for: clients ask again after five seconds.
const PATIENCE_FOR_ALL: Duration = Duration::from_millis(3500);
/// How long an idle TCP connection is kept (RFC 7766 section 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// Most packets that are answered before other work gets its turn.
const BATCH: usize = 128;

/// The name service.
pub struct Dns {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    zones: watch::Receiver<Arc<Zones>>,
    health: Health,
    cache: Mutex<Cache>,
    clock: Clock,
    asked: Semaphore,
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
        let udp = Arc::new(socket::udp(address)?);
        let tcp = socket::tcp(address)?;
        let shared = Shared {
            zones,
            health,
            cache: Mutex::default(),
            clock: Clock::default(),
            asked: Semaphore::new(MAX_ASKED),
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
        tokio::select! {
            () = stop.cancelled() => (),
            () = datagrams(udp, Arc::clone(&shared)) => (),
            () = connections(tcp, shared) => (),
        }
    }
}

async fn datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let (mut query, mut answer) = (vec![0; 4096], Vec::with_capacity(4096));
    let own = shared.health.counter("dns_own");
    let forwarded = shared.health.counter("dns_forwarded");
    let mut zones = Arc::clone(&shared.zones.borrow());
    let mut updates = shared.zones.clone();
    loop {
        if socket.readable().await.is_err() {
            continue;
        }
        if updates.has_changed().unwrap_or(false) {
            zones = Arc::clone(&updates.borrow_and_update());
        }
        for _ in 0..BATCH {
            let Ok((length, SocketAddr::V4(from))) = socket.try_recv_from(&mut query) else {
                break;
            };
            let bytes = &query[..length];
            match zones.answer(*from.ip(), Transport::Udp, bytes, &mut answer) {
                Outcome::Answered(_) => {
                    own.add(1);
                    // A full send queue loses the answer, as the network may.
                    let _ = socket.try_send_to(&answer, from.into());
                }
                Outcome::Silent(why) => shared.health.counter(why.label()).add(1),
                Outcome::Forward(question) => {
                    forwarded.add(1);
                    // What is known is answered where it is read: a task costs more than the answer.
                    if let Some(mut answer) = fresh(&shared, &question, bytes) {
                        cut(bytes, &mut answer);
                        let _ = socket.try_send_to(&answer, from.into());
                        continue;
                    }
                    let (shared, socket, bytes) = (Arc::clone(&shared), Arc::clone(&socket), bytes.to_vec());
                    let zones = Arc::clone(&zones);
                    tokio::spawn(async move {
                        let mut answer = resolve(&shared, &zones, question, &bytes).await;
                        cut(&bytes, &mut answer);
                        let _ = socket.send_to(&answer, from).await;
                    });
                }
            }
        }
    }
}

/// Cuts a forwarder's answer to what the client takes over UDP.
fn cut(query: &[u8], answer: &mut Vec<u8>) {
    // Without EDNS a client takes 512 bytes; with it, every path takes 1232.
    let room = if query.get(11).is_some_and(|count| *count > 0) {
        1232
    } else {
        512
    };
    if answer.len() > room
        && let Some(mut short) = with_rcode(query, Rcode::NoError)
    {
        short[2] |= 0x02;
        *answer = short;
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
                answer = resolve(shared, &zones, question, &query).await;
            }
        }
        let length = u16::try_from(answer.len()).map_err(std::io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

/// What the cache has for a question.
fn cached(shared: &Shared, question: &Question) -> Option<Cached> {
    let cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.get(shared.clock.now(), question)
}

/// The answer of the cache, if it has one that is not past its time.
fn fresh(shared: &Shared, question: &Question, query: &[u8]) -> Option<Vec<u8>> {
    let Some(Cached::Fresh(answer)) = cached(shared, question) else {
        return None;
    };
    shared.health.counter("dns_cache_hits").add(1);
    Some(for_client(query, answer))
}

/// The answer to a question that is not ours: from the cache, from a forwarder, or SERVFAIL.
async fn resolve(shared: &Shared, zones: &Zones, question: Question, query: &[u8]) -> Vec<u8> {
    let count = |label| shared.health.counter(label).add(1);
    if let Some(answer) = fresh(shared, &question, query) {
        return answer;
    }
    let stale = match cached(shared, &question) {
        Some(Cached::Stale(answer)) => Some(answer),
        Some(Cached::Fresh(_)) | None => None,
    };
    let answered = match shared.asked.try_acquire() {
        Ok(_place) => timeout(PATIENCE_FOR_ALL, ask_all(shared, zones, query))
            .await
            .ok()
            .flatten(),
        Err(_) => {
            count("dns_overload");
            None
        }
    };
    match (answered, stale) {
        (Some(answer), _) => {
            let mut cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.put(shared.clock.now(), question, &answer);
            for_client(query, answer)
        }
        (None, Some(stale)) => {
            count("dns_stale");
            for_client(query, stale)
        }
        (None, None) => {
            count("dns_servfail");
            with_rcode(query, Rcode::ServFail).unwrap_or_default()
        }
    }
}

/// Puts the client's id and the letter case of its question into an answer.
fn for_client(query: &[u8], mut answer: Vec<u8>) -> Vec<u8> {
    let echoed = with_rcode(query, Rcode::NoError).unwrap_or_default();
    if answer.len() >= echoed.len() && echoed.len() > 12 {
        answer[..2].copy_from_slice(&query[..2]);
        answer[12..echoed.len()].copy_from_slice(&echoed[12..]);
    }
    answer
}

/// Asks one forwarder after the other, the one that answered last first.
async fn ask_all(shared: &Shared, zones: &Zones, query: &[u8]) -> Option<Vec<u8>> {
    let forwarders = zones.forwarders();
    let first = shared.preferred.load(Ordering::Relaxed);
    for step in 0..forwarders.len() {
        let idx = (first + step) % forwarders.len();
        match timeout(PATIENCE, ask(forwarders[idx], query)).await {
            Ok(Ok(answer)) => {
                shared.preferred.store(idx, Ordering::Relaxed);
                return Some(answer);
            }
            Ok(Err(error)) => {
                shared.health.counter("dns_forwarder_failed").add(1);
                tracing::debug!(forwarder = %forwarders[idx], %error, "cannot ask");
            }
            Err(_) => shared.health.counter("dns_forwarder_silent").add(1),
        }
    }
    None
}

/// Asks one forwarder, from a port of its own under an id that cannot be guessed; again over TCP if its
/// answer was cut off.
async fn ask(forwarder: Ipv4Addr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let id = getrandom::u32().map_err(std::io::Error::other)?.to_be_bytes();
    let id = u16::from_be_bytes([id[0], id[1]]);
    let query = with_id(query, id).ok_or(std::io::ErrorKind::InvalidData)?;
    let to = SocketAddrV4::new(forwarder, DNS);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(SocketAddr::V4(to)).await?;
    socket.send(&query).await?;
    let mut answer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut answer).await?;
        if upstream_answers(&query, id, &answer[..length]) {
            answer.truncate(length);
            break;
        }
    }
    if answer[2] & 0x02 == 0 {
        return Ok(answer);
    }
    let mut stream = TcpStream::connect(to).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream
        .write_all(&[&length.to_be_bytes()[..], &query].concat())
        .await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if upstream_answers(&query, id, &answer) {
        Ok(answer)
    } else {
        Err(std::io::ErrorKind::InvalidData.into())
    }
}
