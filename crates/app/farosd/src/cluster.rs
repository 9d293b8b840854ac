//! The site's cluster: what was handed to whom, what Kubernetes says, and what the bastion does there.
//!
//! Every few seconds, while there is a cluster, the bastion looks at it through the API of a control-plane node: it
//! gives nodes their roles and their blocks of pod addresses, decides on requests for certificates, withdraws tokens
//! that were used, and tells when a node is ready and when not. It holds no state of its own there: what it does
//! follows from the site file, its own record and what it sees, so that it may be stopped at any point.

mod certificates;
mod client;
pub(crate) mod credentials;
mod members;
pub(crate) mod nodes;
mod notes;
mod pressure;
pub(crate) mod release;
mod restore;
mod snapshots;
mod status;
mod upgrade;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use faros_cluster::{
    PodBlocks, Record,
    etcd::Lost,
    install::{Api, Member, Observed, Progress, Reason, Seen},
    tend::Ends,
};
use faros_kube::{Kube, NodeFacts};
use faros_model::{
    event::{EventKind, Phase},
    ids::{HostName, SessionId},
    site::{Distribution, Site},
};
use faros_unlock::Told;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    authority::Roots,
    daemon::{Intent, Shared, lock},
};

/// How often the cluster is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// What was seen is good for so long.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// Who has asked within this time is asking: nodes ask every ten seconds.
const ASKING: SignedDuration = SignedDuration::from_secs(120);

/// What is known of the cluster.
pub(crate) struct Clustering {
    /// Held while it is decided who may do what, and until that is on disk.
    pub(crate) deciding: tokio::sync::Mutex<Record>,
    /// What each node asked last.
    pub(crate) asked: Mutex<BTreeMap<HostName, Asked>>,
    /// Who was refused what only nodes get.
    pub(crate) refused: Mutex<Told<String>>,
    view: Mutex<View>,
    snapshots: snapshots::Snapshots,
    pub(crate) watched: status::Watched,
    upgrading: upgrade::Watched,
    /// What nodes say of their certificates, and who renews them.
    pub(crate) tended: Mutex<Tended>,
}

/// A node asked to join.
#[derive(Default)]
pub(crate) struct Asked {
    /// When.
    pub(crate) at: Timestamp,
    /// In which of its boots it was told to wait, and why; not said again while it is the same.
    pub(crate) told: Option<(SessionId, Reason)>,
}

/// Certificates of the control plane, as its nodes say.
#[derive(Default)]
pub(crate) struct Tended {
    /// When they end, by node.
    pub(crate) ends: BTreeMap<HostName, Ends>,
    /// Who was told last to renew them, and when.
    pub(crate) renewing: Option<(HostName, Timestamp)>,
}

/// What the API said when it was asked last.
#[derive(Default)]
struct View {
    at: Option<Timestamp>,
    nodes: Vec<NodeFacts>,
    etcd: Vec<(String, bool)>,
    /// When etcd itself was asked.
    members_at: Option<Timestamp>,
    majority: Majority,
    why: String,
    client: Option<(Timestamp, Arc<Roots>, Kube)>,
    allows_tokens: bool,
}

/// What is known of etcd's majority.
#[derive(Default, Clone)]
enum Majority {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It is there.
    There,
    /// It is lost, and that was told then.
    Lost { lost: Lost, since: Timestamp },
}

impl Majority {
    const fn lost(&self) -> Option<&Lost> {
        match self {
            Self::Lost { lost, .. } => Some(lost),
            Self::Unknown | Self::There => None,
        }
    }
}

impl Clustering {
    pub(crate) fn new(record: Record) -> Self {
        Self {
            deciding: tokio::sync::Mutex::new(record),
            asked: Mutex::default(),
            refused: Mutex::default(),
            view: Mutex::default(),
            snapshots: snapshots::Snapshots::default(),
            watched: status::Watched::default(),
            upgrading: upgrade::Watched::default(),
            tended: Mutex::default(),
        }
    }
}

/// Looks after the cluster until told to stop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(intent) = shared.intent() else { continue };
        if intent.site.cluster.distribution != Distribution::Kubeadm {
            continue;
        }
        let record = shared.cluster.deciding.lock().await.clone();
        if record.established.is_some() {
            match shared.look_at_cluster(&intent, &record).await {
                Ok(()) => shared.keep_snapshots(&intent),
                Err(error) => {
                    let why = format!("{error:#}");
                    let is_new = std::mem::replace(&mut lock(&shared.cluster.view).why, why.clone()) != why;
                    if is_new {
                        tracing::warn!("the cluster cannot be looked at: {why}");
                    }
                    shared.look_for_majority(&intent.site, &record).await;
                    if lock(&shared.cluster.view).majority.lost().is_some() {
                        shared.keep_snapshots(&intent);
                    }
                }
            }
        } else {
            // Of a cluster that is no more.
            lock(&shared.cluster.view).why.clear();
        }
        if record.upgrade.is_some() {
            shared.keep_upgrade(&intent).await;
        }
        shared.watch_cluster(&intent, &record).await;
    }
}

