//! Backends in a world whose time is a number: servers that die, hang, flap and come back.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use expect_test::expect;
use faros_model::site::Site;
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// The demo's site, with a bootstrap machine.
fn demo() -> Site {
    let text = include_str!("../../../../examples/three-nodes.yaml");
    let mut site = faros_site::load(text).unwrap().site;
    site.cluster.distribution = faros_model::site::Distribution::Openshift;
    site
}

fn at(last: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::new(192, 168, 8, last), port)
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
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

struct World {
    balancer: Balancer,
    tick: Duration,
    does: BTreeMap<SocketAddrV4, Does>,
    under_way: Vec<(Duration, Probe, Evidence)>,
    /// Whether servers let connections open after an answer.
    holds: bool,
    open: BTreeMap<SocketAddrV4, Probe>,
    ends: Vec<(Duration, Probe, Lost)>,
    told: String,
    probes: Vec<Duration>,
}

impl World {
    /// The demo's three servers of the API, in whatever state, none of them known.
    fn new() -> Self {
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

    fn now(&self) -> Now {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let at = start.checked_add(jiff::SignedDuration::try_from(self.tick).unwrap());
        Now {
            tick: self.tick,
            at: at.unwrap(),
        }
    }

    fn follow(&mut self, site: &Site, held: &BTreeMap<String, Slots>) {
        let api = services(site).into_iter().take(1).collect();
        self.balancer.follow(self.now(), api, held);
    }

    fn set(&mut self, node: u8, does: Does) {
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

    fn run(&mut self, seconds: f64) {
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

    fn all_slots(&self) -> BTreeMap<String, Slots> {
        let shares = self.balancer.shares(self.now()).into_iter();
        shares
            .map(|(service, shares)| (service, slots(&shares)))
            .collect()
    }

    fn slots(&self) -> Slots {
        self.all_slots().remove("api").unwrap_or_default()
    }

    fn share(&self, node: u8) -> usize {
        self.slots()
            .values()
            .filter(|own| **own == at(10 + node, 6443))
            .count()
    }
}

fn all(does: Does) -> World {
    let mut world = World::new();
    (1..=3).for_each(|node| world.set(node, does));
    world
}

#[test]
fn a_dead_machine_is_out_in_some_seconds_and_given_up_and_comes_back_little_by_little() {
    let mut world = all(Does::Well);
    world.run(60.0);
    assert_eq!([1, 2, 3].map(|node| world.share(node)).iter().sum::<usize>(), 128);
    world.set(2, Does::Dark);
    world.run(10.0);
    assert_eq!(world.share(2), 0);
    world.set(2, Does::Well);
    world.run(5.0);
    let new = world.share(2);
    assert!((1..20).contains(&new), "{new}");
    world.run(20.0);
    assert!((42..44).contains(&world.share(2)));
    expect![[r"
        0 s: node-1 in: answers
        0 s: node-2 in: answers
        0 s: node-3 in: answers
        63 s: node-2 out, 2 left: does not answer at all
        63 s: 192.168.8.12:6443 given up
        71 s: node-2 in: answers
    "]]
    .assert_eq(&world.told);
}

#[test]
fn every_fault_is_found_in_time_wherever_it_falls() {
    for (holds, does, limit) in [
        (true, Does::Refuse, 1.1),
        (true, Does::NotReady, 3.9),
        (true, Does::Dark, 3.6),
        (true, Does::Hang, 9.1),
        (false, Does::Refuse, 1.1),
        (false, Does::NotReady, 1.9),
        (false, Does::Dark, 2.6),
        (false, Does::Hang, 7.1),
    ] {
        for part in 0..40_u32 {
            let mut world = World::new();
            world.holds = holds;
            (1..=3).for_each(|node| world.set(node, Does::Well));
            world.run(30.0 + 3.0 * f64::from(part) / 40.0);
            world.set(1, does);
            world.run(limit);
            assert_eq!(
                world.share(1),
                0,
                "{does:?}, held: {holds}, {part}:\n{}",
                world.told
            );
            assert_eq!(world.share(2) + world.share(3), 128);
        }
    }
}

#[test]
fn a_server_that_ends_every_connection_is_asked_once_a_second_and_stays_in() {
    let mut world = all(Does::Well);
    world.run(30.0);
    let asked = world.probes.len();
    for _ in 0..2000 {
        world.run(0.01);
        if let Some(probe) = world.open.remove(&at(11, 6443)) {
            world.ends.push((world.tick, probe, Lost::Ended));
        }
    }
    let asked = world.probes.len() - asked;
    // One each second, the others each third second.
    assert!((31..=36).contains(&asked), "{asked}");
    assert!((42..44).contains(&world.share(1)), "{}", world.told);
}

#[test]
fn the_last_one_is_not_put_out_by_a_single_refusal() {
    let mut world = all(Does::Dark);
    world.set(1, Does::Well);
    world.run(20.0);
    assert_eq!(world.share(1), 128);
    // One refusal, such as of a server that starts anew.
    let asked = world.probes.len();
    world.set(1, Does::Refuse);
    while world
        .under_way
        .iter()
        .all(|(_, probe, _)| probe.address != at(11, 6443))
        || world.probes.len() == asked
    {
        world.run(0.001);
    }
    world.run(0.01);
    assert_eq!(world.share(1), 128, "{}", world.told);
    world.run(2.5);
    assert_eq!(world.slots(), Slots::new(), "it stays away: nobody is in");
    world.set(1, Does::Well);
    world.run(2.3);
    assert_eq!(
        world.share(1),
        128,
        "the only one is let in by its first good answer"
    );
}

#[test]
fn who_flaps_a_hundred_times_is_kept_out_ever_longer_as_long_as_others_serve() {
    let mut world = all(Does::Well);
    world.run(10.0);
    for _ in 0..100 {
        world.set(3, Does::Refuse);
        world.run(3.0);
        world.set(3, Does::Well);
        world.run(3.0);
        assert!(!world.slots().is_empty());
    }
    let outs = world.told.matches("node-3 out").count();
    assert!((2..10).contains(&outs), "{outs} of 100:\n{}", world.told);
    let view = world.balancer.view(world.now());
    let node = view[0].backends.iter().find(|own| own.name == "node-3").unwrap();
    assert!(node.history.len() <= 32);
    // It has to be good for a minute at most, and then is.
    world.run(65.0);
    assert!(world.share(3) > 0, "{}", world.told);
    // Alone, it serves whenever it can.
    world.set(1, Does::Dark);
    world.set(2, Does::Dark);
    for _ in 0..10 {
        world.set(3, Does::Refuse);
        world.run(3.0);
        assert_eq!(world.share(3), 0);
        world.set(3, Does::Well);
        world.run(3.0);
        assert_eq!(world.share(3), 128);
    }
}

#[test]
fn the_bootstrap_machine_goes_when_most_of_the_control_plane_has_been_there_for_a_while() {
    let mut world = all(Does::Dark);
    let bootstrap = demo().lan.addresses.bootstrap;
    world.does.insert(SocketAddrV4::new(bootstrap, 6443), Does::Well);
    world.run(20.0);
    assert_eq!(world.slots().len(), 128, "it serves alone at first");
    world.set(1, Does::Well);
    world.run(60.0);
    world.set(2, Does::Well);
    world.run(60.0);
    // Once it has gone it does not come back, not even with another generation.
    world.follow(&demo(), &BTreeMap::new());
    world.set(1, Does::Refuse);
    world.set(2, Does::Refuse);
    world.run(10.0);
    assert_eq!(world.slots(), Slots::new());
    expect![[r"
        0 s: bootstrap in: answers
        20 s: node-1 in: answers
        80 s: node-2 in: answers
        110 s: bootstrap gone: more than half of the control plane is there
        140 s: node-1 out, 1 left: refuses connections
        141 s: node-2 out, 0 left: refuses connections
    "]]
    .assert_eq(&world.told);
}

#[test]
fn who_is_drained_gets_nothing_new_and_the_last_one_is_known_to_be() {
    let mut world = all(Does::Well);
    world.run(40.0);
    assert!(world.balancer.needs("node-1", world.now()).is_empty());
    world
        .balancer
        .drain(BTreeSet::from(["node-1".to_owned(), "node-2".to_owned()]));
    assert_eq!((world.share(1), world.share(2), world.share(3)), (0, 0, 128));
    assert_eq!(world.balancer.needs("node-3", world.now()), ["api"]);
    world.set(3, Does::Refuse);
    world.run(3.0);
    assert_eq!(
        world.slots(),
        Slots::new(),
        "nobody is led to against the operator's will"
    );
    world.balancer.drain(BTreeSet::new());
    assert_eq!(world.share(1) + world.share(2), 128);
}

#[test]
fn what_the_kernel_leads_to_already_is_led_to_until_a_probe_says_otherwise() {
    let mut world = all(Does::Well);
    world.run(40.0);
    let held = world.all_slots();
    let mut next = all(Does::Dark);
    next.balancer = Balancer::default();
    next.follow(&demo(), &held);
    assert_eq!(next.all_slots(), held);
    next.run(5.0);
    assert_eq!(next.slots(), Slots::new());
}

#[test]
fn those_who_are_well_cost_few_wake_ups() {
    let mut world = all(Does::Well);
    world.run(120.0);
    let late = |at: &&Duration| **at > Duration::from_secs(1060);
    let mut probes: Vec<Duration> = world.probes.iter().filter(late).copied().collect();
    // Three servers each three seconds; the dark bootstrap machine has gone by then.
    assert!((57..=60).contains(&probes.len()), "{}", probes.len());
    probes.dedup();
    assert!(
        probes.len() <= 20,
        "all are asked in one go, {} times",
        probes.len()
    );
}

#[test]
fn a_thousand_servers_are_not_asked_in_one_go() {
    let mut world = World::new();
    let mut many = services(&demo()).remove(0);
    let backend = |n: u16| Backend {
        name: format!("node-{n}"),
        address: SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + u32::from(n)), 6443),
        is_bootstrap: false,
    };
    many.backends = (1..=1000).map(backend).collect();
    for own in &many.backends {
        world.does.insert(own.address, Does::Well);
    }
    world.balancer.follow(world.now(), vec![many], &BTreeMap::new());
    world.run(9.0);
    assert!(world.probes.len() >= 3000, "{}", world.probes.len());
    for at in &world.probes {
        let together = world.probes.iter().filter(|own| *own == at).count();
        assert!(together <= 64, "{together} at {at:?}");
    }
}

#[test]
fn the_services_of_the_examples_are_these() {
    let text = include_str!("../../../../examples/everything.yaml");
    let told = |site: &Site| {
        let lines = facts(site)
            .into_iter()
            .map(|(subject, text)| format!("{subject}: {text}\n"));
        lines.collect::<String>()
    };
    expect![[r"
        authority of the API: the site file's
        holds: 192.168.8.2, 192.168.8.3
        server node-1: 192.168.8.11 for api, ingress-http, ingress-https, mqtt
        server node-2: 192.168.8.12 for ingress-http, ingress-https, mqtt
        service api: 6443/tcp on 192.168.8.2; https /readyz
        service ingress-http: 80/tcp on 192.168.8.3, by the client's address; tcp connect
        service ingress-https: 443/tcp on 192.168.8.3, by the client's address; tcp connect
        service mqtt: 8883/tcp on 192.168.8.3; tcp connect
    "]]
    .assert_eq(&told(&faros_site::load(text).unwrap().site));
}

fn shares(backends: &[u32]) -> BTreeMap<SocketAddrV4, u32> {
    let own = backends.iter().zip(1..);
    own.map(|(share, last)| (at(last, 6443), *share)).collect()
}

fn moved(before: &Slots, after: &Slots) -> usize {
    before
        .iter()
        .filter(|(slot, own)| after.get(slot) != Some(own))
        .count()
}

proptest! {
    #[test]
    fn every_slot_belongs_to_someone_by_share_to_within_one(own in prop::collection::vec(0..9_u32, 0..20)) {
        let shares = shares(&own);
        let whole: u32 = own.iter().sum();
        let slots = slots(&shares);
        prop_assert_eq!(slots.len(), if whole == 0 { 0 } else { 128 });
        let takers = own.iter().filter(|share| **share > 0).count();
        for (backend, share) in shares {
            let n = slots.values().filter(|own| **own == backend).count();
            prop_assert_eq!(n > 0, share > 0);
            if share > 0 {
                // One each, and of the rest a fair part: in parts of the whole, so that nothing is rounded.
                let (n, whole) = (i64::try_from(n).unwrap(), i64::from(whole));
                let rest = 128 - i64::try_from(takers).unwrap();
                let off = (n - 1) * whole - rest * i64::from(share);
                prop_assert!(off.abs() <= whole, "{} of {}", n, share);
            }
        }
    }

    #[test]
    fn few_slots_but_those_of_who_leaves_change_hands(n in 2..12_usize, leaves in 0..12_usize) {
        let mut own = vec![8; n];
        let before = slots(&shares(&own));
        own[leaves % n] = 0;
        let after = slots(&shares(&own));
        let least = before.values().filter(|own| **own == at(u8::try_from(leaves % n).unwrap() + 1, 6443)).count();
        let moved = moved(&before, &after);
        prop_assert!(moved >= least);
        prop_assert!(moved <= least * 2 + 4, "{moved} moved, {least} had to");
        // And who comes back has what it had.
        own[leaves % n] = 8;
        prop_assert_eq!(slots(&shares(&own)), before);
    }

    #[test]
    fn whatever_servers_do_nobody_is_led_to_one_that_has_been_dead_for_four_seconds(
        holds in any::<bool>(),
        script in prop::collection::vec((1..=3_u8, 0..5_usize, 0.1..8.0_f64), 1..30),
    ) {
        let mut world = World::new();
        world.holds = holds;
        let what = [Does::Well, Does::Refuse, Does::Dark, Does::Hang, Does::NotReady];
        let mut dark_since: BTreeMap<u8, Duration> = BTreeMap::new();
        let mut well_since: BTreeMap<u8, Duration> = BTreeMap::new();
        for (node, does, seconds) in script {
            world.set(node, what[does]);
            for (own, since) in [(Does::Dark, &mut dark_since), (Does::Well, &mut well_since)] {
                if what[does] == own {
                    since.entry(node).or_insert(world.tick);
                } else {
                    since.remove(&node);
                }
            }
            world.run(seconds);
            for (node, since) in &dark_since {
                // A probe that hung when the machine died is waited for first.
                if world.tick.checked_sub(*since).unwrap() > Duration::from_secs_f64(3.7 + 2.1) {
                    prop_assert_eq!(world.share(*node), 0, "node-{} is dark\n{}", node, world.told);
                }
            }
            // Where anyone has been well for long enough, someone is led to.
            if well_since.values().any(|since| world.tick.checked_sub(*since).unwrap() > Duration::from_secs(5)) {
                prop_assert!(!world.slots().is_empty(), "{}", world.told);
            }
        }
    }
}
