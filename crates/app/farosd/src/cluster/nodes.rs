//! Work on a node that has joined: emptied, replaced by another machine, or taken out of the cluster.
//!
//! Each may be begun again after it was interrupted: what is done already is found done. etcd's majority is not risked,
//! whoever asks.

use std::time::{Duration, Instant};

use faros_cluster::{
    Record,
    drain::Drain,
    etcd::{MemberId, may_go},
};
use faros_kube::{Eviction, Kube};
use faros_model::{
    api::{Failure, NodeWorkRequest, WorkProgress},
    event::EventKind,
    site::{Node, Role, Site},
};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc;

use super::members::Members;
use crate::{
    daemon::{Intent, Shared, lock},
    executor::failure,
};

/// How often pods that are held are asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// What is done for good with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Another machine takes its place.
    Replaced,
    /// Nothing does.
    Removed,
}

/// Who hears how it goes.
pub(crate) struct Telling(mpsc::UnboundedSender<WorkProgress>);

impl Telling {
    pub(crate) fn new(to: mpsc::UnboundedSender<WorkProgress>) -> Self {
        Self(to)
    }

    fn step(&self, title: impl Into<String>) {
        let title = title.into();
        let _ = self.0.send(WorkProgress::Step { title });
    }

    fn waits(&self, for_what: Vec<String>) {
        let _ = self.0.send(WorkProgress::Waiting { for_what });
    }

    /// Says how it ended.
    pub(crate) fn end(self, ended: Result<String, Failure>) {
        let _ = self.0.send(match ended {
            Ok(next) => WorkProgress::Done { next },
            Err(failure) => WorkProgress::Failed { failure },
        });
    }
}

fn broken(error: impl Into<anyhow::Error>) -> Failure {
    failure("failed", format!("{:#}", error.into()), "")
}

impl Shared {
    /// Empties a node, or opens it again.
    pub(crate) async fn drain_node(
        &self,
        intent: &Intent,
        node: &Node,
        how: &NodeWorkRequest,
        tell: &Telling,
    ) -> Result<String, Failure> {
        let record = self.cluster.deciding.lock().await.clone();
        let kube = self.kube(&intent.site, &record).await.map_err(broken)?;
        if how.lift {
            kube.cordon(node.name.as_str(), false).await.map_err(broken)?;
            self.tell_of(node, EventKind::NodeOpened, json!({ "by": how.by }));
            return Ok(String::new());
        }
        self.empty(&kube, node, how, tell).await?;
        Ok(format!(
            "`farosctl node drain --lift {}` opens it again",
            node.name
        ))
    }