impl Shared {
    /// Looks at the cluster, and does what there is to do.
    async fn look_at_cluster(&self, intent: &Intent, record: &Record) -> anyhow::Result<()> {
        let site = &intent.site;
        let kube = self.kube(site, record).await?;
        let mut nodes = kube.nodes().await?;
        let of_pods = kube.etcd().await?;
        // It answers, and so does etcd.
        self.tell_majority(None).await?;
        self.tell_pressure(site, &mut nodes).await?;
        let allows_tokens = {
            let mut view = lock(&self.cluster.view);
            self.tell_readiness(site, &view.nodes, &nodes);
            view.at = Some(self.sightings.now());
            view.why.clear();
            view.nodes.clone_from(&nodes);
            view.allows_tokens
        };
        if let Err(error) = self.look_at_etcd(intent).await {
            // A node that was installed by an earlier version keeps its port closed: its pods tell as well.
            tracing::debug!("etcd cannot be asked: {error:#}");
            let mut view = lock(&self.cluster.view);
            view.etcd = of_pods;
            view.members_at = None;
        }
        if !allows_tokens {
            kube.allow_tokens().await?;
            kube.allow_people().await?;
            lock(&self.cluster.view).allows_tokens = true;
        }
        self.decide_on_certificates(site, &kube).await?;
        let blocks = PodBlocks::of_site(site).ok();
        for facts in &nodes {
            let Some(node) = site.nodes.values().find(|node| node.name.as_str() == facts.name) else {
                continue;
            };
            let lacks_role =
                |role: &&faros_model::site::Role| !facts.roles.iter().any(|own| own == role.as_str());
            let block = blocks.and_then(|blocks| blocks.block(node.address));
            let block = block.filter(|_| facts.pod_block.is_none());
            if block.is_some() || node.roles.iter().any(|role| lacks_role(&role)) {
                kube.furnish(node, block).await?;
            }
        }
        self.withdraw_used_tokens(&kube).await
    }

    /// Tells of nodes that are ready now, or no longer.
    fn tell_readiness(&self, site: &Site, before: &[NodeFacts], now: &[NodeFacts]) {
        for facts in now {
            let Some(node) = site.nodes.values().find(|node| node.name.as_str() == facts.name) else {
                continue;
            };
            let was = before.iter().find(|own| own.name == facts.name);
            let has_changed = was.is_some_and(|was| was.is_ready != facts.is_ready);
            // The bastion may have restarted, and so may the node, faster than Kubernetes takes note of it.
            let phase = lock(&self.tracker).life(&node.name).map(faros_boot::Life::phase);
            let is_unknown = match phase {
                Some(Phase::Joined) => facts.is_ready,
                Some(Phase::Ready) => !facts.is_ready,
                _ => false,
            };
            if !has_changed && !is_unknown {
                continue;
            }
            if facts.is_ready {
                self.tell_of(node, EventKind::NodeReady, json!({ "version": facts.version }));
            } else {
                self.tell_of(node, EventKind::NodeNotReady, json!({ "message": facts.says }));
            }
        }
    }

    /// A token of a node that has joined is of no use, and is withdrawn.
    async fn withdraw_used_tokens(&self, kube: &Kube) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let now = self.sightings.now();
        let is_over = |node: &HostName, expires: Timestamp| {
            let attempt = record.attempts.get(node);
            expires < now || attempt.is_some_and(|attempt| attempt.progress == Progress::Joined)
        };
        let over: Vec<String> = record
            .grants
            .iter()
            .filter(|grant| is_over(&grant.node, grant.expires))
            .map(|grant| grant.token_id.clone())
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        for token_id in &over {
            kube.withdraw_token(token_id).await?;
        }
        let mut next = record.clone();
        next.grants.retain(|grant| !over.contains(&grant.token_id));
        self.put_record(&mut record, next).await?;
        Ok(())
    }

    /// All that the plan of the install goes by.
    pub(crate) fn observed(&self, site: &Site, record: &Record, now: Timestamp) -> Observed {
        let view = lock(&self.cluster.view);
        let asked = lock(&self.cluster.asked);
        let tracker = lock(&self.tracker);
        let is_fresh = view.at.is_some_and(|at| now.duration_since(at) <= FRESH);
        let seen = |name: &HostName| {
            let facts = view.nodes.iter().find(|own| own.name == name.as_str());
            let facts = facts.filter(|_| is_fresh);
            let etcd = view.etcd.iter().find(|(own, _)| own == name.as_str());
            Seen {
                live: tracker.life(name).and_then(faros_boot::Life::running),
                is_asking: asked
                    .get(name)
                    .is_some_and(|own| now.duration_since(own.at) <= ASKING),
                attempt: record.attempts.get(name).cloned(),
                is_leaving: record.rejoin.contains(name),
                is_removed: record.removed.contains(name),
                member: facts.map(|facts| Member {
                    is_ready: facts.is_ready,
                    created: self.sightings.clock().counted(facts.created),
                }),
                etcd: etcd.filter(|_| is_fresh).map(|(_, is_well)| *is_well),
            }
        };
        let api = match (is_fresh, view.why.as_str()) {
            (true, _) => Api::Ready,
            (false, "") => Api::NotReady("the bastion has not reached it yet".to_owned()),
            (false, why) => Api::NotReady(why.to_owned()),
        };
        Observed {
            now,
            is_established: record.established.is_some(),
            is_upgrading: record.keeps_joins_away(),
            restoring: record.restoring.as_ref().map(|own| own.since),
            api,
            nodes: site.nodes.keys().map(|name| (name.clone(), seen(name))).collect(),
        }
    }

    /// What was seen of a cluster that is no more.
    fn forget_view(&self) {
        *lock(&self.cluster.view) = View::default();
    }
}
