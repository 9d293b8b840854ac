//! An upgrade of the cluster, one node after another, and what has to be well before each step.
//!
//! A pure function of what is remembered and of what is seen, asked anew every few seconds: what to do next, or why
//! nothing is done. The control plane goes first, so that no worker's kubelet is ever newer than an API server; a node
//! counts as upgraded by what Kubernetes says of its kubelet and its API server says of itself, and never by what the node
//! reports alone. So a bastion that was killed at any point goes on where the cluster is. Whatever is not well
//! holds the upgrade up until it is; what was tried and failed stops it until somebody says to go on.

mod begun;

use std::{collections::BTreeMap, fmt};

use faros_model::{
    ids::HostName,
    kubernetes::KubeVersion,
    site::{Node, Site},
};
use jiff::{SignedDuration, Timestamp};

pub use self::begun::{Said, Step, Stop, Turn, Upgrade, Way};
use crate::{
    Images, Names, containerd,
    drain::{Drain, Pod},
    etcd::{Member, has_majority},
    file::File,
    init_config, upgrade_config,
    version::{self, Skew},
};

/// So long a node may take to be upgraded, from when it may begin until all of it is well again.
pub const LIMIT: SignedDuration = SignedDuration::from_mins(30);

/// Where a node finds what `kubeadm upgrade` is told; in memory.
const CONFIG: &str = "/run/faros-tend/upgrade.yaml";

/// Where the first one finds the configuration of the cluster as a whole.
const CLUSTER: &str = "/run/faros-tend/cluster.yaml";

/// What is seen.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    /// When.
    pub now: Timestamp,
    /// What Kubernetes says is of just now; else why it is not.
    pub api: Result<(), String>,
    /// The members of etcd; else why nobody says.
    pub etcd: Result<&'a [Member], String>,
    /// The nodes that have joined.
    pub nodes: BTreeMap<HostName, NodeSeen>,
    /// A node that joins just now.
    pub joining: Option<HostName>,
    /// The pods of the node at its turn, if they were asked for.
    pub pods: Option<&'a [Pod]>,
    /// What held pods back when they were asked to go last.
    pub held: &'a [String],
}

/// What is seen of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeSeen {
    /// Whether it is one of the control plane.
    pub is_control_plane: bool,
    /// The version of its kubelet, as Kubernetes says.
    pub kubelet: Option<KubeVersion>,
    /// Whether Kubernetes says that it is ready.
    pub is_ready: bool,
    /// Whether it is closed to new pods.
    pub is_closed: bool,
    /// The version of its API server, as that says itself, and whether it is ready.
    pub server: Option<(KubeVersion, bool)>,
    /// Other parts of the cluster on it that are not ready, by name.
    pub unready: Vec<String>,
}

impl NodeSeen {
    /// Whether it runs this version, by all that says so.
    pub fn is_at(&self, version: KubeVersion) -> bool {
        let server = self.server.map(|(own, _)| own);
        self.kubelet == Some(version) && (!self.is_control_plane || server == Some(version))
    }
}

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it was stopped.
    Stands,
    /// Nothing yet.
    Wait(Wait),
    /// A snapshot of etcd is taken.
    Snapshot,
    /// The control plane is whole at the new version, which nodes get from now on.
    Pin,
    /// It is this node's turn.
    Take(Turn),
    /// The node at its turn is closed to new pods.
    Close(HostName),
    /// Its pods are asked to go.
    Empty(HostName),
    /// It is empty, and may begin.
    Hand(HostName),
    /// It is opened to pods again unless it was closed before, and its turn ends.
    Open(HostName),
    /// It failed: nothing more is done.
    Stop(String),
    /// All nodes are at the new version.
    Finish,
}

/// What an upgrade waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The API.
    Api(String),
    /// etcd cannot be asked.
    Etcd(String),
    /// A member of etcd.
    Member(String),
    /// A node that joins.
    Joining(HostName),
    /// A node that is not ready.
    NotReady(HostName),
    /// A part of the cluster on a node.
    Part(HostName, String),
    /// Versions that do not go together.
    Skew(Skew),
    /// The node at its turn, and what it said last.
    AtWork(HostName, String),
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(why) => write!(f, "the Kubernetes API does not answer: {why}"),
            Self::Etcd(why) => write!(f, "etcd cannot be asked: {why}"),
            Self::Member(what) => write!(f, "{what}"),
            Self::Joining(node) => write!(f, "{node} joins just now"),
            Self::NotReady(node) => write!(f, "{node} is not ready"),
            Self::Part(node, what) => write!(f, "{what} on {node} is not ready"),
            Self::Skew(skew) => write!(f, "{skew}"),
            Self::AtWork(node, said) if said.is_empty() => {
                write!(f, "{node} is to ask for it, which nodes do every two minutes")
            }
            Self::AtWork(node, said) => write!(f, "{node} is at it: {said}"),
        }
    }
}

/// What is to be done next.
pub fn next(upgrade: &Upgrade, running: KubeVersion, facts: &Facts<'_>) -> Next {
    match (&upgrade.turn, &upgrade.stop) {
        (Some(turn), None) => at_turn(upgrade, turn, facts),
        (Some(turn), Some(stop)) if stop.is_wanted => at_turn(upgrade, turn, facts),
        // Nothing was done to it but that.
        (Some(turn), Some(_)) if turn.step == Step::Emptying && facts.api.is_ok() => {
            Next::Open(turn.node.clone())
        }
        (_, Some(_)) => Next::Stands,
        (None, None) => between(upgrade, running, facts),
    }
}

