//! What stops an upgrade, and how it goes on.

use jiff::SignedDuration;

use super::world::{World, name};
use crate::{
    drain::Pod,
    upgrade::{LIMIT, Said, Stop, Way},
};

fn pod(controller: Option<&str>) -> Pod {
    Pod {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        uid: String::new(),
        controller: controller.map(str::to_owned),
        is_static: false,
        is_over: false,
        is_going: false,
    }
}

#[test]
fn a_budget_that_is_never_met_stops_it_and_the_node_is_opened_again() {
    let mut world = World::new(1, 1);
    world.run("empty n1");
    world.pods = Some(vec![pod(Some("ReplicaSet"))]);
    world.held = vec!["shop/web: its budget needs 1".to_owned()];
    let said = world.run("stop");
    assert!(said.len() > 100, "it was asked again and again");
    assert_eq!(
        said.last().unwrap(),
        "stop: n1 is not empty after 600 s: shop/web: its budget needs 1"
    );
    assert_eq!(world.step(), "open n1");
    assert_eq!(world.step(), "stands");
    // The budget is loosened, and somebody says to go on.
    (world.pods, world.held) = (None, vec![]);
    let now = world.now;
    world.upgrade.resume(now);
    assert_eq!(world.step(), "take n1 to apply");
    world.run("finish");
}

#[test]
fn a_pod_that_nothing_makes_again_stops_it_unless_it_was_said_that_it_may_go() {
    let mut world = World::new(1, 0);
    world.run("empty n1");
    world.pods = Some(vec![pod(None)]);
    assert_eq!(
        world.step(),
        "stop: nothing would start these pods of n1 again: shop/web"
    );
    let mut world = World::new(1, 0);
    world.upgrade.force = true;
    world.run("empty n1");
    world.pods = Some(vec![pod(None)]);
    assert_eq!(world.step(), "empty n1");
}

#[test]
fn a_node_that_fails_stops_it_and_does_it_again_when_it_goes_on() {
    let mut world = World::new(3, 1);
    world.run("hand n1");
    let failed = Said::of(
        "upgrade-failed",
        serde_json::json!({ "phase": "kubeadm", "said": "no space" })
            .as_object()
            .unwrap(),
    );
    let now = world.now;
    assert!(!world.upgrade.said(&name("n2"), failed.clone().unwrap(), now));
    assert!(world.upgrade.said(&name("n1"), failed.unwrap(), now));
    let stop = world.upgrade.stop.clone().unwrap();
    assert_eq!(stop.why, "n1 failed at kubeadm: no space");
    assert_eq!(world.upgrade.work_of(&name("n1")), None);
    assert_eq!(world.step(), "stands");
    world.upgrade.resume(now);
    assert_eq!(world.upgrade.work_of(&name("n1")), Some(Way::Apply));
    world.run("finish");
}

#[test]
fn a_node_that_does_not_come_back_stops_it_with_what_is_known() {
    let mut world = World::new(1, 0);
    world.run("hand n1");
    world.api = Err("connection refused".to_owned());
    world.upgrade.said(
        &name("n1"),
        Said::At("kubeadm upgrade apply".to_owned()),
        world.now,
    );
    world.now += LIMIT + SignedDuration::from_secs(1);
    assert_eq!(
        world.step(),
        "stop: n1 is not well at v1.36.3 after 30 min: n1 is at it: kubeadm upgrade apply"
    );
}

#[test]
fn whoever_pauses_it_lets_the_node_at_its_turn_come_to_its_end() {
    let mut world = World::new(3, 1);
    world.run("hand n1");
    world.upgrade.stop = Some(Stop {
        at: world.now,
        why: "ada paused it".to_owned(),
        is_wanted: true,
    });
    assert_eq!(world.run("stands"), ["n1 does it", "open n1", "stands"]);
}
