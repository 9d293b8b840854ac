//! A world of nodes that do as they are told, and go wrong where a test says so.

use std::collections::BTreeMap;

use faros_model::{ids::HostName, kubernetes::KubeVersion};
use jiff::{SignedDuration, Timestamp};

use crate::{
    drain::Pod,
    etcd::{Member, tests::member},
    upgrade::{Facts, Next, NodeSeen, Said, Step, Stop, Upgrade, Wait, next},
};

pub(super) const FROM: KubeVersion = KubeVersion { minor: 35, patch: 4 };
pub(super) const TO: KubeVersion = KubeVersion { minor: 36, patch: 3 };

pub(super) fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

/// A cluster, and an upgrade of it.
pub(super) struct World {
    pub(super) upgrade: Upgrade,
    pub(super) running: KubeVersion,
    pub(super) now: Timestamp,
    pub(super) api: Result<(), String>,
    pub(super) members: Vec<Member>,
    pub(super) nodes: BTreeMap<HostName, NodeSeen>,
    pub(super) pods: Option<Vec<Pod>>,
    pub(super) held: Vec<String>,
}

impl World {
    pub(super) fn new(n_control: usize, n_workers: usize) -> Self {
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

    pub(super) fn next(&self) -> Next {
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

    pub(super) fn own(&mut self) -> &mut NodeSeen {
        let turn = self.upgrade.turn.as_ref().unwrap();
        self.nodes.get_mut(&turn.node).unwrap()
    }

    /// Does what was decided, as farosd and the nodes do; what that was, in a line.
    pub(super) fn step(&mut self) -> String {
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

    pub(super) fn run(&mut self, until: &str) -> Vec<String> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|last: &String| last.starts_with(until)) {
            all.push(self.step());
            assert!(all.len() < 500, "{all:#?}");
        }
        all
    }
}
