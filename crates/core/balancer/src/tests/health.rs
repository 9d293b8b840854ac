//! Servers that die, hang, flap and come back, and in what time that is found.

use std::{collections::BTreeMap, time::Duration};

use expect_test::expect;
use proptest::prelude::*;

use super::world::{Does, World, all, at};
use crate::{Lost, Slots};

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
fn those_that_come_in_together_have_equal_shares_at_once() {
    let mut world = all(Does::Well);
    world.run(0.5);
    let shares = |world: &World| [1, 2, 3].map(|node| world.share(node));
    assert!(
        shares(&world).iter().all(|n| (42..44).contains(n)),
        "{}",
        world.told
    );
    // The same after all were away, though each is asked in its own turn.
    (1..=3).for_each(|node| world.set(node, Does::Dark));
    world.run(30.0);
    assert_eq!(shares(&world), [0; 3], "{}", world.told);
    (1..=3).for_each(|node| world.set(node, Does::Well));
    world.run(4.0);
    assert!(
        shares(&world).iter().all(|n| (42..44).contains(n)),
        "{}",
        world.told
    );
}

#[test]
fn who_comes_in_beside_one_that_had_the_work_begins_with_little() {
    // Five seconds after the first.
    let mut world = World::new();
    world.set(1, Does::Well);
    world.run(5.0);
    world.set(2, Does::Well);
    world.run(4.0);
    assert!((1..40).contains(&world.share(2)), "{}", world.told);

    // farosd starts anew, and the kernel leads to one of them already.
    let held = BTreeMap::from([("api".to_owned(), Slots::from([(0, at(11, 6443))]))]);
    let mut world = World::new();
    world.balancer = crate::Balancer::default();
    world.follow(&super::world::demo(), &held);
    (1..=2).for_each(|node| world.set(node, Does::Well));
    world.run(1.0);
    assert!((1..40).contains(&world.share(2)), "{}", world.told);
}

#[test]
fn two_that_begin_with_little_are_alike_when_the_one_that_had_the_work_ends() {
    let mut world = World::new();
    world.set(3, Does::Well);
    world.run(30.0);
    world.set(1, Does::Well);
    world.run(3.5);
    world.set(3, Does::Refuse);
    world.set(2, Does::Well);
    world.run(3.5);
    let shares = [1, 2].map(|node| world.share(node));
    assert_eq!(shares.iter().sum::<usize>(), 128, "{}", world.told);
    assert!(
        shares.iter().all(|n| (32..=96).contains(n)),
        "{shares:?}\n{}",
        world.told
    );
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

proptest! {
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
