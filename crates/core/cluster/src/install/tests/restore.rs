//! A cluster that begins anew from a snapshot.

use faros_model::ids::HostName;

use super::world::World;
use crate::install::{Verdict, Wait, Work};

#[test]
fn a_cluster_that_is_restored_waits_until_the_others_have_left_it() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.boots(name);
    }
    world.observed.restoring = Some(world.observed.now);
    world.seen("b").is_asking = false;
    world.seen("b").is_leaving = true;
    let b: HostName = "b".parse().unwrap();
    assert_eq!(world.asks("a"), Verdict::Wait(Wait::Leaving(b)));
    assert!(matches!(world.asks("c"), Verdict::Wait(Wait::First(_))));
    world.seen("b").is_leaving = false;
    assert_eq!(world.asks("a"), Verdict::Do(Work::Init));
}

#[test]
fn a_node_that_is_dead_does_not_hold_a_restore_up() {
    let mut world = World::new();
    world.boots("a");
    world.observed.restoring = Some(world.observed.now);
    world.seen("c").is_leaving = true;
    assert!(matches!(world.asks("a"), Verdict::Wait(Wait::Leaving(_))));
    world.passes(301);
    assert_eq!(world.asks("a"), Verdict::Do(Work::Init));
}
