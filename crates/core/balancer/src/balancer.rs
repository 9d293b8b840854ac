//! All backends together: who is asked when, and who is in with which share.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddrV4,
    time::Duration,
};

use faros_model::site::Transport;

use crate::{
    health::{
        Change, Evidence, FULL, HELD, HELD_TCP, Health, INTERVAL, Lost, Now, Peers, State, TO_ANSWER,
        TO_CONNECT, Turn,
    },
    services::{Check, Service},
    slots::{Slots, slots},
};

/// For how long enough of the control plane has to be in before the bootstrap machine goes.
const SETTLED: Duration = Duration::from_secs(30);

/// A backend is one of a service at an address.
type Key = (String, SocketAddrV4);

/// A question to a backend. Whoever asks it says what came of it, by [`Balancer::hear`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The service's name.
    pub service: String,
    /// Whom to ask.
    pub address: SocketAddrV4,
    /// What.
    pub check: Check,
    /// How long its machine has to take the connection.
    pub to_connect: Duration,
    /// How long it has to answer then.
    pub to_answer: Duration,
}

/// Something that happened, or that is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A backend came in.
    Up {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
        /// Where it answers.
        address: SocketAddrV4,
        /// Why.
        why: String,
    },
    /// A backend that was in is out.
    Down {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
        /// Where it answered.
        address: SocketAddrV4,
        /// Why.
        why: String,
        /// How many others are in.
        left: usize,
    },
    /// The machine is dead: connections with it are to be ended, as it cannot do that.
    GiveUp {
        /// The protocol.
        transport: Transport,
        /// Where it answered.
        address: SocketAddrV4,
    },
    /// The bootstrap machine is not needed any more.
    Retired {
        /// Why.
        why: String,
    },
}

/// How a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView<'a> {
    /// What it is.
    pub service: &'a Service,
    /// Its backends, in the order of the service.
    pub backends: Vec<BackendView<'a>>,
}

/// How a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it answers.
    pub address: SocketAddrV4,
    /// Whether it is in.
    pub state: State,
    /// Whether new connections are kept from it by the operator's will.
    pub is_drained: bool,
    /// Since when it is in or out.
    pub since: jiff::Timestamp,
    /// Why.
    pub why: &'a str,
    /// What part of the service's new connections it gets, of 128 slots.
    pub slots: usize,
    /// Its changes, oldest first.
    pub history: Vec<Change>,
}

impl ServiceView<'_> {
    /// Whether new connections are led to anyone.
    pub fn is_served(&self) -> bool {
        self.backends.iter().any(|own| own.slots > 0)
    }
}

/// All that is balanced, and how its backends are.
#[derive(Debug, Clone, Default)]
pub struct Balancer {
    services: Vec<Service>,
    health: BTreeMap<Key, Health>,
    /// Names of backends that the operator wants to get no new connections.
    drained: BTreeSet<String>,
    /// Since when enough of the control plane is in.
    enough_since: Option<Duration>,
    has_bootstrapped: bool,
}

impl Balancer {
    /// Balances these from now on. What is known of a backend that stays is kept, save connections that are open: it
    /// is asked at once. One in `held` is one that the kernel leads to already.
    pub fn follow(&mut self, now: Now, services: Vec<Service>, held: &BTreeMap<String, Slots>) {
        let mut before = std::mem::take(&mut self.health);
        let mut n = 0;
        for service in &services {
            let leads = held.get(&service.name);
            for backend in &service.backends {
                let key = (service.name.clone(), backend.address);
                let known = before.remove(&key);
                let health = known.unwrap_or_else(|| {
                    if service.check == Check::None {
                        return Health::unasked(now);
                    }
                    let was_in = leads.is_some_and(|slots| slots.values().any(|own| *own == backend.address));
                    let mut health = Health::new(now, was_in);
                    if backend.is_bootstrap && self.has_bootstrapped {
                        health.retire(now, "the control plane is there");
                    }
                    health
                });
                self.health.insert(key, health.followed(now, n));
                n += 1;
            }
        }
        self.services = services;
    }

