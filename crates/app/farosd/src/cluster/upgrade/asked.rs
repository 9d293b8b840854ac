//! An upgrade as people ask for it: how it stands, that it begins, stands still, and goes on.

use faros_cluster::{
    Record,
    install::{Progress, Work},
    upgrade::{Step, Stop, Turn, Upgrade},
    version::{self, Wanted},
};
use faros_model::{
    api::{
        Failure, Missing, UpgradeNode, UpgradeNodeState, UpgradePauseRequest, UpgradeRequest, UpgradeState,
        UpgradeStatus,
    },
    event::EventKind,
    kubernetes::KubeVersion,
    site::{Distribution, Node, Role, Site},
};
use serde_json::json;

use crate::{
    cluster::release::no_release,
    daemon::{Shared, lock},
    executor::failure,
    pages::reading,
};

impl Shared {
    /// How an upgrade stands; if none was begun, what one would do.
    pub(crate) async fn upgrade_status(
        &self,
        site: &Site,
        to: Option<KubeVersion>,
    ) -> Result<UpgradeStatus, Failure> {
        let record = self.cluster.deciding.lock().await.clone();
        if let Some(status) = self.upgrade_under_way(site, &record) {
            return Ok(status);
        }
        let running = running(site, &record)?;
        let to = self.target(site, running, to).await?;
        let mut status = UpgradeStatus {
            state: UpgradeState::Possible,
            from: running,
            to,
            since: None,
            by: None,
            snapshot: None,
            why: String::new(),
            nodes: self.upgrade_nodes(site, &record, to, None),
        };
        let is_done = status
            .nodes
            .iter()
            .all(|own| own.state == UpgradeNodeState::Upgraded);
        if running == to && is_done {
            status.state = UpgradeState::Done;
        }
        Ok(status)
    }

    /// How the upgrade stands that was begun.
    pub(in crate::cluster) fn upgrade_under_way(
        &self,
        site: &Site,
        record: &Record,
    ) -> Option<UpgradeStatus> {
        let upgrade = record.upgrade.as_ref()?;
        let (state, why) = match &upgrade.stop {
            Some(stop) if stop.is_wanted => (UpgradeState::Paused, stop.why.clone()),
            Some(stop) => (UpgradeState::Stopped, stop.why.clone()),
            None => (UpgradeState::Running, lock(&self.cluster.upgrading).why.clone()),
        };
        Some(UpgradeStatus {
            state,
            from: upgrade.from,
            to: upgrade.to,
            since: Some(self.sightings.clock().shown(upgrade.since)),
            by: Some(upgrade.by.clone()),
            snapshot: upgrade.snapshot.clone(),
            why,
            nodes: self.upgrade_nodes(site, record, upgrade.to, upgrade.turn.as_ref()),
        })
    }

    fn upgrade_nodes(
        &self,
        site: &Site,
        record: &Record,
        to: KubeVersion,
        turn: Option<&Turn>,
    ) -> Vec<UpgradeNode> {
        let clock = self.sightings.clock();
        let view = lock(&self.cluster.view);
        let joined = site.nodes.values().filter(|node| {
            let attempt = record.attempts.get(&node.name);
            attempt.is_some_and(|own| own.progress == Progress::Joined)
        });
        let own = |node: &Node| {
            let facts = view.nodes.iter().find(|own| own.name == node.name.as_str());
            let version = facts.and_then(|own| own.version.parse().ok());
            let turn = turn.filter(|turn| turn.node == node.name);
            let state = match turn.map(|turn| turn.step) {
                Some(Step::Emptying) => UpgradeNodeState::Emptying,
                Some(Step::Upgrading) => UpgradeNodeState::Upgrading,
                None if version == Some(to) => UpgradeNodeState::Upgraded,
                None => UpgradeNodeState::Waiting,
            };
            UpgradeNode {
                name: node.name.clone(),
                roles: node.roles.clone(),
                version,
                state,
                since: turn.map(|turn| clock.shown(turn.since)),
                said: turn.map(|turn| turn.said.clone()).unwrap_or_default(),
            }
        };
        let mut nodes: Vec<UpgradeNode> = joined.map(own).collect();
        nodes.sort_by_key(|own| (!own.roles.contains(&Role::ControlPlane), own.name.clone()));
        nodes
    }