    async fn empty(
        &self,
        kube: &Kube,
        node: &Node,
        how: &NodeWorkRequest,
        tell: &Telling,
    ) -> Result<(), Failure> {
        let name = node.name.as_str();
        tell.step(format!("{name} takes no new pods"));
        kube.cordon(name, true).await.map_err(broken)?;
        tell.step(format!("the pods of {name} move elsewhere"));
        let began = Instant::now();
        let mut told = Vec::new();
        loop {
            let pods = kube.pods_of(name).await.map_err(broken)?;
            let drain = Drain::of(&pods, how.force);
            if !drain.lost.is_empty() {
                let names: Vec<String> = drain.lost.iter().map(|own| own.full_name()).collect();
                let message = format!("nothing would start these pods again: {}", names.join(", "));
                return Err(failure("refused", message, "--force lets them go all the same"));
            }
            if drain.is_done() {
                self.tell_of(node, EventKind::NodeDrained, json!({ "by": how.by }));
                return Ok(());
            }
            let mut waits: Vec<String> = drain
                .going
                .iter()
                .map(|own| format!("{}: it is ending", own.full_name()))
                .collect();
            for pod in drain.ask {
                let why = match kube.evict(pod).await.map_err(broken)? {
                    Eviction::Goes => "it was asked to go".to_owned(),
                    Eviction::Held(why) => why,
                };
                waits.push(format!("{}: {why}", pod.full_name()));
            }
            if began.elapsed() > Duration::from_secs(how.timeout.into()) {
                let message = format!(
                    "{name} is not empty after {} s: {}",
                    how.timeout,
                    waits.join("; ")
                );
                let hint = "the node stays closed; `farosctl node drain --lift` opens it";
                return Err(failure("failed", message, hint));
            }
            if waits != told {
                tell.waits(waits.clone());
                told = waits;
            }
            if self.stop.is_cancelled() || tell.0.is_closed() {
                let hint = "the node stays closed; ask again, or `farosctl node drain --lift`";
                return Err(failure(
                    "failed",
                    format!("the drain of {name} was given up"),
                    hint,
                ));
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Takes a node out of the cluster, so that another machine may have its place, or none.
    pub(crate) async fn leave(
        &self,
        intent: &Intent,
        node: &Node,
        leave: Leave,
        how: &NodeWorkRequest,
        tell: &Telling,
    ) -> Result<String, Failure> {
        let site = &intent.site;
        let name = &node.name;
        let record = self.cluster.deciding.lock().await.clone();
        if record.established.is_some() {
            // Whatever could be lost is known before anything is done.
            self.members_without(site, &record, node).await?;
            let kube = self.kube(site, &record).await.map_err(broken)?;
            let nodes = kube.nodes().await.map_err(broken)?;
            match nodes.iter().find(|own| own.name == name.as_str()) {
                None => tell.step(format!("Kubernetes does not know {name}")),
                Some(own) if !own.is_ready => {
                    tell.step(format!(
                        "{name} does not answer: its pods start elsewhere once it is forgotten"
                    ));
                }
                Some(_) => match self.empty(&kube, node, how, tell).await {
                    Err(failure) if how.force => {
                        tell.step(format!("go on all the same: {}", failure.message));
                    }
                    emptied => emptied?,
                },
            }
            {
                let mut record = self.cluster.deciding.lock().await;
                let mut next = record.clone();
                next.installed(name);
                // Until a machine is installed in its place, whoever asks by its name is the old one.
                next.removed.insert(name.clone());
                self.put_record(&mut record, next).await.map_err(broken)?;
            }
            // Looked at once more: draining takes its time.
            if let Some((members, id)) = self.members_without(site, &record, node).await? {
                tell.step(format!("etcd goes on without {name}"));
                members.client.remove(id).await.map_err(broken)?;
                let detail = json!({ "member": id.to_string(), "reason": "the node leaves the cluster" });
                self.tell_of(node, EventKind::EtcdMemberRemoved, detail);
                // The next machine need not wait for a member that is gone.
                lock(&self.cluster.view).members_at = None;
            }
            tell.step(format!("Kubernetes forgets {name}"));
            kube.forget_node(name.as_str()).await.map_err(broken)?;
        }
        let by = how.by.clone();
        if leave == Leave::Removed {
            self.store
                .disarm(name.clone(), by, Timestamp::now())
                .await
                .map_err(broken)?;
            self.reload_armed().map_err(broken)?;
            self.tell_of(node, EventKind::NodeRemoved, json!({ "by": how.by }));
            return Ok(format!(
                "switch {name} off, take it out of the site file, and apply that"
            ));
        }
        tell.step(format!("the next machine that boots as {name} is installed"));
        self.store
            .arm(name.clone(), by, Timestamp::now())
            .await
            .map_err(broken)?;
        lock(&self.tracker).expect_any_machine(name);
        self.reload_armed().map_err(broken)?;
        self.tell_of(
            node,
            EventKind::NodeArmed,
            json!({ "by": how.by, "reason": "replaced" }),
        );
        Ok(format!(
            "switch the old machine off; give the new one's MAC address to {name} in the site file if it has another, \
             apply that, and switch it on"
        ))
    }

    /// The node's member of etcd, if it has one, and it may go. One that is asked of is another's.
    async fn members_without(
        &self,
        site: &Site,
        record: &Record,
        node: &Node,
    ) -> Result<Option<(Members, MemberId)>, Failure> {
        if !node.roles.contains(&Role::ControlPlane) {
            return Ok(None);
        }
        let mut others = record.clone();
        others.attempts.remove(&node.name);
        let refused = |why: String| {
            let hint =
                "`farosctl cluster snapshot` has what etcd holds; wait until its other members are well";
            failure("refused", format!("{} has to stay: {why}", node.name), hint)
        };
        let members = self
            .etcd(site, record)
            .await
            .map_err(|error| refused(format!("{error:#}")))?;
        let own = |own: &&faros_cluster::etcd::Member| {
            own.listed.node(site).is_some_and(|own| own.name == node.name)
        };
        let Some(id) = members.all.iter().find(own).map(|own| own.listed.id) else {
            return Ok(None);
        };
        may_go(&members.all, id).map_err(|risk| refused(risk.to_string()))?;
        // It is the others that are asked to go on without it.
        let members = Members {
            client: self.etcd(site, &others).await.map_err(broken)?.client,
            ..members
        };
        Ok(Some((members, id)))
    }
}
