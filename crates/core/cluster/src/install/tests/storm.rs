//! Nodes that do anything at any time.

use proptest::prelude::*;

use super::world::World;
use crate::install::{Progress, Verdict, Work};

proptest! {
    /// Whatever nodes do and whenever they die: one cluster, never two; and when the storm is over, all are in it.
    #[test]
    fn there_is_only_ever_one_cluster(storm in proptest::collection::vec((0_usize..5, 0_u8..7), 0..200)) {
        let mut world = World::new();
        let names = ["a", "b", "c", "w", "x"];
        for (node, what) in storm {
            let name = names[node];
            match what {
                0 => world.boots(name),
                1 | 2 if world.seen(name).live.is_some() => {
                    let was_established = world.observed.is_established;
                    let verdict = world.asks(name);
                    prop_assert!(verdict != Verdict::Do(Work::Init) || !was_established);
                }
                3 => {
                    // What a node says of an `init` that was taken from it is refused.
                    let attempt = world.seen(name).attempt.clone();
                    let is_late = world.observed.is_established
                        && attempt.is_some_and(|attempt| attempt.work == Work::Init && attempt.progress != Progress::Joined);
                    if !is_late {
                        world.says(name, Progress::Joined);
                    }
                }
                4 => world.says(name, Progress::Failed { phase: "join".into(), said: "no".into() }),
                5 => world.seen(name).live = None,
                6 => world.passes(400),
                _ => {}
            }
            let now = world.observed.now;
            let at_it = |work: Work| {
                let nodes = world.observed.nodes.values();
                nodes.filter(|seen| seen.attempt.as_ref().is_some_and(|own| own.work == work && own.is_under_way(now))).count()
            };
            prop_assert!(at_it(Work::Init) <= 1);
            prop_assert!(at_it(Work::JoinControlPlane) <= 1);
        }
        // Calm: everybody boots, asks and succeeds.
        world.passes(3600);
        for name in names {
            world.boots(name);
        }
        for _ in 0..20 {
            for name in names {
                let verdict = world.asks(name);
                if let Verdict::Do(_) = verdict {
                    world.says(name, Progress::Joined);
                }
            }
        }
        for name in names {
            prop_assert_eq!(world.verdict(name), Verdict::Done, "{}", name);
        }
    }
}
