//! The members of the cluster's etcd: how they are, and that none is left over where a machine joins anew.

use std::{net::SocketAddrV4, time::Duration};

use anyhow::Context as _;
use faros_cluster::{
    Record,
    etcd::{Answer, CLIENT_PORT, Lost, Member, left_over, lost, may_be_member, of_answers},
    install::verdicts,
};
use faros_kube::Etcd;
use faros_model::{
    event::EventKind,
    ids::HostName,
    site::{Node, Site},
};
use faros_pki::Subject;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::PrivateKeyDer;
use serde_json::json;

use super::Majority;
use crate::daemon::{Intent, Shared, lock};

/// A member that is well answers within milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was said is good for so long; asking costs every member a connection.
const FRESH: SignedDuration = SignedDuration::from_secs(15);

/// The bastion's own certificate for etcd.
const OWN: SignedDuration = SignedDuration::from_hours(24);

/// etcd, as its members say.
#[derive(Clone)]
pub(crate) struct Members {
    /// A member that answers.
    pub(crate) client: Etcd,
    /// All of them.
    pub(crate) all: Vec<Member>,
}

impl Shared {
    /// Asks all members how they are.
    pub(crate) async fn etcd(&self, site: &Site, record: &Record) -> anyhow::Result<Members> {
        let nodes = record.attempts.iter().filter(|(_, own)| may_be_member(own));
        let nodes: Vec<&Node> = nodes.filter_map(|(name, _)| site.nodes.get(name)).collect();
        let clients = self.etcd_clients(&nodes)?;
        let said = join_all(clients.iter().map(|etcd| async move {
            let status = async { anyhow::Ok((etcd.status().await?, etcd.members().await?)) };
            let (status, listed) = tokio::time::timeout(PATIENCE, status).await??;
            let health = tokio::time::timeout(PATIENCE, etcd.health()).await;
            let ill = health.map_or_else(
                |late| Some(late.to_string()),
                |health| health.err().map(|error| error.to_string()),
            );
            anyhow::Ok(Answer {
                id: status.id,
                applied: status.applied,
                ill,
                listed,
            })
        }))
        .await;
        let (mut answers, mut whose, mut why) = (Vec::new(), Vec::new(), None);
        for (client, said) in clients.into_iter().zip(said) {
            match said {
                Ok(answer) => {
                    answers.push(answer);
                    whose.push(client);
                }
                Err(error) => why = why.or(Some(error)),
            }
        }
        let Some((best, all)) = of_answers(&answers) else {
            return Err(why.unwrap_or_else(|| anyhow::anyhow!("no control-plane node has joined")));
        };
        Ok(Members {
            client: whose.swap_remove(best),
            all,
        })
    }

    /// Asks etcd now who belongs to it, and takes note of that for what is decided next; the next look is soon.
    pub(crate) async fn see_etcd(&self, site: &Site, record: &Record) -> anyhow::Result<Members> {
        let members = self.etcd(site, record).await?;
        let seen = members.all.iter().filter_map(|member| {
            let node = member.listed.node(site)?;
            Some((node.name.to_string(), member.is_well()))
        });
        let mut view = lock(&self.cluster.view);
        view.etcd = seen.collect();
        view.members_at = None;
        drop(view);
        Ok(members)
    }

    fn etcd_clients(&self, nodes: &[&Node]) -> anyhow::Result<Vec<Etcd>> {
        let roots = self
            .authority
            .held()
            .context("the cluster's root keys are not open")?;
        let subject = Subject::Client {
            name: "farosd".to_owned(),
            organization: None,
        };
        let own = roots.etcd.issue(&subject, Timestamp::now(), OWN)?;
        let client = |node: &&Node| {
            Ok(Etcd::new(
                SocketAddrV4::new(node.address, CLIENT_PORT),
                roots.etcd.certificate_der().clone(),
                own.certificate.der.clone(),
                PrivateKeyDer::Pkcs8(own.key.secret_der()),
            )?)
        };
        nodes.iter().map(client).collect()
    }

    /// Looks whether it is etcd's majority that the API lacks.
    pub(super) async fn look_for_majority(&self, site: &Site, record: &Record) {
        // Nobody answers: that may be anything.
        let Ok(members) = self.etcd(site, record).await else {
            return;
        };
        // A look takes seconds where members are silent, and that is when people restore.
        let deciding = self.cluster.deciding.lock().await;
        if deciding.established != record.established {
            return;
        }
        if let Err(error) = self.tell_majority(lost(site, &members.all)).await {
            tracing::error!("{error:#}");
        }
    }

    /// Tells that etcd has lost its majority, or has it again, if that is another than was told last, by whichever run of
    /// this program.
    pub(super) async fn tell_majority(&self, now: Option<Lost>) -> anyhow::Result<()> {
        let before = lock(&self.cluster.view).majority.clone();
        let lost_at = match before {
            Majority::There => None,
            Majority::Lost { since, .. } => Some(since),
            Majority::Unknown => {
                let last = self.last_told(None, EventKind::EtcdMajority).await?;
                last.filter(|last| last.detail.contains_key("of"))
                    .map(|last| last.at)
            }
        };
        let since = lost_at.unwrap_or_else(|| self.sightings.now());
        let told = match &now {
            Some(Lost { there, of, silent }) if lost_at.is_none() => {
                Some(json!({ "well": there, "of": of, "silent": silent.join(" and ") }))
            }
            None if lost_at.is_some() => Some(json!({})),
            Some(_) | None => None,
        };
        lock(&self.cluster.view).majority =
            now.map_or(Majority::There, |lost| Majority::Lost { lost, since });
        if let Some(detail) = told {
            self.tell(EventKind::EtcdMajority, detail);
            // What is left is put by at once.
            self.cluster.snapshots.look_again();
        }
        Ok(())
    }

    /// Whether etcd has lost its majority, and would have it with this node's member: a node may lose its power with a vote,
    /// and before it was one of the cluster.
    pub(crate) fn majority_lacks(&self, node: &HostName) -> bool {
        let view = lock(&self.cluster.view);
        let lost = view.majority.lost();
        lost.is_some_and(|own| own.silent.iter().any(|silent| silent == node.as_str()))
    }

    /// Looks at etcd, if that was not done just now, and takes members away that are left over from machines that are
    /// to join anew.
    pub(super) async fn look_at_etcd(&self, intent: &Intent) -> anyhow::Result<()> {
        let site = &intent.site;
        let now = self.sightings.now();
        let looked = lock(&self.cluster.view).members_at;
        if looked.is_some_and(|at| now.duration_since(at) < FRESH && at <= now) {
            return Ok(());
        }
        // What is decided here is not decided at once by a node that asks.
        let record = self.cluster.deciding.lock().await;
        let Members { client, all } = self.see_etcd(site, &record).await?;
        lock(&self.cluster.view).members_at = Some(now);
        let verdicts = verdicts(site, &self.observed(site, &record, now));
        for (node, id, may_go) in left_over(site, &verdicts, &all) {
            if let Err(risk) = may_go {
                tracing::warn!(node = %node.name, member = %id, "an old member of etcd has to stay: {risk}");
                continue;
            }
            client.remove(id).await?;
            let detail = json!({ "member": id.to_string(), "reason": "the machine joins anew" });
            self.tell_of(node, EventKind::EtcdMemberRemoved, detail);
            // One at a time: what is left is looked at first.
            lock(&self.cluster.view).members_at = None;
            break;
        }
        Ok(())
    }
}
