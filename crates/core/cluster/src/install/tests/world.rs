//! A small world of nodes that ask, work, fail and die, told in lines.

use std::collections::BTreeMap;

use expect_test::Expect;
use faros_model::{ids::SessionId, site::Site};
use jiff::{SignedDuration, Timestamp};

use crate::{
    install::{Api, Attempt, Member, Observed, Progress, Seen, Verdict, Work, verdicts},
    tests::small_site,
};

pub(super) struct World {
    site: Site,
    pub(super) observed: Observed,
    sessions: u64,
}

impl World {
    pub(super) fn new() -> Self {
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

    pub(super) fn seen(&mut self, name: &str) -> &mut Seen {
        self.observed.nodes.entry(name.parse().unwrap()).or_default()
    }

    /// A boot of the node, whose script asks.
    pub(super) fn boots(&mut self, name: &str) {
        self.sessions += 1;
        let session = SessionId(self.sessions);
        let seen = self.seen(name);
        seen.live = Some(session);
        seen.is_asking = true;
    }

    pub(super) fn verdict(&self, name: &str) -> Verdict {
        verdicts(&self.site, &self.observed)[&name.parse().unwrap()].clone()
    }

    /// The node asks, and is handed what it may do, if it may do something.
    pub(super) fn asks(&mut self, name: &str) -> Verdict {
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
    pub(super) fn says(&mut self, name: &str, progress: Progress) {
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

    pub(super) fn passes(&mut self, seconds: i64) {
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
pub(super) fn check(story: &Expect) {
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
