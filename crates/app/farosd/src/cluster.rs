//! The site's cluster: what was handed to whom, what Kubernetes says, and what the bastion does there.
//!
//! Every few seconds, while there is a cluster, the bastion looks at it through the API of a control-plane node: it
//! gives nodes their roles and their blocks of pod addresses, decides on requests for certificates, withdraws tokens
//! that were used, and tells when a node is ready and when not. It holds no state of its own there: what it does
//! follows from the site file, its own record and what it sees, so that it may be stopped at any point.

mod certificates;
pub(crate) mod credentials;
mod members;
pub(crate) mod nodes;
mod pressure;
pub(crate) mod release;
mod restore;
mod snapshots;
mod status;
mod upgrade;

use std::{
    collections::BTreeMap,
    net::SocketAddrV4,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use faros_cluster::{
    API_PORT, Names, NotTaken, PodBlocks, Record, Said,
    etcd::Lost,
    install::{Api, Member, Observed, Progress, Reason, Seen, Work},
    tend::Ends,
};
use faros_kube::{Kube, NodeFacts};
use faros_model::{
    event::{EventKind, Phase},
    ids::{HostName, SessionId},
    site::{Distribution, Node, Site},
};
use faros_pki::Subject;
use faros_unlock::Told;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use crate::{
    authority::Roots,
    daemon::{Intent, Shared, lock},
    pages::reading,
};

/// How often the cluster is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// What was seen is good for so long.
const FRESH: SignedDuration = SignedDuration::from_secs(30);

/// Who has asked within this time is asking: nodes ask every ten seconds.
const ASKING: SignedDuration = SignedDuration::from_secs(120);

/// The bastion's own certificate for the API.
const OWN: SignedDuration = SignedDuration::from_hours(24);

/// The group to which `kubeadm init` gives `cluster-admin`.
const ADMINS: &str = "kubeadm:cluster-admins";

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
            let mut view = lock(&shared.cluster.view);
            view.why.clear();
            view.majority = Majority::Unknown;
        }
        if record.upgrade.is_some() {
            shared.keep_upgrade(&intent).await;
        }
        shared.watch_cluster(&intent, &record).await;
    }
}

impl Shared {
    /// A client of the API server on a node that has one, the first that answers.
    pub(crate) async fn kube(&self, site: &Site, record: &Record) -> anyhow::Result<Kube> {
        let roots = self
            .authority
            .held()
            .context("the cluster's root keys are not open")?;
        let now = Timestamp::now();
        let held = lock(&self.cluster.view).client.clone();
        if let Some((made, by, kube)) = held
            && Arc::ptr_eq(&by, &roots)
            && now.duration_since(made) < OWN / 2
            && kube.nodes().await.is_ok()
        {
            return Ok(kube);
        }
        let servers = record
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.progress == Progress::Joined && attempt.work != Work::JoinWorker);
        let servers: Vec<&Node> = servers.filter_map(|(name, _)| site.nodes.get(name)).collect();
        let mut last = anyhow::anyhow!("no control-plane node has joined");
        for kube in kube_clients(site, &roots, &servers)? {
            match kube.nodes().await {
                Ok(_) => {
                    lock(&self.cluster.view).client = Some((now, roots, kube.clone()));
                    return Ok(kube);
                }
                Err(error) => last = anyhow::Error::new(error),
            }
        }
        Err(last)
    }

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
        record.grants.retain(|grant| !over.contains(&grant.token_id));
        self.store.put_cluster(record.clone()).await?;
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

    /// Takes note of what a node says of its joining; on disk when this returns.
    pub(crate) async fn cluster_said(
        &self,
        node: &HostName,
        said: Said,
    ) -> anyhow::Result<Result<(), NotTaken>> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        let now = self.sightings.now();
        let taken = next.said(node, said, now, self.sightings.clock().shown(now));
        if taken.is_ok() && next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(taken)
    }

    /// A node asks to join. Its script does that only after it has left the cluster as it was, and when nothing keeps it
    /// from that.
    pub(crate) async fn cluster_hears(&self, node: &Node) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.rejoin.remove(&node.name);
        next.complaints.remove(&node.name);
        if next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(())
    }

    /// All of the cluster was ready, for the first time.
    async fn cluster_is_complete(&self) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.complete = next.established.is_some();
        self.store.put_cluster(next.clone()).await?;
        *record = next;
        Ok(())
    }

    /// A node is installed anew: what it was handed before is of another disk.
    pub(crate) async fn cluster_forgets(&self, node: &HostName) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.installed(node);
        if next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(())
    }

    /// The SHA-256 of the secret with which a node was installed last.
    pub(crate) async fn installed_with(
        &self,
        node: &HostName,
    ) -> anyhow::Result<Option<faros_model::ids::Digest>> {
        let name = node.clone();
        let pass = reading(self, move |store| store.pass(&name)).await?;
        Ok(pass.and_then(|pass| pass.join))
    }
}

/// Clients of the API servers on these nodes, with a certificate of the bastion's own.
fn kube_clients(site: &Site, roots: &Roots, nodes: &[&Node]) -> anyhow::Result<Vec<Kube>> {
    let subject = Subject::Client {
        name: "farosd".to_owned(),
        organization: Some(ADMINS.to_owned()),
    };
    let own = roots.kubernetes.issue(&subject, Timestamp::now(), OWN)?;
    let name = Names::of(site).api;
    let client = |node: &&Node| {
        Ok(Kube::new(
            SocketAddrV4::new(node.address, API_PORT),
            &name,
            roots.kubernetes.certificate_der().clone(),
            own.certificate.der.clone(),
            PrivateKeyDer::Pkcs8(own.key.secret_der()),
        )?)
    };
    nodes.iter().map(client).collect()
}
