//! Trouble of any kind between any two steps.

use faros_model::ids::HostName;
use jiff::SignedDuration;
use proptest::prelude::*;

use super::world::{TO, World};
use crate::{
    etcd::Member,
    upgrade::{LIMIT, Next, Said},
    version::kubelet_skew,
};

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
