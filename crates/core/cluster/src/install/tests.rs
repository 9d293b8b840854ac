//! A small world of nodes that ask, work, fail and die, told in lines.

mod fifty;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::tests::small_site;

struct World {
    site: Site,
    observed: Observed,
    sessions: u64,
}

impl World {
    fn new() -> Self {
        Self {
            site: small_site(&[
                ("a", "control-plane, worker"),
                ("b", "control-plane, worker"),
                ("c", "control-plane, worker"),
                ("w", "worker"),
                ("x", "frontend"),
            ]),
            observed: Observed {
                now: Timestamp::UNIX_EPOCH,
                is_established: false,
                is_upgrading: false,
                restoring: None,
                api: Api::NotReady("nobody answers".to_owned()),
                nodes: BTreeMap::new(),
            },
            sessions: 0,
        }
    }

    fn seen(&mut self, name: &str) -> &mut Seen {
        self.observed.nodes.entry(name.parse().unwrap()).or_default()
    }

    /// A boot of the node, whose script asks.
    fn boots(&mut self, name: &str) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let seen = self.seen(name);
        seen.live = Some(session);
        seen.is_asking = true;
    }

    fn verdict(&self, name: &str) -> Verdict {
        verdicts(&self.site, &self.observed)[&name.parse().unwrap()].clone()
    }

    /// The node asks, and is handed what it may do, if it may do something.
    fn asks(&mut self, name: &str) -> Verdict {
        self.seen(name).is_asking = true;
        let verdict = self.verdict(name);
        let now = self.observed.now;
        let seen = self.seen(name);
        match &verdict {
            Verdict::Do(work) => {
                let session = seen.live.unwrap();
                seen.attempt = Some(Attempt::handed(*work, session, now, seen.attempt.as_ref()));
                seen.is_asking = false;
            }
            Verdict::Done => seen.is_asking = false,
            Verdict::Wait(_) | Verdict::Failed(_) => {}
        }
        verdict
    }

    /// The node says how it went.
    fn says(&mut self, name: &str, progress: Progress) {
        let now = self.observed.now;
        let seen = self.seen(name);
        let Some(attempt) = seen.attempt.take() else {
            return;
        };
        let is_first = attempt.work == Work::Init && progress == Progress::Joined;
        let fails = matches!(progress, Progress::Failed { .. });
        if progress == Progress::Joined {
            seen.member = Some(Member {
                is_ready: true,
                created: now,
            });
            seen.etcd = (attempt.work != Work::JoinWorker).then_some(true);
        }
        seen.attempt = Some(attempt.said(progress, now));
        seen.is_asking = fails;
        if is_first {
            self.observed.is_established = true;
            self.observed.api = Api::Ready;
        }
    }

    fn passes(&mut self, seconds: i64) {
        self.observed.now += SignedDuration::from_secs(seconds);
    }
}

fn shown(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Do(work) => work.as_str().to_owned(),
        Verdict::Wait(why) => format!("wait ({}): {why}", why.reason().as_str()),
        Verdict::Done => "done".to_owned(),
        Verdict::Failed(why) => format!("failed: {why}"),
    }
}

/// A story whose answers are what they are; its other lines are what happens.
fn check(story: &Expect) {
    let happens = |line: &&str| !line.trim_start().starts_with("->");
    let script: Vec<&str> = story.data.lines().filter(happens).collect();
    story.assert_eq(&run(&script));
}

fn run(script: &[&str]) -> String {
    let mut world = World::new();
    let mut out = String::new();
    for line in script
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        out += line;
        out += "\n";
        match *words.as_slice() {
            ["boots", name] => world.boots(name),
            ["asks", name] => {
                let verdict = world.asks(name);
                out += "  -> ";
                out += &shown(&verdict);
                out += "\n";
            }
            ["joined", name] => world.says(name, Progress::Joined),
            ["fails", name] => world.says(
                name,
                Progress::Failed {
                    phase: "init".to_owned(),
                    said: "no space left on device".to_owned(),
                },
            ),
            ["silent", name] => world.seen(name).live = None,
            ["reinstalled", name] => {
                world.seen(name).attempt = None;
                world.boots(name);
            }
            ["not-ready", name] => world.seen(name).member.as_mut().unwrap().is_ready = false,
            // Its kubelet has joined, and the word of it was lost.
            ["member", name] => {
                let created = world.observed.now;
                world.seen(name).member = Some(Member {
                    is_ready: true,
                    created,
                });
            }
            ["etcd", name, how] => world.seen(name).etcd = Some(how == "well"),
            ["api", how] => {
                world.observed.api = match how {
                    "ready" => Api::Ready,
                    _ => Api::NotReady("etcd failed".to_owned()),
                }
            }
            ["upgrade", how] => world.observed.is_upgrading = how == "begins",
            ["after", seconds] => world.passes(seconds.parse().unwrap()),
            _ => panic!("{line}"),
        }
    }
    out
}

