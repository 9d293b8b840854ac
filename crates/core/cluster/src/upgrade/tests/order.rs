//! Who is upgraded when, and what has to be well before.

use super::world::{FROM, TO, World, name};
use crate::upgrade::{Next, Said, Wait, Way};

#[test]
fn the_control_plane_goes_first_and_the_version_moves_with_it() {
    let mut world = World::new(3, 1);
    let turn = |node: &str, way: &str| {
        [
            format!("take {node} to {way}"),
            format!("close {node}"),
            format!("empty {node}"),
            format!("hand {node}"),
            format!("{node} does it"),
            format!("open {node}"),
        ]
    };
    let mut expected = vec!["snapshot".to_owned()];
    expected.extend(turn("n1", "apply"));
    expected.extend(turn("n2", "node"));
    expected.extend(turn("n3", "node"));
    expected.push("pin".to_owned());
    expected.extend(turn("a4", "node"));
    expected.push("finish".to_owned());
    assert_eq!(world.run("finish"), expected);
}

#[test]
fn whatever_is_not_well_holds_it_up_until_it_is() {
    let says = |spoil: &dyn Fn(&mut World)| {
        let mut world = World::new(3, 1);
        spoil(&mut world);
        world.step()
    };
    assert_eq!(
        says(&|world| world.api = Err("refused".to_owned())),
        "waits: the Kubernetes API does not answer: refused"
    );
    assert_eq!(
        says(&|world| world.members[1].ill = Some("no leader".to_owned())),
        "waits: the member of etcd node-2 is not well: no leader"
    );
    assert_eq!(
        says(&|world| world.nodes.get_mut(&name("a4")).unwrap().is_ready = false),
        "waits: a4 is not ready"
    );
    assert_eq!(
        says(&|world| world.nodes.get_mut(&name("n2")).unwrap().server = Some((FROM, false))),
        "waits: kube-apiserver on n2 is not ready"
    );
    assert_eq!(
        says(&|world| world.nodes.get_mut(&name("n3")).unwrap().unready = vec!["kube-scheduler".to_owned()]),
        "waits: kube-scheduler on n3 is not ready"
    );
    assert_eq!(says(&|_| {}), "snapshot");
}

#[test]
fn who_was_closed_before_stays_closed_and_who_left_is_not_waited_for() {
    let mut world = World::new(1, 2);
    world.nodes.get_mut(&name("a2")).unwrap().is_closed = true;
    world.run("hand a3");
    world.nodes.remove(&name("a3"));
    assert_eq!(world.run("finish"), ["open a3", "finish"]);
    assert!(world.nodes[&name("a2")].is_closed);
}

#[test]
fn a_control_plane_that_was_cut_off_half_way_is_the_first_again() {
    let mut world = World::new(3, 0);
    world.upgrade.snapshot = Some("s".to_owned());
    world.nodes.get_mut(&name("n2")).unwrap().server = Some((TO, true));
    assert_eq!(world.step(), "take n2 to apply");
}

#[test]
fn a_node_that_is_done_is_not_told_again_unless_somebody_says_to_go_on() {
    let mut world = World::new(1, 0);
    world.run("hand n1");
    let (own, now) = (name("n1"), world.now);
    assert!(world.upgrade.said(&own, Said::Done, now));
    assert_eq!(world.upgrade.work_of(&own), None);
    world.upgrade.resume(now);
    assert_eq!(world.upgrade.work_of(&own), Some(Way::Apply));
}

#[test]
fn a_node_that_does_it_a_second_time_is_waited_for() {
    let mut world = World::new(1, 0);
    world.run("hand n1");
    let (own, now) = (name("n1"), world.now);
    world.upgrade.said(&own, Said::At("fetching".to_owned()), now);
    world.own().kubelet = Some(TO);
    world.own().server = Some((TO, true));
    let is_at_work = |next| matches!(next, Next::Wait(Wait::AtWork(..)));
    assert!(is_at_work(world.next()));
    world.upgrade.said(&own, Said::Done, now);
    assert_eq!(world.next(), Next::Open(own));
}
