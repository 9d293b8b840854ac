//! Carries an upgrade of the cluster out: asks who has to say something, has it decided what is next, and does that.
//!
//! Everything that counts is in the record, on disk before it is done; what is in memory here is for people.

mod asked;
mod look;

use std::sync::Mutex;

use anyhow::Context as _;
use faros_cluster::{
    Images, Record,
    drain::{Drain, Pod},
    upgrade::{Next, Said, Step, Stop, Turn, Upgrade, Way, files, next},
};
use faros_kube::{Eviction, Kube};
use faros_model::{
    event::EventKind,
    ids::HostName,
    kubernetes::KubeVersion,
    site::{Node, Site},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use self::look::Look;
use crate::daemon::{Intent, Shared, lock};

/// So many things are done at most before others have their turn.
const AT_ONCE: usize = 8;

/// What is known of an upgrade besides the record.
#[derive(Default)]
pub(super) struct Upgrading {
    /// What held pods back when they were asked to go last.
    held: Vec<String>,
    /// What is waited for.
    why: String,
}

pub(super) type Watched = Mutex<Upgrading>;

impl Shared {
    /// Goes on with the upgrade, if one was begun.
    pub(super) async fn keep_upgrade(&self, intent: &Intent) {
        for _ in 0..AT_ONCE {
            let record = self.cluster.deciding.lock().await.clone();
            let (Some(upgrade), Some(running)) = (record.upgrade.clone(), record.running()) else {
                return;
            };
            let look = self.look_for_upgrade(&intent.site, &record).await;
            let held = lock(&self.cluster.upgrading).held.clone();
            let decided = next(&upgrade, running, &look.facts(&held, self.sightings.now()));
            match self.act(intent, &record, &upgrade, &look, decided).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!("the upgrade waits: {error:#}");
                    lock(&self.cluster.upgrading).why = format!("{error:#}");
                    return;
                }
            }
        }
    }

    /// Does what was decided; whether there may be more to do at once.
    async fn act(
        &self,
        intent: &Intent,
        record: &Record,
        upgrade: &Upgrade,
        look: &Look,
        decided: Next,
    ) -> anyhow::Result<bool> {
        let site = &intent.site;
        let now = self.sightings.now();
        let turn = upgrade.turn.as_ref();
        let mut why = String::new();
        let goes_on = match decided {
            Next::Stands => false,
            Next::Wait(wait) => {
                why = wait.to_string();
                false
            }
            Next::Snapshot => {
                let taken = self.take_snapshot(site, "upgrade").await;
                let taken = taken.context("there is no snapshot of etcd")?;
                self.change(upgrade, |record, mut own| {
                    own.snapshot = Some(taken.name);
                    record.upgrade = Some(own);
                })
                .await?
            }
            Next::Pin => {
                let to = upgrade.to;
                let release = self.store.release(to).await?.context("the release is gone")?;
                let dns = release
                    .image("coredns")
                    .context("the release has no image of coredns")?;
                let kube = self.kube(site, record).await?;
                kube.set_dns_image(&dns.name.to_string()).await?;
                let pinned = self.change(upgrade, |record, own| {
                    record.version = Some(own.to);
                    record.upgrade = Some(own);
                });
                let is_done = pinned.await?;
                if is_done {
                    self.tell(EventKind::ControlPlaneUpgraded, json!({ "to": to }));
                }
                is_done
            }
            Next::Take(turn) => {
                lock(&self.cluster.upgrading).held.clear();
                let (node, detail) = (
                    site.nodes.get(&turn.node),
                    json!({ "to": upgrade.to, "action": turn.way.as_str() }),
                );
                let is_done = self.change(upgrade, |record, own| {
                    record.upgrade = Some(Upgrade {
                        turn: Some(turn.clone()),
                        ..own
                    });
                });
                let is_done = is_done.await?;
                if let Some(node) = node.filter(|_| is_done) {
                    self.tell_of(node, EventKind::NodeUpgrading, detail);
                }
                is_done
            }
            Next::Close(node) => {
                let kube = self.kube(site, record).await?;
                kube.cordon(node.as_str(), true).await?;
                true
            }
            Next::Empty(node) => {
                let kube = self.kube(site, record).await?;
                let held = ask_to_go(&kube, look.pods.as_deref().unwrap_or_default(), upgrade.force).await?;
                why = format!("the pods of {node} move elsewhere: {}", held.join("; "));
                lock(&self.cluster.upgrading).held = held;
                false
            }
            Next::Hand(node) => {
                if let Some(node) = site.nodes.get(&node) {
                    self.tell_of(node, EventKind::NodeDrained, json!({ "by": "upgrade" }));
                }
                let handed = turn.map(|turn| Turn {
                    step: Step::Upgrading,
                    since: now,
                    ..turn.clone()
                });
                self.change(upgrade, |record, own| {
                    record.upgrade = Some(Upgrade { turn: handed, ..own });
                })
                .await?
            }
            Next::Open(node) => self.end_turn(site, record, upgrade, &node, now).await?,
            Next::Stop(said) => {
                let stop = Stop {
                    at: now,
                    why: said.clone(),
                    is_wanted: false,
                };
                let is_done = self.change(upgrade, |record, own| {
                    record.upgrade = Some(Upgrade {
                        stop: Some(stop),
                        ..own
                    });
                });
                let is_done = is_done.await?;
                if is_done {
                    tracing::error!("the upgrade stopped: {said}");
                    let detail = json!({ "to": upgrade.to, "message": said });
                    self.tell(EventKind::UpgradeStopped, detail);
                }
                is_done
            }
            Next::Finish => {
                if self.change(upgrade, |record, _| record.upgrade = None).await? {
                    let seconds = now.duration_since(upgrade.since).as_secs();
                    let detail = json!({ "from": upgrade.from, "to": upgrade.to, "seconds": seconds });
                    self.tell(EventKind::ClusterUpgraded, detail);
                }
                false
            }
        };
        lock(&self.cluster.upgrading).why = why;
        Ok(goes_on)
    }

    /// Ends the turn of a node, and opens it to pods unless it was closed before.
    async fn end_turn(
        &self,
        site: &Site,
        record: &Record,
        upgrade: &Upgrade,
        name: &HostName,
        now: Timestamp,
    ) -> anyhow::Result<bool> {
        let Some(turn) = upgrade.turn.as_ref().filter(|turn| turn.node == *name) else {
            return Ok(false);
        };
        let kube = self.kube(site, record).await?;
        let is_known = kube.nodes().await?.iter().any(|own| own.name == name.as_str());
        if is_known && !turn.was_closed {
            kube.cordon(name.as_str(), false).await?;
        }
        let is_done = self.change(upgrade, |record, own| {
            record.upgrade = Some(Upgrade { turn: None, ..own });
        });
        let is_done = is_done.await?;
        if let Some(node) = site.nodes.get(name).filter(|_| is_done) {
            if turn.step == Step::Upgrading {
                let seconds = now.duration_since(turn.since).as_secs();
                let detail = json!({ "to": upgrade.to, "seconds": seconds });
                self.tell_of(node, EventKind::NodeUpgraded, detail);
            } else {
                self.tell_of(node, EventKind::NodeOpened, json!({ "by": "upgrade" }));
            }
        }
        Ok(is_done)
    }

    /// Changes the record, on disk when this returns, unless the upgrade is another than the one that it was decided for;
    /// whether it did.
    async fn change(
        &self,
        decided_for: &Upgrade,
        change: impl FnOnce(&mut Record, Upgrade),
    ) -> anyhow::Result<bool> {
        let mut record = self.cluster.deciding.lock().await;
        if record.upgrade.as_ref() != Some(decided_for) {
            return Ok(false);
        }
        let mut next = record.clone();
        change(&mut next, decided_for.clone());
        self.put_record(&mut record, next).await?;
        Ok(true)
    }

    /// Takes note of what a node says of its upgrade; on disk when this returns.
    pub(crate) async fn upgrade_said(&self, node: &HostName, said: Said) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        let Some(upgrade) = &mut next.upgrade else {
            return Ok(());
        };
        if !upgrade.said(node, said, self.sightings.now()) {
            return Ok(());
        }
        let stopped = upgrade.stop.clone().filter(|stop| !stop.is_wanted);
        let detail = stopped.map(|stop| json!({ "to": upgrade.to, "message": stop.why }));
        self.put_record(&mut record, next).await?;
        drop(record);
        if let Some(detail) = detail {
            self.tell(EventKind::UpgradeStopped, detail);
        }
        Ok(())
    }

    /// What a node is handed to be upgraded.
    pub(crate) async fn upgrade_for(
        &self,
        site: &Site,
        node: &Node,
        to: KubeVersion,
        way: Way,
    ) -> anyhow::Result<Value> {
        use base64::{Engine as _, engine::general_purpose::STANDARD};

        // Noted first: who has begun is waited for until it says that it is done.
        self.upgrade_said(&node.name, Said::At("it was told".to_owned()))
            .await?;
        let release = self.store.release(to).await?;
        let release = release.with_context(|| format!("Kubernetes {to} is not in the content store"))?;
        let images = Images::of(&release)?;
        let files: Vec<Value> = files(site, node, &images, way)
            .iter()
            .map(|file| {
                let contents = STANDARD.encode(&file.text);
                json!({ "path": file.path, "mode": format!("{:o}", file.mode), "contents": contents })
            })
            .collect();
        let extension = &release.extension;
        Ok(json!({
            "do": "upgrade", "way": way.as_str(), "version": to, "files": files,
            "extension": {
                "file": extension.file, "sha256": extension.digest,
                "url": faros_render::content_url(site, extension),
            },
        }))
    }
}

/// Asks the pods of a node to go that are to; what became of each.
async fn ask_to_go(kube: &Kube, pods: &[Pod], even_lost: bool) -> anyhow::Result<Vec<String>> {
    let drain = Drain::of(pods, even_lost);
    let mut held: Vec<String> = drain
        .going
        .iter()
        .map(|own| format!("{}: it is ending", own.full_name()))
        .collect();
    for pod in drain.ask {
        let why = match kube.evict(pod).await? {
            Eviction::Goes => "it was asked to go".to_owned(),
            Eviction::Held(why) => why,
        };
        held.push(format!("{}: {why}", pod.full_name()));
    }
    Ok(held)
}
