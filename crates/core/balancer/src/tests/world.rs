//! A world whose time is a number, with the demo's site and servers that do as they are told.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use faros_model::site::Site;
use jiff::Timestamp;

use crate::{Balancer, Effect, Evidence, Fault, Lost, Now, Probe, Slots, services, slots};

/// The demo's site, with a bootstrap machine.
pub(super) fn demo() -> Site {
    let text = include_str!("../../../../../examples/three-nodes.yaml");
    let mut site = faros_site::load(text).unwrap().site;
    site.cluster.distribution = faros_model::site::Distribution::Openshift;
    site
}

pub(super) fn at(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(192, 168, 8, last), port)
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Does {
    Well,
    Refuse,
    /// Its machine is off.
    Dark,
    /// It takes connections and says nothing.
    Hang,
    NotReady,
}

impl Does {
    fn answer(self) -> (Duration, Evidence) {
        let after = Duration::from_millis;
        match self {
            Self::Well => (after(2), Evidence::Good(String::new())),
            Self::Refuse => (after(1), Evidence::Bad(Fault::Refused)),
            Self::Dark => (after(500), Evidence::Bad(Fault::Silent)),
            Self::Hang => (after(2001), Evidence::Bad(Fault::Slow)),
            Self::NotReady => (after(3), Evidence::Bad(Fault::Status(500))),
        }
    }
}

pub(super) struct World {
    pub(super) balancer: Balancer,
    pub(super) tick: Duration,
    pub(super) does: BTreeMap<SocketAddrV4, Does>,
    pub(super) under_way: Vec<(Duration, Probe, Evidence)>,
    /// Whether servers let connections open after an answer.
    pub(super) holds: bool,
    pub(super) open: BTreeMap<SocketAddrV4, Probe>,
    pub(super) ends: Vec<(Duration, Probe, Lost)>,
    pub(super) told: String,
    pub(super) probes: Vec<Duration>,
}

impl World {
    /// The demo's three servers of the API, in whatever state, none of them known.
    pub(super) fn new() -> Self {
        let mut world = Self {
            balancer: Balancer::default(),
            tick: Duration::from_secs(1000),
            does: BTreeMap::new(),
            under_way: vec![],
            holds: true,
            open: BTreeMap::new(),
            ends: vec![],
            told: String::new(),
            probes: vec![],
        };
        world.follow(&demo(), &BTreeMap::new());
        world
    }

    pub(super) fn now(&self) -> Now {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = start.checked_add(jiff::SignedDuration::try_from(self.tick).unwrap());
        Now {
            tick: self.tick,
            at: at.unwrap(),
        }
    }

    pub(super) fn follow(&mut self, site: &Site, held: &BTreeMap<String, Slots>) {
        let api = services(site).into_iter().take(1).collect();
        self.balancer.follow(self.now(), api, held);
    }

    pub(super) fn set(&mut self, node: u8, does: Does) {
        let address = at(10 + node, 6443);
        self.does.insert(address, does);
        let (after, lost) = match does {
            Does::Refuse => (Duration::from_millis(1), Lost::Ended),
            Does::Dark => (Duration::from_secs(2), Lost::Silent),
            Does::Well | Does::Hang | Does::NotReady => return,
        };
        let ended = self.open.remove(&address);
        self.ends
            .extend(ended.map(|probe| (self.tick + after, probe, lost)));
    }

    pub(super) fn run(&mut self, seconds: f64) {
        let end = self.tick + Duration::from_secs_f64(seconds);
        while self.tick < end {
            for probe in self.balancer.due(self.now()) {
                self.probes.push(self.tick);
                let does = self.does.get(&probe.address).copied().unwrap_or(Does::Dark);
                let (after, evidence) = does.answer();
                self.under_way.push((self.tick + after, probe, evidence));
            }
            let tick = self.tick;
            let (ended, rest) = self.under_way.drain(..).partition(|(at, ..)| *at <= tick);
            self.under_way = rest;
            let ended: Vec<(Duration, Probe, Evidence)> = ended;
            let now = self.now();
            for (_, probe, evidence) in ended {
                // It may have died since it answered.
                let is_held = self.holds
                    && matches!(evidence, Evidence::Good(_))
                    && self.does.get(&probe.address) == Some(&Does::Well);
                let effects = self.balancer.hear(now, &probe, &evidence, is_held);
                if is_held {
                    self.open.insert(probe.address, probe);
                } else {
                    self.open.remove(&probe.address);
                }
                for effect in &effects {
                    self.tell(effect);
                }
            }
            let (ended, rest) = self.ends.drain(..).partition(|(at, ..)| *at <= tick);
            self.ends = rest;
            let ended: Vec<(Duration, Probe, Lost)> = ended;
            for (_, probe, lost) in ended {
                self.balancer.lost(now, &probe, lost);
            }
            if let Some(effect) = self.balancer.settle(now) {
                self.tell(&effect);
            }
            let ends = self.under_way.iter().map(|(at, ..)| *at);
            let ends = ends.chain(self.ends.iter().map(|(at, ..)| *at));
            let next = ends.chain(self.balancer.next(now)).min().unwrap_or(end);
            assert!(
                next > self.tick || !self.balancer.clone().due(now).is_empty(),
                "it would spin"
            );
            self.tick = next.max(self.tick).min(end);
        }
    }

    fn tell(&mut self, effect: &Effect) {
        let seconds = self.tick.as_secs_f64() - 1000.0;
        let _ = match effect {
            Effect::Up { backend, why, .. } => writeln!(self.told, "{seconds:.0} s: {backend} in: {why}"),
            Effect::Down {
                backend, why, left, ..
            } => {
                writeln!(self.told, "{seconds:.0} s: {backend} out, {left} left: {why}")
            }
            Effect::GiveUp { address, .. } => writeln!(self.told, "{seconds:.0} s: {address} given up"),
            Effect::Retired { why } => writeln!(self.told, "{seconds:.0} s: bootstrap gone: {why}"),
        };
    }

    pub(super) fn all_slots(&self) -> BTreeMap<String, Slots> {
        let shares = self.balancer.shares(self.now()).into_iter();
        shares
            .map(|(service, shares)| (service, slots(&shares)))
            .collect()
    }

    pub(super) fn slots(&self) -> Slots {
        self.all_slots().remove("api").unwrap_or_default()
    }

    pub(super) fn share(&self, node: u8) -> usize {
        self.slots()
            .values()
            .filter(|own| **own == at(10 + node, 6443))
            .count()
    }
}

pub(super) fn all(does: Does) -> World {
    let mut world = World::new();
    (1..=3).for_each(|node| world.set(node, does));
    world
}
