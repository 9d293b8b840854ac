//! Who may do what now: one node begins the control plane, the others join it one after another, then the workers
//! join, all at once.
//!
//! A pure function of what is observed, asked anew at each question of a node, so that a crash of node or bastion
//! needs no undoing: whoever asks again is told again. A node that was handed something and died is handed it once
//! more, on a disk that its script has cleaned. Only what the bastion has taken note of is final: a node starts its
//! kubelet when it is told that it is a member, so a first control plane that was given up can never come back as a
//! second cluster.

mod wait;

use std::collections::BTreeMap;

use faros_model::{
    ids::{HostName, SessionId},
    site::{Node, Role, Site},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

pub use self::wait::{Reason, Wait};

/// So long a node may take for what it was handed: images are fetched in it, on a slow disk.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(20);

/// So long nodes have to leave the cluster as it was, before it begins anew without them.
const LEAVE: SignedDuration = SignedDuration::from_mins(5);

/// So often a node may fail in one boot before somebody has to look.
const TRIES: u8 = 3;

/// How long a node waits after it has failed, times the number of its failures.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// What a node can be handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Begin the control plane.
    Init,
    /// Join it, with an API server and a member of etcd of its own.
    JoinControlPlane,
    /// Join without.
    JoinWorker,
}

impl Work {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::JoinControlPlane => "join-control-plane",
            Self::JoinWorker => "join-worker",
        }
    }
}

/// What a node was handed, and what became of it. That of an installation ends with the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What it was handed.
    pub work: Work,
    /// In which of its boots.
    pub session: SessionId,
    /// When it came to be as it is.
    pub at: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// How often it has failed in this boot.
    pub failures: u8,
    /// When it had joined, as the bastion's clock showed it: what else is kept by date is held against that.
    #[serde(default)]
    pub joined: Option<Timestamp>,
}

/// How far an attempt is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// The node was given it.
    Handed,
    /// The node said that it has begun.
    Joining,
    /// The node said that it is done, and that was taken note of.
    Joined,
    /// The node said that it failed.
    Failed {
        /// At what.
        phase: String,
        /// What it said.
        said: String,
    },
}

impl Attempt {
    /// What a node is being handed, after what it was handed before in this installation.
    pub fn handed(work: Work, session: SessionId, now: Timestamp, before: Option<&Self>) -> Self {
        let failures = before.filter(|before| before.session == session);
        Self {
            work,
            session,
            at: now,
            progress: Progress::Handed,
            failures: failures.map_or(0, |before| before.failures),
            joined: None,
        }
    }

    /// The same, after the node has said how it is. Joined is for good.
    #[must_use]
    pub fn said(mut self, progress: Progress, now: Timestamp) -> Self {
        if self.progress == Progress::Joined {
            return self;
        }
        if matches!(progress, Progress::Failed { .. }) {
            self.failures = self.failures.saturating_add(1);
        }
        self.progress = progress;
        self.at = now;
        self
    }

    /// Whether the node is at it, as far as anybody knows.
    pub fn is_under_way(&self, now: Timestamp) -> bool {
        let is_open = matches!(self.progress, Progress::Handed | Progress::Joining);
        is_open && now.duration_since(self.at) <= LIMIT
    }

    fn has_given_up(&self, live: Option<SessionId>) -> bool {
        self.failures >= TRIES && live == Some(self.session)
    }
}

/// Whether the API answers, behind the balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Api {
    /// It is ready.
    Ready,
    /// It is not, and what it says.
    NotReady(String),
}

/// What Kubernetes says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Whether it is ready.
    pub is_ready: bool,
    /// Since when there is this node, by the API's clock.
    pub created: Timestamp,
}

/// What is known of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its boot session, if one is live.
    pub live: Option<SessionId>,
    /// Whether it asks what to do, by the last minute or two.
    pub is_asking: bool,
    /// What it was handed last, since it was installed.
    pub attempt: Option<Attempt>,
    /// Whether it still has to leave the cluster as it was before a restore.
    pub is_leaving: bool,
    /// Whether it was taken out of the cluster since it was installed.
    pub is_removed: bool,
    /// What Kubernetes says of it; `None` if it does not know it, or does not answer.
    pub member: Option<Member>,
    /// Whether its member of etcd is well; `None` if there is none, or nobody says.
    pub etcd: Option<bool>,
}

