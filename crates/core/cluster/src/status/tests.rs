//! A small cluster that comes to be and breaks, told in lines.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use faros_model::{api::ClusterState, event::Phase, ids::SessionId};

use super::*;
use crate::{
    install::{Api, Attempt, Member, Progress, Seen, Work},
    tests::small_site,
};

struct World {
    site: Site,
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
    fn new() -> Self {
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

    fn judged(&mut self) -> ClusterStatus {
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
fn check(story: &Expect) {
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

#[test]
fn before_anything_is_there_it_says_what_is_missing() {
    check(&expect![[r"
        ?
            waiting for 0 s
            - a is expected: it is not armed: `farosctl install a`
            - w is expected: it is not armed: `farosctl install w`
            a expected for 0 s, waits for nothing: it is not armed: `farosctl install a`
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        missing: Kubernetes v1.36.3
        keys closed: they wait for a passphrase
        armed a
        passes 10
        runs w
        asks w
        ?
            waiting for 10 s
            - content is waiting: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
            - root-keys is waiting: they wait for a passphrase
            - a is expected, waits for its network boot: it is armed, and was never seen
            - w is waiting, waits for content: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
            a expected for 0 s, waits for its network boot: it is armed, and was never seen
            w waiting for 0 s, waits for content: Kubernetes v1.36.3 is not in the content store; `farosctl content build kubernetes` brings it
        all there
        passes 10
        ?
            waiting for 20 s
            - root-keys is waiting: they wait for a passphrase
            - a is expected, waits for its network boot: it is armed, and was never seen
            - w is waiting, waits for root-keys: they wait for a passphrase
            a expected for 10 s, waits for its network boot: it is armed, and was never seen
            w waiting for 0 s, waits for root-keys: they wait for a passphrase
        keys open
        phase a installed
        ?
            waiting for 20 s
            - a is booting: installed, armed
            - w is waiting, waits for a control-plane node: no control-plane node has begun the cluster
            a booting for 0 s, waits for nothing: installed, armed
            w waiting for 0 s, waits for a control-plane node: no control-plane node has begun the cluster
    "]]);
}

#[test]
fn an_install_is_told_by_what_each_waits_for() {
    check(&expect![[r"
        runs a
        runs w
        asks w
        asks a
        ?
            waiting for 0 s
            - a is waiting: it is handed this when it asks next: init
            - w is waiting, waits for a: a has not begun
            a waiting for 0 s, waits for nothing: it is handed this when it asks next: init
            w waiting for 0 s, waits for a: a has not begun
        begins a
        ?
            installing for 0 s
            - a is joining, waits for its images and kube-apiserver: init
            - w is waiting, waits for a: a is at work: init
            a joining for 0 s, waits for its images and kube-apiserver: init
            w waiting for 0 s, waits for a: a is at work: init
        passes 5
        server a silent: connection refused
        ?
            installing for 5 s
            - a is joining, waits for its kube-apiserver: init; connection refused
            - w is waiting, waits for a: a is at work: init
            - kube-apiserver on a is not-ready: connection refused
            a joining for 5 s, waits for its kube-apiserver: init; connection refused
            w waiting for 5 s, waits for a: a is at work: init
        server a failing: etcd poststarthook/rbac
        passes 5
        ?
            installing for 10 s
            - a is joining, waits for its etcd: init; not ready: etcd, poststarthook/rbac
            - w is waiting, waits for a: a is at work: init
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd, poststarthook/rbac
            a joining for 10 s, waits for its etcd: init; not ready: etcd, poststarthook/rbac
            w waiting for 10 s, waits for a: a is at work: init
        server a ready
        joins a
        api ready
        kubelet a not-ready: container runtime network not ready: cni plugin not initialized
        pod coredns - waiting: 0/1 nodes are available
        ?
            installing for 10 s
            - a is starting, waits for its network plug-in: container runtime network not ready: cni plugin not initialized
            - w is waiting: it is handed this when it asks next: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a starting for 0 s, waits for its network plug-in: container runtime network not ready: cni plugin not initialized
            w waiting for 0 s, waits for nothing: it is handed this when it asks next: join-worker
        kubelet a ready: kubelet is posting ready status
        ?
            installing for 10 s
            - w is waiting: it is handed this when it asks next: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 0 s, waits for nothing: kubelet is posting ready status
            w waiting for 0 s, waits for nothing: it is handed this when it asks next: join-worker
        begins w
        passes 30
        ?
            installing for 40 s
            - w is joining, waits for its kubelet: join-worker
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 30 s, waits for nothing: kubelet is posting ready status
            w joining for 30 s, waits for its kubelet: join-worker
        joins w
        kubelet w ready: kubelet is posting ready status
        ?
            installing for 40 s
            - coredns is waiting, waits for a node that takes it: 0/1 nodes are available
            a ready for 30 s, waits for nothing: kubelet is posting ready status
            w ready for 0 s, waits for nothing: kubelet is posting ready status
        pod coredns w ready
        passes 60
        ?
            ready for 0 s
            a ready for 90 s, waits for nothing: kubelet is posting ready status
            w ready for 60 s, waits for nothing: kubelet is posting ready status
        passes 60
        ?
            ready for 60 s
            a ready for 150 s, waits for nothing: kubelet is posting ready status
            w ready for 120 s, waits for nothing: kubelet is posting ready status
    "]]);
}

#[test]
fn what_never_was_there_is_being_installed_whatever_its_parts_say() {
    check(&expect![[r"
        runs a
        begins a
        joins a
        api lost: cannot reach the Kubernetes API at 192.168.8.11:6443
        server a failing: etcd
        passes 7
        ?
            installing for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - a is starting, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - w is expected: it is not armed: `farosctl install w`
            a starting for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        passes 600
        ?
            installing for 600 s
            - a is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - w is expected: it is not armed: `farosctl install w`
            a unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w expected for 600 s, waits for nothing: it is not armed: `farosctl install w`
        api ready
        server a ready
        kubelet a ready
        runs w
        joins w
        kubelet w ready
        ?
            ready for 0 s
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        server a failing: etcd
        ?
            degraded for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
    "]]);
}

#[test]
fn what_was_there_and_is_not_well_is_told_first() {
    check(&expect![[r"
        runs a
        runs w
        joins a
        joins w
        api ready
        server a ready
        kubelet a ready
        kubelet w ready
        passes 600
        ?
            ready for 0 s
            a ready for 600 s, waits for nothing: 
            w ready for 600 s, waits for nothing: 
        kubelet w not-ready: Kubelet stopped posting node status.
        ?
            degraded for 0 s
            - w is not-ready, waits for its kubelet: Kubelet stopped posting node status.
            a ready for 600 s, waits for nothing: 
            w not-ready for 0 s, waits for its kubelet: Kubelet stopped posting node status.
        kubelet w ready
        pod coredns w not-ready: back-off restarting failed container
        ?
            degraded for 0 s
            - coredns on w is not-ready: back-off restarting failed container
            a ready for 600 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        pod coredns w ready
        certificate w ends: 30
        ?
            degraded for 0 s
            - the certificate of kubelet on w ends 1970-01-02T06:10:00Z
            a ready for 600 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        api lost: cannot reach the Kubernetes API at 192.168.8.11:6443
        server a silent: connection refused
        ?
            degraded for 0 s
            - a is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - w is unknown, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            - kube-apiserver on a is not-ready: connection refused
            - the certificate of kubelet on w ends 1970-01-02T06:10:00Z
            a unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
            w unknown for 0 s, waits for kube-apiserver: cannot reach the Kubernetes API at 192.168.8.11:6443
    "]]);
}

#[test]
fn a_node_that_fails_says_at_what() {
    check(&expect![[r"
        runs a
        joins a
        api ready
        server a ready
        kubelet a ready
        runs w
        fails w join: [ERROR Swap]: running with swap on is not supported
        ?
            installing for 0 s
            - w is waiting: the node has failed, and tries again in 31 s; at join it said: [ERROR Swap]: running with swap on is not supported
            a ready for 0 s, waits for nothing: 
            w waiting for 0 s, waits for nothing: the node has failed, and tries again in 31 s; at join it said: [ERROR Swap]: running with swap on is not supported
        passes 400
        ?
            installing for 400 s
            - w is waiting: it is handed this when it asks next: join-worker
            a ready for 400 s, waits for nothing: 
            w waiting for 400 s, waits for nothing: it is handed this when it asks next: join-worker
    "]]);
}

#[test]
fn a_site_without_a_cluster_has_none() {
    let mut world = World::new();
    world.site.cluster.distribution = Distribution::None;
    let status = world.judged();
    assert_eq!(status.state, ClusterState::None);
    assert_eq!(status.reasons, ["the site has no cluster"]);
    assert!(status.components.is_empty() && status.nodes.is_empty());
}

#[test]
fn a_machine_that_never_comes_does_not_hide_that_another_is_ill() {
    check(&expect![[r"
        runs a
        joins a
        api ready
        server a ready
        kubelet a ready
        passes 600
        ?
            installing for 0 s
            - w is expected: it is not armed: `farosctl install w`
            a ready for 600 s, waits for nothing: 
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        server a failing: etcd
        ?
            degraded for 0 s
            - kube-apiserver on a is not-ready, waits for etcd: not ready: etcd
            - w is expected: it is not armed: `farosctl install w`
            a ready for 600 s, waits for nothing: 
            w expected for 0 s, waits for nothing: it is not armed: `farosctl install w`
        server a ready
        passes 10
        ?
            installing for 0 s
            - w is expected: it is not armed: `farosctl install w`
            a ready for 610 s, waits for nothing: 
            w expected for 10 s, waits for nothing: it is not armed: `farosctl install w`
    "]]);
}

#[test]
fn a_disk_that_is_full_and_a_majority_that_is_lost_are_named() {
    check(&expect![[r"
        runs a
        runs w
        complains w: no space left on device: 19 MiB are free, and a join needs 256
        joins a
        api ready
        server a ready
        kubelet a ready
        ?
            installing for 0 s
            - w is waiting, waits for what keeps it from asking: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w waiting for 0 s, waits for what keeps it from asking: no space left on device: 19 MiB are free, and a join needs 256
        joins w
        kubelet w ready
        short w: disk: kubelet has disk pressure
        ?
            installing for 0 s
            - w is short of disk: kubelet has disk pressure
            - w says: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
        short w
        etcd lost: a2
        ?
            degraded for 0 s
            - etcd has lost its majority: 1 of 2 members are there, without a2; start a2, or, if that is lost for good, `farosctl cluster restore` with the snapshot that was taken since (`farosctl cluster snapshot list`)
            - w says: no space left on device: 19 MiB are free, and a join needs 256
            a ready for 0 s, waits for nothing: 
            w ready for 0 s, waits for nothing: 
    "]]);
}
