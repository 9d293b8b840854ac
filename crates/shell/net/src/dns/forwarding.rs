//! Questions for names that are not the site's: from the cache, from a forwarder, or not at all.
//!
//! Who asks the forwarders has one of a number of places for it. Without one nobody waits: what is past its time is
//! given, or SERVFAIL.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use faros_dns::{
    Cached, Question, Rcode, Zones, for_client, is_cut_off, knows, upstream_answers, with_id, with_rcode,
};
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

/// The answer where no forwarder can be asked: what the cache has that is past its time, or SERVFAIL.
pub(super) fn without(shared: &Shared, question: &Question, query: &[u8]) -> Vec<u8> {
    without_who_knows(shared, question, query, None)
}

/// The answer where no forwarder knows: what the cache has that is past its time (RFC 8767 section 4), else what the
/// last one said instead, or SERVFAIL if none said anything.
fn without_who_knows(shared: &Shared, question: &Question, query: &[u8], said: Option<Vec<u8>>) -> Vec<u8> {
    let count = |label| shared.health.counter(label).add(1);
    match cached(shared, question) {
        Some(Cached::Fresh(answer)) => for_client(query, answer),
        Some(Cached::Stale(answer)) => {
            count("dns_stale");
            for_client(query, answer)
        }
        None => said.map_or_else(
            || {
                count("dns_servfail");
                with_rcode(query, Rcode::ServFail).unwrap_or_default()
            },
            |said| for_client(query, said),
        ),
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
    let answer = match asking.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(said)) => return without_who_knows(shared, &question, query, said),
        Err(_) => return without(shared, &question, query),
    };
    let mut cache = shared.cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.put(shared.clock.now(), question, &answer);
    for_client(query, answer)
}

/// Asks one forwarder after the other until one knows, the one that knew last first.
///
/// # Errors
/// None knows: what the last one said that said anything.
async fn ask_all(shared: &Shared, zones: &Zones, query: &[u8]) -> Result<Vec<u8>, Option<Vec<u8>>> {
    let forwarders = zones.forwarders();
    let first = shared.preferred.load(Ordering::Relaxed);
    let mut said = None;
    for step in 0..forwarders.len() {
        let idx = (first + step) % forwarders.len();
        match timeout(PATIENCE, ask(forwarders[idx], query)).await {
            Ok(Ok(answer)) if knows(&answer) => {
                shared.preferred.store(idx, Ordering::Relaxed);
                return Ok(answer);
            }
            Ok(Ok(answer)) => {
                shared.health.counter("dns_forwarder_refused").add(1);
                said = Some(answer);
            }
            Ok(Err(error)) => {
                shared.health.counter("dns_forwarder_failed").add(1);
                tracing::debug!(forwarder = %forwarders[idx], %error, "cannot ask");
            }
            Err(_) => shared.health.counter("dns_forwarder_silent").add(1),
        }
    }
    Err(said)
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
    let length = loop {
        let length = socket.recv(&mut answer).await?;
        if upstream_answers(&query, id, &answer[..length]) {
            break length;
        }
    };
    // What fills the buffer may have been longer.
    if !is_cut_off(&answer) && length < answer.len() {
        answer.truncate(length);
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
