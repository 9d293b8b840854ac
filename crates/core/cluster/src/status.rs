//! How the cluster is, and by which evidence: per node and per part its state, since when, what it waits for, and what
//! that said last.
//!
//! A pure function of what was observed. What nobody said is `unknown`, and never `ready`. A time since when something
//! is so is the one that whoever says it gives; where nobody does, it is when the bastion first saw it so, which the
//! status before this one remembers.

mod members;
mod parts;

use std::collections::BTreeMap;

use faros_model::{
    api::{
        CertificateEnd, ClusterNode, ClusterState, ClusterStatus, ComponentState, ComponentStatus,
        MemberState, Missing, NodeStatus,
    },
    ids::HostName,
    kubernetes::KubeVersion,
    site::{Distribution, Site},
};
use jiff::{SignedDuration, Timestamp};

use crate::{Names, Record, etcd::Lost, install::Observed};

/// So long a node may take from having joined to being ready.
const START: SignedDuration = SignedDuration::from_mins(5);

/// So long a cluster that was never whole may be on its way, whatever its parts say.
const BEGINNING: SignedDuration = SignedDuration::from_hours(1);

/// Certificates are renewed long before this is all that is left of them.
const ENDS_SOON: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What the cluster is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The intent.
    pub site: &'a Site,
    /// What was handed to whom.
    pub record: &'a Record,
    /// What the install goes by; its clock is the one that counts.
    pub observed: &'a Observed,
    /// Where the nodes are in their lives.
    pub lives: &'a [NodeStatus],
    /// The version that runs, or would be installed.
    pub version: Option<KubeVersion>,
    /// Content that is needed, and not there.
    pub missing: &'a [Missing],
    /// Why the cluster's root keys are not open, if they are not.
    pub keys_closed: Option<&'a str>,
    /// What Kubernetes says of the nodes.
    pub kubelets: &'a BTreeMap<HostName, Kubelet>,
    /// What the API servers themselves say, by their nodes.
    pub servers: &'a BTreeMap<HostName, Server>,
    /// The pods of `kube-system`, as far as they were seen.
    pub pods: &'a [Pod],
    /// Certificates that were seen.
    pub certificates: &'a [CertificateEnd],
    /// That etcd has lost its majority, if it has.
    pub lost: Option<&'a Lost>,
    /// How it was when it was judged last.
    pub before: Option<&'a ClusterStatus>,
}

/// What Kubernetes says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubelet {
    /// Whether it is ready.
    pub is_ready: bool,
    /// Since when, by the API's clock.
    pub since: Option<Timestamp>,
    /// What its kubelet says of that.
    pub says: String,
    /// The version of its kubelet.
    pub version: String,
    /// What it is so short of that it ends its pods, and what its kubelet says of that.
    pub short_of: Option<String>,
}

/// What an API server says when it is asked whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// It is.
    Ready,
    /// It answers, and these of its checks fail.
    Failing(Vec<String>),
    /// It does not answer, and why.
    Silent(String),
}

/// A pod of `kube-system`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Which part of the cluster it is, such as `etcd`; else its own name.
    pub component: String,
    /// Where it runs, if it does.
    pub node: Option<HostName>,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why it is not.
    pub says: String,
}

/// Judges the cluster.
pub fn status(evidence: &Evidence<'_>) -> ClusterStatus {
    let site = evidence.site;
    let names = Names::of(site);
    let has_cluster = site.cluster.distribution == Distribution::Kubeadm;
    let (components, nodes) = if has_cluster {
        (parts::parts(evidence), members::members(evidence))
    } else {
        (Vec::new(), Vec::new())
    };
    let mut certificates = evidence.certificates.to_vec();
    certificates.sort_by(|a, b| (a.ends, &a.what, &a.node).cmp(&(b.ends, &b.what, &b.node)));
    let now = evidence.observed.now;
    let (state, reasons) = if has_cluster {
        whole(evidence, &components, &nodes, &certificates)
    } else {
        let why = match site.cluster.distribution {
            Distribution::Openshift => "the site's cluster is not one that Faros installs",
            Distribution::Kubeadm | Distribution::None => "the site has no cluster",
        };
        (ClusterState::None, vec![why.to_owned()])
    };
    let before = evidence.before.filter(|before| before.state == state);
    ClusterStatus {
        at: now,
        state,
        since: before.map_or(now, |before| before.since),
        reasons,
        name: site.zone().to_string(),
        endpoint: names.endpoint(),
        address: site.lan.addresses.api,
        version: evidence.version,
        established: evidence.record.established,
        missing: evidence.missing.to_vec(),
        components,
        nodes,
        certificates,
        // Who asks the nodes and what it was told to do adds it.
        upgrade: None,
    }
}

