//! A small cluster that is told in lines: what happens, and `?`, which asks how it is.

use std::{collections::BTreeMap, fmt::Write as _};

use expect_test::Expect;
use faros_model::{
    api::{CertificateEnd, ClusterStatus, Missing, NodeStatus},
    event::Phase,
    ids::{HostName, SessionId},
    site::Site,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    Record,
    etcd::Lost,
    install::{Api, Attempt, Member, Observed, Progress, Seen, Work},
    status::{Evidence, Kubelet, Pod, Server, is_settled, status},
    tests::small_site,
};

pub(super) struct World {
    pub(super) site: Site,
    record: Record,
    observed: Observed,
    lives: Vec<NodeStatus>,
    missing: Vec<Missing>,
    keys_closed: Option<String>,
    kubelets: BTreeMap<HostName, Kubelet>,
    servers: BTreeMap<HostName, Server>,
    pods: Vec<Pod>,
    certificates: Vec<CertificateEnd>,
    lost: Option<Lost>,
    before: Option<ClusterStatus>,
}

fn name(text: &str) -> HostName {
    text.parse().unwrap()
}

impl World {
    pub(super) fn new() -> Self {
        let site = small_site(&[("a", "control-plane"), ("w", "worker")]);
        let life = |node: &faros_model::site::Node| NodeStatus {
            name: node.name.clone(),
            boot_mac: node.boot_mac,
            address: node.address,
            roles: node.roles.clone(),
            phase: Phase::Expected,
            since: None,
            reason: String::new(),
            armed: false,
            session: None,
            firmware: None,
            last_event: None,
            transfer: None,
        };
        Self {
            lives: site.nodes.values().map(life).collect(),
            site,
            record: Record::default(),
            observed: Observed {
                restoring: None,
                now: Timestamp::UNIX_EPOCH,
                is_established: false,
                is_upgrading: false,
                api: Api::NotReady("nobody answers".to_owned()),
                nodes: BTreeMap::new(),
            },
            missing: vec![],
            keys_closed: None,
            kubelets: BTreeMap::new(),
            servers: BTreeMap::new(),
            pods: vec![],
            certificates: vec![],
            lost: None,
            before: None,
        }
    }

    fn machine(&mut self, node: &str) -> &mut NodeStatus {
        let node = name(node);
        self.lives.iter_mut().find(|life| life.name == node).unwrap()
    }

    fn seen(&mut self, node: &str) -> &mut Seen {
        self.observed.nodes.entry(name(node)).or_default()
    }

    fn attempt(&mut self, node: &str, work: Work, progress: Progress) {
        let mut attempt = Attempt::handed(work, SessionId(1), self.observed.now, None);
        attempt = attempt.said(progress, self.observed.now);
        self.seen(node).attempt = Some(attempt.clone());
        self.record.attempts.insert(name(node), attempt);
    }