    /// Keeps new connections from these, by their names, and from nobody else.
    pub fn drain(&mut self, names: BTreeSet<String>) {
        self.drained = names;
    }

    /// Services that would lead to nobody if this backend were drained as well, and lead to it now.
    pub fn needs(&self, name: &str, now: Now) -> Vec<&str> {
        let services = self.view(now).into_iter().filter(|view| {
            let mut takers = view.backends.iter().filter(|own| own.slots > 0).peekable();
            takers.peek().is_some() && takers.all(|own| own.name == name)
        });
        services.map(|view| view.service.name.as_str()).collect()
    }

    /// When there is something to do next.
    pub fn next(&self, now: Now) -> Option<Duration> {
        let asks = self
            .health
            .values()
            .filter(|own| own.asked.is_none())
            .map(|own| own.next);
        let grows = self.health.values().filter_map(|own| own.grows(now.tick));
        let settles = self
            .enough_since
            .map(|since| since + SETTLED)
            .filter(|_| !self.has_bootstrapped);
        asks.chain(grows)
            .chain(settles)
            .filter(|at| *at != Duration::MAX)
            .min()
    }

    /// The questions that are to be asked now.
    pub fn due(&mut self, now: Now) -> Vec<Probe> {
        let mut probes = Vec::new();
        for service in &self.services {
            for backend in &service.backends {
                let key = (service.name.clone(), backend.address);
                let Some(health) = self.health.get_mut(&key) else {
                    continue;
                };
                if health.asked.is_some() || health.next > now.tick {
                    continue;
                }
                health.asked = Some(now.tick);
                probes.push(Probe {
                    service: key.0,
                    address: key.1,
                    check: service.check,
                    to_connect: TO_CONNECT,
                    to_answer: TO_ANSWER,
                });
            }
        }
        probes
    }

    /// Takes what came of a probe, and whether the connection is still open: its end is to be told then, by
    /// [`Balancer::lost`].
    pub fn hear(&mut self, now: Now, probe: &Probe, evidence: &Evidence, is_held: bool) -> Vec<Effect> {
        let Some(service) = self.services.iter().find(|own| own.name == probe.service) else {
            return vec![];
        };
        let Some(backend) = service.backends.iter().find(|own| own.address == probe.address) else {
            return vec![];
        };
        let others: Vec<&Health> = service
            .backends
            .iter()
            .filter(|other| other.address != probe.address && !self.drained.contains(&other.name))
            .filter_map(|other| self.health.get(&(service.name.clone(), other.address)))
            .filter(|own| own.state == State::In)
            .collect();
        let peers = Peers {
            others: others.len(),
            had_it: others.iter().any(|own| own.came_before(now)),
        };
        let key = (service.name.clone(), backend.address);
        let Some(health) = self
            .health
            .get_mut(&key)
            .filter(|own| own.state != State::Retired)
        else {
            return vec![];
        };
        let well = match (is_held, probe.check) {
            (false, _) => INTERVAL,
            (true, Check::Https(_)) => HELD,
            (true, Check::Tcp | Check::None) => HELD_TCP,
        };
        let turns = health.hear(now, evidence, peers, well);
        let (name, backend, address) = (key.0, backend.name.clone(), key.1);
        let why = health.why.clone();
        let is_last = peers.others == 0 && turns.contains(&Turn::WentOut);
        let mut effects: Vec<Effect> = turns
            .into_iter()
            .map(|turn| match turn {
                Turn::CameIn => Effect::Up {
                    service: name.clone(),
                    backend: backend.clone(),
                    address,
                    why: why.clone(),
                },
                Turn::WentOut => Effect::Down {
                    service: name.clone(),
                    backend: backend.clone(),
                    address,
                    why: why.clone(),
                    left: peers.others,
                },
                Turn::Died => Effect::GiveUp {
                    transport: service.transport,
                    address,
                },
            })
            .collect();
        if is_last {
            // Who is kept waiting because it went out too often is better than nobody.
            for own in service
                .backends
                .iter()
                .filter(|own| !self.drained.contains(&own.name))
            {
                let Some(health) = self.health.get_mut(&(name.clone(), own.address)) else {
                    continue;
                };
                if health.let_in(now) {
                    effects.push(Effect::Up {
                        service: name.clone(),
                        backend: own.name.clone(),
                        address: own.address,
                        why: health.why.clone(),
                    });
                }
            }
        }
        effects
    }

