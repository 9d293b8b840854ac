//! A world of nodes that do as they are told, and go wrong where a test says so.

use proptest::prelude::*;

use super::*;
use crate::{etcd::tests::member, version::kubelet_skew};

const FROM: KubeVersion = KubeVersion { minor: 35, patch: 4 };
const TO: KubeVersion = KubeVersion { minor: 36, patch: 3 };

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

/// A cluster, and an upgrade of it.
struct World {
    upgrade: Upgrade,
    running: KubeVersion,
    now: Timestamp,
    api: Result<(), String>,
    members: Vec<Member>,
    nodes: BTreeMap<HostName, NodeSeen>,
    pods: Option<Vec<Pod>>,
    held: Vec<String>,
}

impl World {
    fn new(n_control: usize, n_workers: usize) -> Self {
        let nodes = (1..=n_control + n_workers).map(|idx| {
            let is_control_plane = idx <= n_control;
            let seen = NodeSeen {
                is_control_plane,
                kubelet: Some(FROM),
                is_ready: true,
                is_closed: false,
                server: is_control_plane.then_some((FROM, true)),
                unready: vec![],
            };
            // Workers come first by name.
            let letter = if is_control_plane { "n" } else { "a" };
            (name(&format!("{letter}{idx}")), seen)
        });
        Self {
            upgrade: Upgrade {
                from: FROM,
                to: TO,
                by: "ada".to_owned(),
                since: Timestamp::UNIX_EPOCH,
                force: false,
                patience: 600,
                snapshot: None,
                turn: None,
                stop: None,
            },
            running: FROM,
            now: Timestamp::UNIX_EPOCH,
            api: Ok(()),
            members: (1..=n_control as u64).map(|id| member(id, true, false)).collect(),
            nodes: nodes.collect(),
            pods: None,
            held: vec![],
        }
    }

    fn next(&self) -> Next {
        let facts = Facts {
            now: self.now,
            api: self.api.clone(),
            etcd: Ok(&self.members),
            nodes: self.nodes.clone(),
            joining: None,
            pods: self.pods.as_deref(),
            held: &self.held,
        };
        next(&self.upgrade, self.running, &facts)
    }

    fn own(&mut self) -> &mut NodeSeen {
        let turn = self.upgrade.turn.as_ref().unwrap();
        self.nodes.get_mut(&turn.node).unwrap()
    }

    /// Does what was decided, as farosd and the nodes do; what that was, in a line.
    fn step(&mut self) -> String {
        let decided = self.next();
        self.now += SignedDuration::from_secs(5);
        match decided {
            Next::Stands => "stands".to_owned(),
            Next::Wait(Wait::AtWork(node, _)) => {
                let own = self.own();
                own.kubelet = Some(TO);
                own.server = own.server.map(|_| (TO, true));
                self.api = Ok(());
                let now = self.now;
                self.upgrade.said(&node, Said::Done, now);
                format!("{node} does it")
            }
            Next::Wait(wait) => format!("waits: {wait}"),
            Next::Snapshot => {
                self.upgrade.snapshot = Some("s".to_owned());
                "snapshot".to_owned()
            }
            Next::Pin => {
                self.running = TO;
                "pin".to_owned()
            }
            Next::Take(turn) => {
                let said = format!("take {} to {}", turn.node, turn.way.as_str());
                self.upgrade.turn = Some(turn);
                said
            }
            Next::Close(node) => {
                self.own().is_closed = true;
                format!("close {node}")
            }
            Next::Empty(node) => {
                self.pods.get_or_insert_default();
                format!("empty {node}")
            }
            Next::Hand(node) => {
                let now = self.now;
                let turn = self.upgrade.turn.as_mut().unwrap();
                (turn.step, turn.since) = (Step::Upgrading, now);
                self.pods = None;
                assert!(self.upgrade.work_of(&node).is_some());
                format!("hand {node}")
            }
            Next::Open(node) => {
                let turn = self.upgrade.turn.take().unwrap();
                if let Some(own) = self.nodes.get_mut(&node) {
                    own.is_closed = turn.was_closed;
                }
                format!("open {node}")
            }
            Next::Stop(why) => {
                let stop = Stop {
                    at: self.now,
                    why: why.clone(),
                    is_wanted: false,
                };
                self.upgrade.stop = Some(stop);
                format!("stop: {why}")
            }
            Next::Finish => "finish".to_owned(),
        }
    }