    /// Begins an upgrade, or has the one go on that stands still.
    pub(crate) async fn begin_upgrade(
        &self,
        site: &Site,
        asked: &UpgradeRequest,
    ) -> Result<UpgradeStatus, Failure> {
        let broken = |error: anyhow::Error| failure("failed", format!("{error:#}"), "");
        let before = self.upgrade_status(site, asked.to).await?;
        let now = self.sightings.now();
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        let told = if let Some(upgrade) = &mut next.upgrade {
            if let Some(other) = asked.to.filter(|to| *to != upgrade.to) {
                let message = format!("an upgrade to {} is under way, and not to {other}", upgrade.to);
                return Err(failure(
                    "conflict",
                    message,
                    "an upgrade that was begun is brought to its end",
                ));
            }
            if upgrade.stop.is_none() {
                return Ok(before);
            }
            upgrade.resume(now);
            (upgrade.force, upgrade.patience) = (asked.force, asked.timeout);
            let detail = json!({ "to": upgrade.to, "by": asked.by });
            (EventKind::UpgradeResumed, detail)
        } else {
            if before.state == UpgradeState::Done {
                return Ok(before);
            }
            drop(record);
            let missing = self.missing_of(site, before.to).await;
            if !missing.is_empty() {
                let what: Vec<String> = missing.iter().map(|own| own.what.clone()).collect();
                let message = format!("this is not in the content store: {}", what.join(", "));
                return Err(failure("refused", message, &missing[0].command));
            }
            record = self.cluster.deciding.lock().await;
            next = record.clone();
            if next.upgrade.is_some() || next.running() != Some(before.from) {
                return Err(failure("conflict", "somebody else began one just now", ""));
            }
            next.upgrade = Some(Upgrade {
                from: before.from,
                to: before.to,
                by: asked.by.clone(),
                since: now,
                force: asked.force,
                patience: asked.timeout,
                snapshot: None,
                turn: None,
                stop: None,
            });
            let detail = json!({ "from": before.from, "to": before.to, "by": asked.by });
            (EventKind::UpgradeBegun, detail)
        };
        let stored = self.put_record(&mut record, next).await;
        stored.map_err(|error| broken(error.into()))?;
        drop(record);
        self.tell(told.0, told.1);
        self.upgrade_status(site, asked.to).await
    }

    /// Lets no further node have its turn; whether that is news.
    pub(crate) async fn pause_upgrade(&self, asked: &UpgradePauseRequest) -> Result<bool, Failure> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        let Some(upgrade) = &mut next.upgrade else {
            let hint = "`farosctl cluster upgrade` begins one";
            return Err(failure("conflict", "no upgrade is under way", hint));
        };
        if upgrade.stop.is_some() {
            return Ok(false);
        }
        let why = format!("{} paused it", asked.by);
        upgrade.stop = Some(Stop {
            at: self.sightings.now(),
            why: why.clone(),
            is_wanted: true,
        });
        let detail = json!({ "to": upgrade.to, "message": why, "by": asked.by });
        let stored = self.put_record(&mut record, next).await;
        stored.map_err(|error| failure("failed", format!("{:#}", anyhow::Error::new(error)), ""))?;
        drop(record);
        self.tell(EventKind::UpgradeStopped, detail);
        Ok(true)
    }

    /// The version that an upgrade would lead to.
    async fn target(
        &self,
        site: &Site,
        running: KubeVersion,
        asked: Option<KubeVersion>,
    ) -> Result<KubeVersion, Failure> {
        let refused = |message: String, hint: &str| failure("refused", message, hint);
        let wanted = version::wanted(site.cluster.version.as_deref());
        let wanted = wanted.map_err(|why| refused(format!("the version of Kubernetes {why}"), ""))?;
        let to = if let Some(to) = asked {
            version::wanted(Some(&to.to_string())).map_err(|why| refused(format!("{to} {why}"), ""))?;
            if wanted.of([to]) != Some(to) {
                let message = format!(
                    "the site file says `version: {}`, and not {to}",
                    site.cluster.version.as_deref().unwrap_or_default()
                );
                let hint = "change it, apply that, and begin the upgrade then";
                return Err(refused(message, hint));
            }
            to
        } else if let Wanted::Exactly(to) = wanted {
            to
        } else {
            let names = reading(self, faros_store::Store::contents).await;
            let names = names.map_err(|error| failure("failed", format!("{error:#}"), ""))?;
            let versions = names.iter().filter_map(|entry| {
                let version = entry.name.as_str().strip_prefix("kubernetes/")?;
                version.strip_suffix("/release.json")?.parse::<KubeVersion>().ok()
            });
            let in_reach = versions.filter(|to| version::upgrade(running, *to).is_ok());
            wanted.of(in_reach).unwrap_or(running)
        };
        version::upgrade(running, to).map_err(|skew| refused(skew.to_string(), ""))?;
        Ok(to)
    }

    /// What of a release is missing for the nodes that there are.
    async fn missing_of(&self, site: &Site, to: KubeVersion) -> Vec<Missing> {
        let nodes: Vec<&Node> = site.nodes.values().collect();
        match self.store.release(to).await {
            Ok(Some(release)) => self.missing_of_release(&release, &nodes).await,
            Ok(None) | Err(_) => vec![no_release(Wanted::Exactly(to), &nodes)],
        }
    }
}

/// The version of the cluster that there is.
fn running(site: &Site, record: &Record) -> Result<KubeVersion, Failure> {
    if site.cluster.distribution != Distribution::Kubeadm {
        return Err(failure("conflict", "the site has no cluster of ours", ""));
    }
    let has_control_plane = record.attempts.values().any(|own| own.work != Work::JoinWorker);
    let running = record.running().filter(|_| has_control_plane);
    let hint = "`farosctl cluster status` says what it waits for";
    running.ok_or_else(|| failure("conflict", "the cluster has not begun yet", hint))
}
