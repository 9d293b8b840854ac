//! Fifty nodes that boot at once, in a world with a seed: they fail, lose power, and the bastion starts anew.

use std::collections::BTreeMap;

use faros_model::{
    ids::{HostName, SessionId},
    site::{Role, Site},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    PodBlocks, Record, Said,
    install::{Api, Member, Observed, Progress, Seen, Verdict, Wait, Work, verdicts},
    status::{Evidence, status},
    tests::small_site,
};

const CONTROL: usize = 5;
const ALL: usize = 50;
/// No faults after so many seconds.
const STORM: i64 = 1_800;
/// All are in so many seconds after the storm: longer than a control plane may be given up by one who died at it.
const CALM: i64 = 2_400;

/// Numbers that follow from a seed (xorshift64*, G. Marsaglia and S. Vigna).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % below
    }

    fn seconds(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.roll((to - from).unsigned_abs())).unwrap()
    }
}

/// What a node does until some second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It is off, or boots.
    Boots { until: i64 },
    /// It waits, and asks then.
    Asks { at: i64 },
    /// It is at work on what it was handed.
    Works { work: Work, until: i64, fails: bool },
    /// It is a member.
    Runs,
}

struct Fifty {
    site: Site,
    record: Record,
    dice: Dice,
    second: i64,
    session: u64,
    /// What nodes do, and in which boot.
    nodes: BTreeMap<HostName, (Doing, SessionId)>,
    /// What the bastion has in memory: who asked when. A restart forgets it.
    asked: BTreeMap<HostName, i64>,
    /// When the bastion looked at the API last. A restart forgets it.
    looked: Option<i64>,
    /// Members of etcd that somebody left behind, and when the bastion takes them away.
    left_behind: BTreeMap<HostName, i64>,
    storm: i64,
}

impl Fifty {
    fn new(seed: u64, storm: i64) -> Self {
        let names: Vec<String> = (0..ALL).map(|n| format!("n{n:02}")).collect();
        let nodes: Vec<(&str, &str)> = names
            .iter()
            .enumerate()
            .map(|(n, name)| {
                (
                    name.as_str(),
                    if n < CONTROL {
                        "control-plane, worker"
                    } else {
                        "worker"
                    },
                )
            })
            .collect();
        let mut own = Self {
            site: small_site(&nodes),
            record: Record::default(),
            dice: Dice(seed | 1),
            second: 0,
            session: 0,
            nodes: BTreeMap::new(),
            asked: BTreeMap::new(),
            looked: None,
            left_behind: BTreeMap::new(),
            storm,
        };
        for name in own.site.nodes.keys().cloned().collect::<Vec<_>>() {
            own.boots(&name);
        }
        own
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(self.second)
    }

    fn boots(&mut self, name: &HostName) {
        self.session += 1;
        let until = self.second + self.dice.seconds(20, 90);
        self.nodes
            .insert(name.clone(), (Doing::Boots { until }, SessionId(self.session)));
    }

    fn is_control(&self, name: &HostName) -> bool {
        self.site.nodes[name].roles.contains(&Role::ControlPlane)
    }

    fn observed(&self) -> Observed {
        let runs = |name: &HostName| self.nodes[name].0 == Doing::Runs;
        let has_joined = |name: &HostName| {
            let attempt = self.record.attempts.get(name);
            attempt.is_some_and(|own| own.progress == Progress::Joined)
        };
        let is_seen = self.looked.is_some_and(|at| self.second - at <= 30);
        let api = self
            .site
            .nodes
            .keys()
            .any(|name| self.is_control(name) && runs(name));
        let seen = |name: &HostName| {
            let (doing, session) = self.nodes[name];
            let is_member_of_etcd = self.is_control(name) && has_joined(name);
            let etcd = if self.left_behind.contains_key(name) {
                Some(false)
            } else {
                is_member_of_etcd.then(|| runs(name))
            };
            Seen {
                live: (!matches!(doing, Doing::Boots { .. })).then_some(session),
                is_asking: self.asked.get(name).is_some_and(|at| self.second - at <= 120),
                attempt: self.record.attempts.get(name).cloned(),
                member: (is_seen && has_joined(name)).then(|| Member {
                    is_ready: runs(name),
                    created: Timestamp::UNIX_EPOCH,
                }),
                etcd: etcd.filter(|_| is_seen),
                ..Seen::default()
            }
        };
        Observed {
            now: self.now(),
            is_established: self.record.established.is_some(),
            is_upgrading: false,
            restoring: None,
            api: if api && is_seen {
                Api::Ready
            } else {
                Api::NotReady("nobody answers".to_owned())
            },
            nodes: self
                .site
                .nodes
                .keys()
                .map(|name| (name.clone(), seen(name)))
                .collect(),
        }
    }

