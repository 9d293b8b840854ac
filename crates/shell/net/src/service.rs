//! What every running service shares: its health, its counters, and the way out for what it sees.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use faros_model::{
    api::{ServiceState, ServiceStatus},
    ids::Generation,
    plan::Service,
    sighting::Sighting,
};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::clock::Clock;

/// The way out for what services see. Bounded: a flood of packets must not become a flood of memory, so a
/// sighting that finds the channel full is dropped and counted.
#[derive(Debug, Clone)]
pub struct Sightings {
    to: mpsc::Sender<Sighting>,
    dropped: Arc<AtomicU64>,
    clock: Clock,
}

impl Sightings {
    /// A way out and its other end, for at most `capacity` sightings under way.
    pub fn channel(capacity: usize) -> (Self, mpsc::Receiver<Sighting>) {
        let (to, from) = mpsc::channel(capacity);
        (
            Self {
                to,
                dropped: Arc::default(),
                clock: Clock::default(),
            },
            from,
        )
    }

    /// Hands a sighting on; never waits.
    pub fn send(&self, sighting: Sighting) {
        if self.to.try_send(sighting).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What time it is, by the clock that counts for sightings.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// That clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How many sightings were dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The health and the counters of one service; clones share them.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: Service,
    now: Mutex<Now>,
    counters: Mutex<BTreeMap<&'static str, Counter>>,
}

#[derive(Debug, Clone)]
struct Now {
    state: ServiceState,
    reason: String,
    listens: Vec<String>,
    generation: Option<Generation>,
}

/// One counter of a service. Cheap to clone and to add to; ask for it once, not per packet.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

impl Health {
    /// A service that is off until it says otherwise.
    pub fn new(service: Service) -> Self {
        let now = Now {
            state: ServiceState::Off,
            reason: String::new(),
            listens: vec![],
            generation: None,
        };
        Self(Arc::new(Inner {
            service,
            now: Mutex::new(now),
            counters: Mutex::default(),
        }))
    }

    /// Sets the one state the service has, and why.
    pub fn set(&self, state: ServiceState, reason: impl Into<String>) {
        let mut now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.state = state;
        now.reason = reason.into();
    }

    /// Says where the service listens, such as `udp 192.168.8.1:53`.
    pub fn listens(&self, listens: Vec<String>) {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner).listens = listens;
    }

    /// Says which generation the service serves.
    pub fn serves(&self, generation: Option<Generation>) {
        self.0
            .now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .generation = generation;
    }

    /// The counter called `label`; labels come from closed sets, so their number is bounded.
    pub fn counter(&self, label: &'static str) -> Counter {
        let mut counters = self.0.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.entry(label).or_default().clone()
    }

    /// All of it, as the API tells it. Counters at zero are left out.
    pub fn status(&self) -> ServiceStatus {
        let now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counters = self.0.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = counters
            .iter()
            .map(|(label, n)| ((*label).to_owned(), n.0.load(Ordering::Relaxed)));
        ServiceStatus {
            service: self.0.service,
            state: now.state,
            reason: now.reason,
            listens: now.listens,
            generation: now.generation,
            counters: counters.filter(|(_, n)| *n > 0).collect(),
        }
    }
}

/// A port that a service cannot have. The source tells why; who holds it is for the caller to find out.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {protocol} {address}")]
pub struct BindError {
    /// `udp`, `tcp` or `packet`.
    pub protocol: &'static str,
    /// Where the service would listen.
    pub address: std::net::SocketAddrV4,
    /// What the kernel said.
    pub source: std::io::Error,
}