    fn run(&mut self, until: &str) -> Vec<String> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|last: &String| last.starts_with(until)) {
            all.push(self.step());
            assert!(all.len() < 500, "{all:#?}");
        }
        all
    }
}

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

/// What goes wrong between two steps.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    Ready(usize),
    Member(usize),
    Api,
    Closed(usize),
    Failed,
    Resumed,
    Late,
    Restarted,
}

fn trouble() -> impl Strategy<Value = Option<Trouble>> {
    prop_oneof![
        6 => Just(None),
        1 => (0_usize..6).prop_map(|idx| Some(Trouble::Ready(idx))),
        1 => (0_usize..6).prop_map(|idx| Some(Trouble::Member(idx))),
        1 => (0_usize..6).prop_map(|idx| Some(Trouble::Closed(idx))),
        1 => Just(Some(Trouble::Api)),
        1 => Just(Some(Trouble::Failed)),
        3 => Just(Some(Trouble::Resumed)),
        1 => Just(Some(Trouble::Late)),
        1 => Just(Some(Trouble::Restarted)),
    ]
}

proptest! {
    /// Whatever happens: one node at a time, the control plane first, no kubelet of a worker newer than any API server, no
    /// node begins while etcd is ill, nothing is done while it stands; and it comes to its end once the trouble is over.
    #[test]
    fn no_trouble_makes_it_do_what_it_must_not(
        n_control in 1_usize..4,
        n_workers in 0_usize..3,
        troubles in prop::collection::vec(trouble(), 0..120),
    ) {
        let mut world = World::new(n_control, n_workers);
        for trouble in troubles {
            let names: Vec<HostName> = world.nodes.keys().cloned().collect();
            match trouble {
                Some(Trouble::Ready(idx)) => {
                    let own = world.nodes.get_mut(&names[idx % names.len()]).unwrap();
                    own.is_ready = !own.is_ready;
                }
                Some(Trouble::Member(idx)) => {
                    let idx = idx % world.members.len();
                    let own = &mut world.members[idx];
                    own.ill = if own.is_well() { Some("ill".to_owned()) } else { None };
                }
                Some(Trouble::Closed(idx)) => {
                    let own = world.nodes.get_mut(&names[idx % names.len()]).unwrap();
                    own.is_closed = !own.is_closed;
                }
                Some(Trouble::Api) => {
                    world.api = if world.api.is_ok() { Err("away".to_owned()) } else { Ok(()) };
                }
                Some(Trouble::Failed) => {
                    if let Some(turn) = world.upgrade.turn.clone() {
                        let now = world.now;
                        world.upgrade.said(&turn.node, Said::Failed("at it".to_owned()), now);
                    }
                }
                Some(Trouble::Resumed) => {
                    let now = world.now;
                    world.upgrade.resume(now);
                }
                Some(Trouble::Late) => world.now += LIMIT + SignedDuration::from_secs(1),
                Some(Trouble::Restarted) => {
                    let text = serde_json::to_string(&world.upgrade).unwrap();
                    world.upgrade = serde_json::from_str(&text).unwrap();
                    (world.pods, world.held) = (None, vec![]);
                }
                None => {}
            }
            let before = world.upgrade.clone();
            let decided = world.next();
            if before.stop.is_some() {
                prop_assert!(before.stop == world.upgrade.stop);
                let goes_on = matches!(decided, Next::Stands | Next::Open(_));
                prop_assert!(goes_on, "{:?}", decided);
            }
            match &decided {
                Next::Take(turn) => {
                    prop_assert!(before.turn.is_none() && before.snapshot.is_some());
                    let own = &world.nodes[&turn.node];
                    let mut servers = world.nodes.values().filter_map(|own| own.server);
                    prop_assert!(own.is_control_plane || servers.all(|(server, _)| kubelet_skew(TO, server).is_ok()));
                    let mut control = world.nodes.values().filter(|own| own.is_control_plane);
                    prop_assert!(own.is_control_plane || control.all(|own| own.is_at(TO)));
                }
                Next::Hand(_) => {
                    prop_assert!(world.members.iter().all(Member::is_well));
                    prop_assert!(world.api.is_ok());
                }
                _ => {}
            }
            world.step();
        }
        // The trouble is over.
        world.api = Ok(());
        for own in &mut world.members {
            own.ill = None;
        }
        for own in world.nodes.values_mut() {
            own.is_ready = true;
        }
        let now = world.now;
        world.upgrade.resume(now);
        world.run("finish");
        prop_assert!(world.nodes.values().all(|own| own.is_at(TO)));
        prop_assert_eq!(world.running, TO);
    }
}