/// All that is observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// When.
    pub now: Timestamp,
    /// Whether a node has ever begun the control plane, and the bastion has taken note of it.
    pub is_established: bool,
    /// Whether versions of the control plane change, so that nobody may join.
    pub is_upgrading: bool,
    /// Since when the cluster is to begin anew from a snapshot, if it is.
    pub restoring: Option<Timestamp>,
    /// The API.
    pub api: Api,
    /// The nodes.
    pub nodes: BTreeMap<HostName, Seen>,
}

/// What a node may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may do this.
    Do(Work),
    /// Nothing yet.
    Wait(Wait),
    /// It is a member: it starts its kubelet.
    Done,
    /// Nothing, before somebody has looked at it.
    Failed(String),
}

/// What each node of the site may do now.
pub fn verdicts(site: &Site, observed: &Observed) -> BTreeMap<HostName, Verdict> {
    let view = View { site, observed };
    site.nodes
        .values()
        .map(|node| (node.name.clone(), view.verdict(node)))
        .collect()
}

/// What this node of the site may do now.
pub fn verdict(site: &Site, observed: &Observed, node: &Node) -> Verdict {
    View { site, observed }.verdict(node)
}

struct View<'a> {
    site: &'a Site,
    observed: &'a Observed,
}

impl<'a> View<'a> {
    fn seen(&self, node: &Node) -> Seen {
        self.observed.nodes.get(&node.name).cloned().unwrap_or_default()
    }

    fn control_plane(&self) -> impl Iterator<Item = (&'a Node, Seen)> {
        let all = self.site.nodes.values();
        all.filter(|node| node.roles.contains(&Role::ControlPlane))
            .map(|node| (node, self.seen(node)))
    }

    fn verdict(&self, node: &Node) -> Verdict {
        let now = self.observed.now;
        let seen = self.seen(node);
        let attempt = seen.attempt.as_ref();
        if attempt.is_some_and(|attempt| attempt.progress == Progress::Joined) {
            return Verdict::Done;
        }
        if seen.is_removed {
            let why = "it was taken out of the cluster; `farosctl install` takes it in again";
            return Verdict::Failed(why.to_owned());
        }
        if node.roles.contains(&Role::Arbiter) {
            return Verdict::Failed(
                "no node of this version is a member of etcd alone; make the control plane of 1, 3 or 5 nodes"
                    .to_owned(),
            );
        }
        if seen.live.is_none() {
            return Verdict::Wait(Wait::NotBooted);
        }
        if let Some(attempt) = attempt.filter(|attempt| attempt.has_given_up(seen.live))
            && let Progress::Failed { phase, said } = &attempt.progress
        {
            return Verdict::Failed(format!("failed {TRIES} times, at last at {phase}: {said}"));
        }
        if !seen.is_asking {
            let at_work = attempt.filter(|attempt| attempt.is_under_way(now));
            return Verdict::Wait(at_work.map_or(Wait::NotAsking, |attempt| Wait::AtWork(attempt.work)));
        }
        // Whoever starts it anew has looked at it.
        if let Some(attempt) = attempt.filter(|attempt| seen.live == Some(attempt.session))
            && matches!(attempt.progress, Progress::Failed { .. })
        {
            let left = PAUSE * i32::from(attempt.failures) - now.duration_since(attempt.at);
            if left.is_positive() {
                return Verdict::Wait(Wait::Pause(left.as_secs() + 1));
            }
        }
        let is_control_plane = node.roles.contains(&Role::ControlPlane);
        match (self.observed.is_established, is_control_plane) {
            (false, true) => match self.first() {
                Some(first) if first == node.name => match self.leaving(&first) {
                    Some(other) => Verdict::Wait(Wait::Leaving(other)),
                    None => Verdict::Do(Work::Init),
                },
                Some(first) => Verdict::Wait(Wait::First(first)),
                None => Verdict::Wait(Wait::NoControlPlane),
            },
            (false, false) => Verdict::Wait(self.first().map_or(Wait::NoControlPlane, Wait::First)),
            (true, _) => self.join(node, &seen, is_control_plane),
        }
    }