    /// Hears that the connection that a probe left open is not open any more: whom it was with is asked again.
    pub fn lost(&mut self, now: Now, probe: &Probe, lost: Lost) {
        let key = (probe.service.clone(), probe.address);
        if let Some(health) = self.health.get_mut(&key) {
            health.lost(now, lost);
        }
    }

    /// Lets the bootstrap machine go, once more than half of the control plane has been in for a while.
    pub fn settle(&mut self, now: Now) -> Option<Effect> {
        let api = self.services.iter().find(|own| own.name == "api")?;
        let own: Vec<_> = api.backends.iter().filter(|own| !own.is_bootstrap).collect();
        let is_in = own.iter().filter(|own| {
            let health = self.health.get(&(api.name.clone(), own.address));
            health.is_some_and(|own| own.state == State::In)
        });
        if is_in.count() * 2 <= own.len() {
            self.enough_since = None;
            return None;
        }
        let since = *self.enough_since.get_or_insert(now.tick);
        if self.has_bootstrapped || now.tick < since + SETTLED {
            return None;
        }
        self.has_bootstrapped = true;
        let why = "more than half of the control plane is there";
        let mut was_there = false;
        for service in &self.services {
            for backend in service.backends.iter().filter(|own| own.is_bootstrap) {
                if let Some(health) = self.health.get_mut(&(service.name.clone(), backend.address)) {
                    was_there |= health.state != State::New;
                    health.retire(now, why);
                }
            }
        }
        was_there.then(|| Effect::Retired { why: why.to_owned() })
    }

    /// What share of its new connections each backend of each service gets; [`slots`] makes slots of them.
    pub fn shares(&self, now: Now) -> BTreeMap<String, BTreeMap<SocketAddrV4, u32>> {
        let of = |service: &Service| (service.name.clone(), self.shares_of(service, now.tick));
        self.services.iter().map(of).collect()
    }

    fn shares_of(&self, service: &Service, now: Duration) -> BTreeMap<SocketAddrV4, u32> {
        let takers = service
            .backends
            .iter()
            .filter(|own| !self.drained.contains(&own.name));
        let shares: BTreeMap<SocketAddrV4, u32> = takers
            .filter_map(|own| {
                let health = self.health.get(&(service.name.clone(), own.address))?;
                Some((own.address, health.share(now)))
            })
            .collect();
        // Who is left alone has all, however new it is.
        match shares.values().filter(|share| **share > 0).count() {
            1 => shares
                .into_iter()
                .map(|(own, share)| (own, share.min(1) * FULL))
                .collect(),
            _ => shares,
        }
    }

    /// How everything is.
    pub fn view(&self, now: Now) -> Vec<ServiceView<'_>> {
        let mut views = Vec::new();
        for service in &self.services {
            let slots = slots(&self.shares_of(service, now.tick));
            let backends = service.backends.iter().filter_map(|own| {
                let health = self.health.get(&(service.name.clone(), own.address))?;
                Some(BackendView {
                    name: &own.name,
                    address: own.address,
                    state: health.state,
                    is_drained: self.drained.contains(&own.name),
                    since: health.since.at,
                    why: &health.why,
                    slots: slots.values().filter(|taker| **taker == own.address).count(),
                    history: health.history.iter().cloned().collect(),
                })
            });
            views.push(ServiceView {
                service,
                backends: backends.collect(),
            });
        }
        views
    }
}