    /// A node asks, and is handed what it may do.
    fn asks(&mut self, name: &HostName) {
        self.asked.insert(name.clone(), self.second);
        let verdict = verdicts(&self.site, &self.observed())[name].clone();
        let (now, session) = (self.now(), self.nodes[name].1);
        let doing = match verdict {
            Verdict::Do(work) => {
                assert!(
                    work != Work::Init || self.record.established.is_none(),
                    "a second cluster"
                );
                let alone = self.at_control_plane();
                assert!(
                    work == Work::JoinWorker || alone.is_empty(),
                    "{name} beside {alone:?}"
                );
                self.record.hand(name, work, session, now);
                self.asked.remove(name);
                let _ = self.record.said(name, Said::Joining(Some(session)), now, now);
                let until = self.second + self.dice.seconds(20, 90);
                let fails = self.second < self.storm && self.dice.roll(8) == 0;
                Doing::Works { work, until, fails }
            }
            Verdict::Done => Doing::Runs,
            Verdict::Wait(Wait::Pause(seconds)) => Doing::Asks {
                at: self.second + seconds.min(60),
            },
            Verdict::Wait(_) => Doing::Asks { at: self.second + 5 },
            // Somebody looks at it, and starts it anew.
            Verdict::Failed(_) => return self.boots(name),
        };
        self.nodes.insert(name.clone(), (doing, session));
    }

    fn at_control_plane(&self) -> Vec<&HostName> {
        let is_at = |(_, (doing, _)): &(&HostName, &(Doing, SessionId))| matches!(doing, Doing::Works { work, .. } if *work != Work::JoinWorker);
        self.nodes.iter().filter(is_at).map(|(name, _)| name).collect()
    }

    fn ends(&mut self, name: &HostName, work: Work, fails: bool) {
        let (now, session) = (self.now(), self.nodes[name].1);
        if fails {
            let said = Said::Failed {
                phase: "join".to_owned(),
                said: "no".to_owned(),
            };
            let _ = self.record.said(name, said, now, now);
            self.leaves_behind(name, work);
            let at = self.second + 10;
            self.nodes.insert(name.clone(), (Doing::Asks { at }, session));
            return;
        }
        let doing = match self.record.said(name, Said::Joined(Some(session)), now, now) {
            Ok(()) => Doing::Runs,
            Err(_) => Doing::Asks { at: self.second + 10 },
        };
        self.nodes.insert(name.clone(), (doing, session));
    }

    /// Half of those who break off a join of the control plane are members of etcd already.
    fn leaves_behind(&mut self, name: &HostName, work: Work) {
        if work == Work::JoinControlPlane && self.dice.roll(2) == 0 {
            let after = self.dice.seconds(5, 60);
            self.left_behind.insert(name.clone(), self.second + after);
        }
    }

