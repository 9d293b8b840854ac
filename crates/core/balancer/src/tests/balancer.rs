//! Who is led to besides by health: the bootstrap machine, the drained, those of before; and what asking costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use expect_test::expect;

use super::world::{Does, World, all, demo};
use crate::{Backend, Balancer, Slots, services};

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