/// Whether all that ever came is well, so that what is not well from then on is ill. For a machine that was never seen
/// nobody waits.
pub fn is_settled(status: &ClusterStatus) -> bool {
    let (ready, expected) = (MemberState::Ready, MemberState::Expected);
    let mut nodes = status.nodes.iter().map(|own| own.state);
    let mut components = status.components.iter();
    status.state == ClusterState::Ready
        || status.state == ClusterState::Installing
            && status.nodes.iter().any(|own| own.state == ready)
            && nodes.all(|own| own == ready || own == expected)
            && components.all(|own| own.state == ComponentState::Ready)
}

/// What is to be told of something, by how bad it is.
#[derive(Default)]
struct Findings {
    /// Something that was there is not well.
    trouble: Vec<String>,
    /// Something is not there yet.
    coming: Vec<String>,
    /// Something that comes by itself when the rest is there.
    follows: Vec<String>,
}

fn whole(
    evidence: &Evidence<'_>,
    components: &[ComponentStatus],
    nodes: &[ClusterNode],
    certificates: &[CertificateEnd],
) -> (ClusterState, Vec<String>) {
    let mut found = Findings::default();
    found.trouble.extend(evidence.lost.map(ToString::to_string));
    for own in nodes {
        let line = node_line(own);
        let short_of = evidence
            .kubelets
            .get(&own.name)
            .and_then(|own| own.short_of.as_ref());
        if let Some(what) = short_of.filter(|_| has_joined(own.state)) {
            found.trouble.push(format!("{} is short of {what}", own.name));
        }
        if let Some(what) = evidence.record.complaints.get(&own.name)
            && has_joined(own.state)
        {
            found.trouble.push(format!("{} says: {what}", own.name));
        }
        match own.state {
            MemberState::Ready => {}
            MemberState::NotReady | MemberState::Unknown | MemberState::Failed => found.trouble.push(line),
            MemberState::Expected
            | MemberState::Booting
            | MemberState::Waiting
            | MemberState::Joining
            | MemberState::Starting => found.coming.push(line),
        }
    }
    for own in components {
        let line = component_line(own);
        let is_of_member = own.node.as_ref().is_none_or(|name| {
            let is_it = |node: &&ClusterNode| node.name == *name;
            nodes.iter().find(is_it).is_none_or(|node| has_joined(node.state))
        });
        let is_vital = matches!(
            own.component.as_str(),
            "kube-apiserver" | "etcd" | "content" | "root-keys"
        );
        match own.state {
            ComponentState::Ready => {}
            ComponentState::Unknown if !is_vital => {}
            _ if is_vital && is_of_member => found.trouble.push(line),
            _ if is_vital => found.coming.push(line),
            _ => found.follows.push(line),
        }
    }
    for own in certificates {
        if own.ends.duration_since(evidence.observed.now) < ENDS_SOON {
            found
                .trouble
                .push(format!("{} ends {}", certificate_name(own), own.ends));
        }
    }
    let is_at_work = nodes.iter().any(|node| node.state == MemberState::Joining);
    let established = evidence.record.established.is_some();
    let age = |begun| evidence.observed.now.duration_since(begun);
    // A machine that never comes must not hide what becomes of the others for ever.
    let is_grown = evidence.record.complete
        || evidence
            .record
            .established
            .is_some_and(|own| age(own) >= BEGINNING);
    let is_whole = found.trouble.is_empty() && found.coming.is_empty() && found.follows.is_empty();
    let state = if !established {
        if is_at_work {
            ClusterState::Installing
        } else {
            ClusterState::Waiting
        }
    } else if is_whole {
        ClusterState::Ready
    } else if evidence.lost.is_some() || is_grown && (!found.trouble.is_empty() || found.coming.is_empty()) {
        ClusterState::Degraded
    } else {
        // Nodes are on their way, or are there, and what runs on them follows.
        ClusterState::Installing
    };
    let reasons = [found.trouble, found.coming, found.follows].concat();
    (state, reasons)
}

const fn has_joined(state: MemberState) -> bool {
    matches!(
        state,
        MemberState::Ready | MemberState::NotReady | MemberState::Unknown | MemberState::Starting
    )
}

fn certificate_name(own: &CertificateEnd) -> String {
    match &own.node {
        Some(node) => format!("the certificate of {} on {node}", own.what),
        None => format!("the certificate of {}", own.what),
    }
}

fn node_line(own: &ClusterNode) -> String {
    sentence(
        own.name.as_str(),
        own.state.as_str(),
        own.waits_for.as_deref(),
        &own.said,
    )
}

fn component_line(own: &ComponentStatus) -> String {
    let name = match &own.node {
        Some(node) => format!("{} on {node}", own.component),
        None => own.component.clone(),
    };
    sentence(&name, own.state.as_str(), own.waits_for.as_deref(), &own.said)
}

fn sentence(name: &str, state: &str, waits_for: Option<&str>, said: &str) -> String {
    let waits = waits_for.map_or_else(String::new, |what| format!(", waits for {what}"));
    let said = if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    };
    format!("{name} is {state}{waits}{said}")
}

#[cfg(test)]
mod tests;