    /// One line of what happens.
    fn happens(&mut self, line: &str) {
        let now = self.observed.now;
        let (words, rest) = line.split_once(": ").unwrap_or((line, ""));
        let rest = rest.to_owned();
        match *words.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["passes", seconds] => self.observed.now += SignedDuration::from_secs(seconds.parse().unwrap()),
            ["armed", node] => self.machine(node).armed = true,
            ["phase", node, "installed"] => {
                let machine = self.machine(node);
                (machine.phase, machine.since) = (Phase::Installed, Some(now));
            }
            ["missing"] => self.missing.push(Missing {
                what: rest,
                needed_by: vec![name("a")],
                command: "farosctl content build kubernetes".to_owned(),
                blocks: true,
            }),
            ["all", "there"] => self.missing.clear(),
            ["keys", "closed"] => self.keys_closed = Some(rest),
            ["keys", "open"] => self.keys_closed = None,
            ["runs", node] => {
                let machine = self.machine(node);
                (machine.phase, machine.since) = (Phase::Unlocked, Some(now));
                self.seen(node).live = Some(SessionId(1));
            }
            ["asks", node] => self.seen(node).is_asking = true,
            ["begins", node] => {
                let work = if node == "a" { Work::Init } else { Work::JoinWorker };
                self.seen(node).is_asking = false;
                self.attempt(node, work, Progress::Joining);
            }
            ["joins", node] => {
                let work = if node == "a" { Work::Init } else { Work::JoinWorker };
                self.attempt(node, work, Progress::Joined);
                if node == "a" {
                    self.record.established = Some(now);
                    self.observed.is_established = true;
                }
            }
            ["fails", node, phase] => {
                let progress = Progress::Failed {
                    phase: phase.to_owned(),
                    said: rest,
                };
                self.seen(node).is_asking = true;
                self.attempt(node, Work::JoinWorker, progress);
            }
            ["api", "ready"] => self.observed.api = Api::Ready,
            ["api", "lost"] => self.observed.api = Api::NotReady(rest),
            ["server", node, "ready"] => drop(self.servers.insert(name(node), Server::Ready)),
            ["server", node, "failing"] => {
                let checks = rest.split_whitespace().map(str::to_owned).collect();
                self.servers.insert(name(node), Server::Failing(checks));
            }
            ["server", node, "silent"] => drop(self.servers.insert(name(node), Server::Silent(rest))),
            ["kubelet", node, ready] => {
                let kubelet = Kubelet {
                    is_ready: ready == "ready",
                    since: Some(now),
                    says: rest,
                    version: "v1.36.3".to_owned(),
                    short_of: None,
                };
                self.seen(node).member = Some(Member {
                    is_ready: kubelet.is_ready,
                    created: now,
                });
                self.kubelets.insert(name(node), kubelet);
            }
            ["short", node] => {
                let short_of = (!rest.is_empty()).then_some(rest);
                self.kubelets.get_mut(&name(node)).unwrap().short_of = short_of;
            }
            ["complains", node] => drop(self.record.complaints.insert(name(node), rest)),
            ["etcd", "lost"] => {
                self.lost = Some(Lost {
                    there: 1,
                    of: 2,
                    silent: vec![rest],
                });
            }
            ["pod", component, node, ready] => {
                self.pods.retain(|pod| pod.component != component);
                self.pods.push(Pod {
                    component: component.to_owned(),
                    node: (node != "-").then(|| name(node)),
                    is_ready: ready == "ready",
                    since: Some(now),
                    says: rest,
                });
            }
            ["certificate", node, "ends"] => self.certificates.push(CertificateEnd {
                what: "kubelet".to_owned(),
                node: Some(name(node)),
                ends: now + SignedDuration::from_hours(rest.parse().unwrap()),
            }),
            _ => panic!("{line}"),
        }
    }

    pub(super) fn judged(&mut self) -> ClusterStatus {
        let status = status(&Evidence {
            site: &self.site,
            record: &self.record,
            observed: &self.observed,
            lives: &self.lives,
            version: self.missing.is_empty().then(|| "v1.36.3".parse().unwrap()),
            missing: &self.missing,
            keys_closed: self.keys_closed.as_deref(),
            kubelets: &self.kubelets,
            servers: &self.servers,
            pods: &self.pods,
            certificates: &self.certificates,
            lost: self.lost.as_ref(),
            before: self.before.as_ref(),
        });
        self.record.complete |= is_settled(&status);
        self.before = Some(status.clone());
        status
    }
}

/// A story; `?` asks, and the lines below it are the answer.
pub(super) fn check(story: &Expect) {
    let mut world = World::new();
    let mut out = String::new();
    let happens = |line: &&str| !line.starts_with("    ") && !line.trim().is_empty();
    for line in story
        .data
        .lines()
        .map(|line| line.strip_prefix("        ").unwrap_or(line))
        .filter(happens)
    {
        out += line;
        out += "\n";
        if line != "?" {
            world.happens(line);
            continue;
        }
        let status = world.judged();
        let age = |since: Timestamp| world.observed.now.duration_since(since).as_secs();
        writeln!(out, "    {} for {} s", status.state.as_str(), age(status.since)).unwrap();
        for reason in &status.reasons {
            writeln!(out, "    - {reason}").unwrap();
        }
        for node in &status.nodes {
            let waits = node.waits_for.as_deref().unwrap_or("nothing");
            let since = node.since.map_or(-1, age);
            let (name, state) = (&node.name, node.state.as_str());
            let said = &node.said;
            writeln!(out, "    {name} {state} for {since} s, waits for {waits}: {said}").unwrap();
        }
    }
    story.assert_eq(&out);
}