    /// Who runs the cluster as it was, when it is about to begin anew. Who does not answer has its time, and no more.
    fn leaving(&self, first: &HostName) -> Option<HostName> {
        let since = self.observed.restoring?;
        if self.observed.now.duration_since(since) > LEAVE {
            return None;
        }
        let others = self.control_plane().filter(|(node, _)| node.name != *first);
        let mut leaving = others.filter(|(_, seen)| seen.is_leaving);
        leaving.next().map(|(node, _)| node.name.clone())
    }

    /// Who begins the control plane: whoever is at it, else whoever failed at it and tries again, else the first who
    /// asks.
    fn first(&self) -> Option<HostName> {
        let now = self.observed.now;
        let holder = self
            .control_plane()
            .filter_map(|(node, seen)| {
                let attempt = seen.attempt?;
                let holds = attempt.work == Work::Init
                    && !attempt.has_given_up(seen.live)
                    && now.duration_since(attempt.at) <= LIMIT;
                holds.then(|| ((attempt.is_under_way(now), attempt.at), node))
            })
            .max_by_key(|(claim, _)| *claim);
        let asks = || {
            self.control_plane().find(|(_, seen)| {
                let gave_up = |attempt: &Attempt| attempt.has_given_up(seen.live);
                seen.is_asking && seen.live.is_some() && !seen.attempt.as_ref().is_some_and(gave_up)
            })
        };
        holder
            .map(|(_, node)| node)
            .or_else(|| asks().map(|(node, _)| node))
            .map(|node| node.name.clone())
    }

    fn join(&self, node: &Node, seen: &Seen, is_control_plane: bool) -> Verdict {
        if let Api::NotReady(said) = &self.observed.api {
            return Verdict::Wait(Wait::Api(said.clone()));
        }
        if let Some(member) = seen.member.as_ref().filter(|member| member.is_ready) {
            // It joined, and was stopped before it could say so; else kubeadm would refuse the name. A node of the control
            // plane is ready before its API server and its member of etcd are, so that says nothing.
            let joined = |attempt: &Attempt| !is_control_plane && attempt.at <= member.created;
            let is_done = seen.attempt.as_ref().is_some_and(joined);
            return if is_done {
                Verdict::Done
            } else {
                Verdict::Wait(Wait::StillReady)
            };
        }
        if let Some(turn) = self.before(node, is_control_plane) {
            return Verdict::Wait(Wait::Turn(turn));
        }
        // The old member goes in any case: an upgrade does not go on beside one that is not well.
        if is_control_plane && seen.etcd.is_some() {
            return Verdict::Wait(Wait::OldMember);
        }
        if self.observed.is_upgrading {
            return Verdict::Wait(Wait::Upgrade);
        }
        if !is_control_plane {
            return Verdict::Do(Work::JoinWorker);
        }
        let ill = |(other, seen): &(&Node, Seen)| other.name != node.name && seen.etcd == Some(false);
        match self.control_plane().find(ill) {
            Some((ill, _)) => Verdict::Wait(Wait::Etcd(ill.name.clone())),
            None => Verdict::Do(Work::JoinControlPlane),
        }
    }

    /// The control-plane node whose turn is before this one's: who is at it, else the first who asks.
    fn before(&self, node: &Node, is_control_plane: bool) -> Option<HostName> {
        let now = self.observed.now;
        let waits = |seen: &Seen| {
            let is_out = |attempt: &Attempt| {
                attempt.progress == Progress::Joined
                    || attempt.has_given_up(seen.live)
                    || matches!(attempt.progress, Progress::Failed { .. })
            };
            // Its old member may be one that cannot go: nobody has to wait for that.
            let is_old = seen.etcd.is_some();
            seen.is_asking && seen.live.is_some() && !is_old && !seen.attempt.as_ref().is_some_and(is_out)
        };
        let is_at_it = |seen: &Seen| {
            let under_way = |attempt: &Attempt| attempt.is_under_way(now);
            seen.attempt.as_ref().is_some_and(under_way)
        };
        let mut others = self.control_plane().filter(|(other, _)| other.name != node.name);
        let at_it = others.find(|(_, seen)| is_at_it(seen));
        let first = || {
            let mut all = self.control_plane();
            let comes_first = |other: &Node| !is_control_plane || other.name < node.name;
            all.find(|(other, seen)| comes_first(other) && waits(seen))
        };
        at_it.or_else(first).map(|(node, _)| node.name.clone())
    }
}

#[cfg(test)]
mod tests;