    fn faults(&mut self) {
        if self.dice.roll(30) == 0 {
            let name: HostName = format!("n{:02}", self.dice.roll(ALL as u64)).parse().unwrap();
            // A majority of the control plane stays on: who cuts that off has other trouble.
            let is_off =
                |own: &HostName| self.record.attempts.contains_key(own) && self.nodes[own].0 != Doing::Runs;
            let n_off = self
                .site
                .nodes
                .keys()
                .filter(|own| self.is_control(own) && is_off(own))
                .count();
            if !self.is_control(&name) || n_off < 2 {
                if let (Doing::Works { work, .. }, _) = self.nodes[&name] {
                    self.leaves_behind(&name, work);
                }
                self.boots(&name);
            }
        }
        if self.dice.roll(120) == 0 {
            // What is on disk is all that farosd knows when it starts.
            let text = serde_json::to_string(&self.record).unwrap();
            self.record = serde_json::from_str(&text).unwrap();
            self.asked.clear();
            self.looked = None;
        }
    }

    /// A second passes.
    fn passes(&mut self) {
        self.second += 1;
        if self.second < self.storm {
            self.faults();
        }
        if self.second % 5 == 0 && self.record.established.is_some() {
            self.looked = Some(self.second);
        }
        self.left_behind.retain(|_, at| *at > self.second);
        for name in self.site.nodes.keys().cloned().collect::<Vec<_>>() {
            match self.nodes[&name] {
                (Doing::Boots { until }, session) if until <= self.second => {
                    let doing = Doing::Asks { at: self.second };
                    self.nodes.insert(name, (doing, session));
                }
                (Doing::Asks { at }, _) if at <= self.second => self.asks(&name),
                (Doing::Works { work, until, fails }, _) if until <= self.second => {
                    self.ends(&name, work, fails);
                }
                _ => {}
            }
        }
    }

    fn n_in(&self) -> usize {
        self.nodes
            .values()
            .filter(|(doing, _)| *doing == Doing::Runs)
            .count()
    }

    /// In which second all are in.
    fn runs(mut self, until: i64) -> (Self, Option<i64>) {
        while self.second < until {
            self.passes();
            if self.n_in() == ALL && self.second >= self.storm {
                let second = self.second;
                return (self, Some(second));
            }
        }
        (self, None)
    }
}

#[test]
fn fifty_nodes_that_boot_at_once_are_in_within_minutes() {
    let (_, all) = Fifty::new(1, 0).runs(3_600);
    // Five at the control plane one after another, and then the workers, all at once.
    assert!(all.is_some_and(|second| second < 90 * 7 + 60), "{all:?}");
}

#[test]
fn fifty_nodes_get_in_through_a_storm_of_failures_and_restarts() {
    for seed in 1..9 {
        let (world, all) = Fifty::new(seed * 7_919, STORM).runs(STORM + CALM);
        let late: Vec<_> = world
            .nodes
            .iter()
            .filter(|(_, (doing, _))| *doing != Doing::Runs)
            .collect();
        assert!(all.is_some(), "seed {seed}: {late:?}");
        let inits = world
            .record
            .attempts
            .values()
            .filter(|own| own.work == Work::Init);
        assert!(inits.count() <= 1, "seed {seed}");
    }
}

#[test]
fn fifty_nodes_have_blocks_of_their_own_and_answers_stay_small() {
    let (world, _) = Fifty::new(3, 0).runs(3_600);
    let blocks = PodBlocks::of_site(&world.site).unwrap();
    let own: std::collections::BTreeSet<String> = world
        .site
        .nodes
        .values()
        .filter_map(|node| Some(blocks.block(node.address)?.to_string()))
        .collect();
    assert_eq!(own.len(), ALL);
    let observed = world.observed();
    let told = status(&Evidence {
        site: &world.site,
        record: &world.record,
        observed: &observed,
        lives: &[],
        version: None,
        missing: &[],
        keys_closed: None,
        kubelets: &BTreeMap::new(),
        servers: &BTreeMap::new(),
        pods: &[],
        certificates: &[],
        lost: None,
        before: None,
    });
    let size = serde_json::to_string(&told).unwrap().len();
    assert!(size < 64 << 10, "the status is {size} bytes");
    let size = serde_json::to_string(&world.record).unwrap().len();
    assert!(size < 32 << 10, "the record is {size} bytes");
}