#[test]
fn one_begins_the_others_follow_one_by_one_and_workers_at_once() {
    check(&expect![[r"
        asks w
          -> wait (not-booted): the node is in no live boot session
        boots w
        asks w
          -> wait (no-control-plane): no control-plane node has begun the cluster
        boots b
        asks b
          -> init
        boots a
        asks a
          -> wait (first): b begins the control plane
        asks w
          -> wait (first): b begins the control plane
        joined b
        boots c
        asks c
          -> wait (turn): a joins the control plane first
        asks a
          -> join-control-plane
        asks c
          -> wait (turn): a joins the control plane first
        asks w
          -> wait (turn): a joins the control plane first
        joined a
        asks c
          -> join-control-plane
        joined c
        asks w
          -> join-worker
        boots x
        asks x
          -> join-worker
        joined w
        asks w
          -> done
    "]]);
}

#[test]
fn a_node_that_died_at_it_is_handed_the_same_again() {
    check(&expect![[r"
        boots a
        boots b
        asks a
          -> init
        silent a
        asks b
          -> wait (first): a begins the control plane
        after 300
        boots a
        asks b
          -> wait (first): a begins the control plane
        asks a
          -> init
        joined a
        asks b
          -> join-control-plane
        boots b
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn a_first_node_that_never_comes_back_is_given_up_and_joins_when_it_does() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        silent a
        boots b
        asks b
          -> wait (first): a begins the control plane
        after 1201
        asks b
          -> init
        joined b
        boots a
        asks a
          -> join-control-plane
    "]]);
}

#[test]
fn who_fails_three_times_is_left_to_people_until_it_boots_again() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        fails a
        asks a
          -> wait (pause): the node has failed, and tries again in 31 s
        after 31
        asks a
          -> init
        fails a
        after 61
        asks a
          -> init
        fails a
        asks a
          -> failed: failed 3 times, at last at init: no space left on device
        boots b
        asks b
          -> init
        after 91
        boots a
        asks a
          -> wait (first): b begins the control plane
    "]]);
}

#[test]
fn who_is_started_anew_after_a_failure_need_not_wait() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        fails a
        boots a
        asks a
          -> init
    "]]);
}

#[test]
fn nobody_joins_a_cluster_that_is_not_well() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        boots w
        api down
        asks b
          -> wait (api): the Kubernetes API is not ready: etcd failed
        asks w
          -> wait (api): the Kubernetes API is not ready: etcd failed
        api ready
        etcd a ill
        asks b
          -> wait (etcd): the member of etcd on a is not well
        asks w
          -> wait (turn): b joins the control plane first
        etcd a well
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn nobody_joins_while_the_control_plane_is_upgraded_and_an_old_member_goes_all_the_same() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        upgrade begins
        asks a
          -> done
        asks b
          -> wait (upgrade): the control plane is being upgraded, and nobody joins meanwhile
        boots w
        asks w
          -> wait (turn): b joins the control plane first
        etcd b ill
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
        upgrade ends
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
    "]]);
}

#[test]
fn a_machine_in_the_place_of_another_waits_for_what_is_left_of_it() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        asks b
          -> join-control-plane
        joined b
        reinstalled b
        asks b
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready b
        asks b
          -> wait (old-member): etcd has a member of the node's life before, or of a try that failed, which has to go first
        boots w
        asks w
          -> join-worker
        joined w
        reinstalled w
        asks w
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready w
        asks w
          -> join-worker
    "]]);
}

#[test]
fn a_control_plane_that_lost_power_in_the_middle_joins_anew_though_its_kubelet_was_ready() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots b
        asks b
          -> join-control-plane
        member b
        boots b
        asks b
          -> wait (still-ready): Kubernetes takes the node for one that runs, from its life before; that ends within a minute
        not-ready b
        asks b
          -> join-control-plane
    "]]);
}

#[test]
fn a_late_failure_takes_nothing_from_whoever_is_at_it() {
    check(&expect![[r"
        boots b
        asks b
          -> init
        after 1600
        boots a
        asks a
          -> init
        fails b
        after 60
        asks b
          -> wait (first): a begins the control plane
    "]]);
}

#[test]
fn a_join_whose_word_was_lost_is_done() {
    check(&expect![[r"
        boots a
        asks a
          -> init
        joined a
        boots w
        asks w
          -> join-worker
        after 20
        member w
        boots w
        asks w
          -> done
    "]]);
}

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