/// While it is a node's turn.
fn at_turn(upgrade: &Upgrade, turn: &Turn, facts: &Facts<'_>) -> Next {
    let own = &turn.node;
    let waited = facts.now.duration_since(turn.since);
    let is_late = waited > LIMIT;
    let Some(seen) = facts.nodes.get(own) else {
        // It was taken out of the cluster, or is installed anew.
        return Next::Open(own.clone());
    };
    match turn.step {
        Step::Upgrading => {
            // Who has begun is done when it says so as well: it may be at it a second time.
            let is_over = seen.is_at(upgrade.to) && (turn.is_done || turn.said.is_empty());
            let wait = match well(facts) {
                Ok(()) if is_over => return Next::Open(own.clone()),
                Err(wait) if is_over => wait,
                _ => Wait::AtWork(own.clone(), turn.said.clone()),
            };
            if is_late {
                let minutes = waited.as_mins();
                return Next::Stop(format!(
                    "{own} is not well at {} after {minutes} min: {wait}",
                    upgrade.to
                ));
            }
            Next::Wait(wait)
        }
        Step::Emptying => {
            if let Err(wait) = well(facts) {
                return Next::Wait(wait);
            }
            if !seen.is_closed {
                return Next::Close(own.clone());
            }
            let Some(pods) = facts.pods else {
                return Next::Empty(own.clone());
            };
            let drain = Drain::of(pods, upgrade.force);
            if !drain.lost.is_empty() {
                let names: Vec<String> = drain.lost.iter().map(|own| own.full_name()).collect();
                return Next::Stop(format!(
                    "nothing would start these pods of {own} again: {}",
                    names.join(", ")
                ));
            }
            if drain.is_done() {
                return Next::Hand(own.clone());
            }
            if waited.as_secs() > i64::from(upgrade.patience) {
                let why = if facts.held.is_empty() {
                    drain
                        .going
                        .iter()
                        .map(|own| format!("{}: it is ending", own.full_name()))
                        .collect()
                } else {
                    facts.held.to_vec()
                };
                return Next::Stop(format!(
                    "{own} is not empty after {} s: {}",
                    upgrade.patience,
                    why.join("; ")
                ));
            }
            Next::Empty(own.clone())
        }
    }
}

/// Between two turns: everything has to be well.
fn between(upgrade: &Upgrade, running: KubeVersion, facts: &Facts<'_>) -> Next {
    if let Some(node) = &facts.joining {
        return Next::Wait(Wait::Joining(node.clone()));
    }
    if let Err(wait) = well(facts) {
        return Next::Wait(wait);
    }
    if upgrade.snapshot.is_none() {
        return Next::Snapshot;
    }
    let behind = |is_control_plane: bool| {
        let all = facts.nodes.iter();
        all.filter(move |(_, seen)| seen.is_control_plane == is_control_plane && !seen.is_at(upgrade.to))
    };
    let take = |name: &HostName, seen: &NodeSeen, way| {
        Next::Take(Turn {
            node: name.clone(),
            way,
            step: Step::Emptying,
            since: facts.now,
            was_closed: seen.is_closed,
            said: String::new(),
            is_done: false,
        })
    };
    // One that is half done comes first: whoever began has to end what the whole cluster knows.
    let half = |seen: &NodeSeen| seen.server.is_some_and(|(server, _)| server == upgrade.to);
    if let Some((name, seen)) = behind(true).min_by_key(|(name, seen)| (!half(seen), *name)) {
        let mut others = facts.nodes.values().filter(|other| other.is_control_plane);
        let is_first = others.all(|other| !other.is_at(upgrade.to));
        return take(name, seen, if is_first { Way::Apply } else { Way::Node });
    }
    if running != upgrade.to {
        return Next::Pin;
    }
    let Some((name, seen)) = behind(false).next() else {
        return Next::Finish;
    };
    let servers = facts
        .nodes
        .values()
        .filter_map(|own| own.server.map(|(version, _)| version));
    match servers
        .min()
        .map(|oldest| version::kubelet_skew(upgrade.to, oldest))
    {
        Some(Err(skew)) => Next::Wait(Wait::Skew(skew)),
        Some(Ok(())) | None => take(name, seen, Way::Node),
    }
}

/// Whether all of the cluster is well, so that a part of it may go away for a while.
fn well(facts: &Facts<'_>) -> Result<(), Wait> {
    facts.api.clone().map_err(Wait::Api)?;
    let members = facts.etcd.clone().map_err(Wait::Etcd)?;
    if let Some(ill) = members.iter().find(|own| !own.is_well()) {
        let why = ill.ill.as_deref().unwrap_or_default();
        return Err(Wait::Member(format!(
            "the member of etcd {} is not well: {why}",
            ill.listed.name
        )));
    }
    if !has_majority(members) {
        return Err(Wait::Etcd("it has no majority".to_owned()));
    }
    for (name, seen) in &facts.nodes {
        if !seen.is_ready {
            return Err(Wait::NotReady(name.clone()));
        }
        if seen.is_control_plane && !seen.server.is_some_and(|(_, is_ready)| is_ready) {
            return Err(Wait::Part(name.clone(), "kube-apiserver".to_owned()));
        }
        if let Some(part) = seen.unready.first() {
            return Err(Wait::Part(name.clone(), part.clone()));
        }
    }
    Ok(())
}

/// The files of the new version for a node: what kubeadm is told, and what containerd goes by.
pub fn files(site: &Site, node: &Node, images: &Images, way: Way) -> Vec<File> {
    let mut files = vec![File::secret(CONFIG, upgrade_config(images))];
    if way == Way::Apply {
        files.push(File::secret(CLUSTER, init_config(site, node, images)));
    }
    files.extend(containerd::files(&Names::of(site).registry, &images.pause));
    files
}

#[cfg(test)]
mod tests;
