//! Questions for names that are not the site's: from the cache, from a forwarder, or not at all.
//!
//! Who asks the forwarders has one of a number of places for it. Without one nobody waits: what is past its time is
//! given, or SERVFAIL.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use faros_dns::{Cached, Question, Rcode, Zones, upstream_answers, with_id, with_rcode};
use faros_model::ports::DNS;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    sync::OwnedSemaphorePermit,
    time::timeout,
};

use super::Shared;

/// How long one forwarder is waited for.
const PATIENCE: Duration = Duration::from_millis(1200);
/// How long all of them are waited for: clients ask again after five seconds.
const PATIENCE_FOR_ALL: Duration = Duration::from_millis(3500);

/// A place among those who ask the forwarders, if there is one left.
pub(super) fn place(shared: &Shared) -> Option<OwnedSemaphorePermit> {
    let place = Arc::clone(&shared.asked).try_acquire_owned().ok();
    if place.is_none() {
        shared.health.counter("dns_overload").add(1);
    }
    place
}

/// What the cache has for a question.
fn cached(shared: &Shared, question: &Question) -> Option<Cached> {
    let cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.get(shared.clock.now(), question)
}

/// The answer of the cache, if it has one that is not past its time.
pub(super) fn fresh(shared: &Shared, question: &Question, query: &[u8]) -> Option<Vec<u8>> {
    let Some(Cached::Fresh(answer)) = cached(shared, question) else {
        return None;
    };
    shared.health.counter("dns_cache_hits").add(1);
    Some(for_client(query, answer))
}

/// The answer where no forwarder has one: what the cache has that is past its time, or SERVFAIL.
pub(super) fn without(shared: &Shared, question: &Question, query: &[u8]) -> Vec<u8> {
    let count = |label| shared.health.counter(label).add(1);
    match cached(shared, question) {
        Some(Cached::Fresh(answer)) => for_client(query, answer),
        Some(Cached::Stale(answer)) => {
            count("dns_stale");
            for_client(query, answer)
        }
        None => {
            count("dns_servfail");
            with_rcode(query, Rcode::ServFail).unwrap_or_default()
        }
    }
}

/// The answer of a forwarder, or the one without. The place is free after it.
pub(super) async fn forwarded(
    shared: &Shared,
    zones: &Zones,
    question: Question,
    query: &[u8],
    _place: OwnedSemaphorePermit,
) -> Vec<u8> {
    let asking = timeout(PATIENCE_FOR_ALL, ask_all(shared, zones, query));
    let Ok(Some(answer)) = asking.await else {
        return without(shared, &question, query);
    };
    let mut cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.put(shared.clock.now(), question, &answer);
    for_client(query, answer)
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
