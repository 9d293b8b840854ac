//! Looks at the cluster as people want to know it, and tells when it is there, and when not any more.
//!
//! While something is on its way or ill, that is every few seconds; while all is well, once a minute and when somebody
//! asks. What is asked is asked of each server itself: a balancer that leads past a dead one hides it.

use std::{
    collections::BTreeMap,
    net::SocketAddrV4,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use faros_cluster::{
    API_PORT, Names, Record,
    install::{Progress, Work},
    status::{Evidence, Kubelet, Pod, Server, is_settled, status},
    tend::Ends,
};
use faros_kube::{Probed, certificate_end, probe};
use faros_model::{
    api::{CertificateEnd, ClusterState, ClusterStatus},
    event::EventKind,
    ids::HostName,
    ports::REGISTRY,
    site::{Node, Site},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{
    authority::Roots,
    daemon::{Intent, Shared, lock},
    keeper::Keeping as _,
};

/// How often it is looked at closely while all is well.
const AT_REST: Duration = Duration::from_mins(1);

/// What was seen is good for so long for whoever asks.
const FRESH: Duration = Duration::from_secs(2);

/// Where a member of etcd serves its clients.
const ETCD: u16 = 2379;

/// What nodes tell of certificates that are seen where they serve.
const SEEN: [&str; 2] = ["apiserver", "etcd-server"];

/// What was seen last, and what was made of it.
#[derive(Default)]
pub(crate) struct Watched {
    seen: Mutex<Seen>,
    /// One look at a time.
    looking: tokio::sync::Mutex<()>,
}

#[derive(Default, Clone)]
struct Seen {
    at: Option<Instant>,
    servers: BTreeMap<HostName, Server>,
    pods: Vec<Pod>,
    certificates: Vec<CertificateEnd>,
    judged: Option<ClusterStatus>,
}

impl Shared {
    /// How the cluster is now.
    pub(crate) async fn cluster_status(&self, intent: &Intent) -> ClusterStatus {
        let record = self.cluster.deciding.lock().await.clone();
        self.look_closely(&intent.site, &record, FRESH).await;
        let mut status = self.judge(intent, &record).await;
        status.upgrade = self.upgrade_under_way(&intent.site, &record);
        status
    }

    /// Looks as closely as it takes now, and tells what is another than before.
    pub(super) async fn watch_cluster(&self, intent: &Intent, record: &Record) {
        if record.attempts.is_empty() {
            return;
        }
        let before = lock(&self.cluster.watched.seen)
            .judged
            .as_ref()
            .map(|own| own.state);
        let age = if before == Some(ClusterState::Ready) {
            AT_REST
        } else {
            FRESH
        };
        self.look_closely(&intent.site, record, age).await;
        let status = self.judge(intent, record).await;
        if is_settled(&status)
            && !record.complete
            && let Err(error) = self.cluster_is_complete().await
        {
            tracing::error!("{error:#}");
        }
        if before.is_some_and(|before| before != status.state) {
            let detail = json!({
                "from": before.map(ClusterState::as_str), "to": status.state.as_str(), "reasons": status.reasons,
            });
            self.tell(EventKind::ClusterState, detail);
        }
    }

    /// Asks each server, and Kubernetes, unless that was done not longer ago than this.
    async fn look_closely(&self, site: &Site, record: &Record, age: Duration) {
        let watched = &self.cluster.watched;
        let _one = watched.looking.lock().await;
        if lock(&watched.seen).at.is_some_and(|at| at.elapsed() < age) {
            return;
        }
        let Some(roots) = self.authority.held() else {
            return;
        };
        let (servers, mut certificates) = ask_servers(site, record, &roots).await;
        certificates.extend(own_certificates(site, &roots).await);
        let pods = match record.established {
            Some(_) => match self.kube(site, record).await {
                Ok(kube) => kube.system_pods().await.ok(),
                Err(_) => None,
            },
            None => Some(Vec::new()),
        };
        let mut seen = lock(&watched.seen);
        seen.at = Some(Instant::now());
        seen.servers = servers;
        // What nobody says any more was so once.
        seen.pods = pods.unwrap_or_default();
        seen.certificates = certificates;
    }

    /// Judges by what was seen.
    async fn judge(&self, intent: &Intent, record: &Record) -> ClusterStatus {
        let site = &intent.site;
        let missing = self.missing(site, site.nodes.values()).await;
        let version = self
            .release_of(site)
            .await
            .ok()
            .flatten()
            .map(|release| release.version);
        let keys_closed = match self.authority.held() {
            Some(_) => None,
            None => Some(self.authority.closed().map_or_else(String::new, |(_, why)| why)),
        };
        let clock = self.sightings.clock();
        let now = clock.now();
        let observed = self.observed(site, record, now);
        let lives = lock(&self.tracker).nodes(site, |name| self.is_armed(name));
        // Kubernetes and certificates go by the time of day, all else by the clock that does not jump.
        let jumped = clock.shown(now).duration_since(now);
        let kubelets = self.kubelets(site);
        let mut seen = lock(&self.cluster.watched.seen).clone();
        seen.certificates.extend(self.told_certificates(site, record));
        for pod in &mut seen.pods {
            pod.since = pod.since.map(|at| clock.counted(at));
        }
        // What nodes tell may be any time at all.
        for own in &mut seen.certificates {
            own.ends = clock.counted(own.ends);
        }
        let lost = lock(&self.cluster.view).majority.lost().cloned();
        let judged = status(&Evidence {
            site,
            record,
            observed: &observed,
            lives: &lives,
            version,
            missing: &missing,
            keys_closed: keys_closed.as_deref(),
            kubelets: &kubelets,
            servers: &seen.servers,
            pods: &seen.pods,
            certificates: &seen.certificates,
            lost: lost.as_ref(),
            before: seen.judged.as_ref(),
        });
        lock(&self.cluster.watched.seen).judged = Some(judged.clone());
        shown(judged, jumped)
    }

    /// What nodes of the cluster tell of certificates that serve nobody whom the bastion could ask.
    fn told_certificates(&self, site: &Site, record: &Record) -> Vec<CertificateEnd> {
        let tended = lock(&self.cluster.tended);
        let is_member = |node: &HostName| {
            let attempt = record
                .attempts
                .get(node)
                .filter(|_| site.nodes.contains_key(node));
            attempt.is_some_and(|own| own.progress == Progress::Joined)
        };
        let of_node = |(node, ends): (&HostName, &Ends)| {
            let told = ends.iter().filter(|(name, _)| !SEEN.contains(&name.as_str()));
            let own = told.map(|(name, ends)| CertificateEnd {
                what: name.clone(),
                node: Some(node.clone()),
                ends: *ends,
            });
            own.collect::<Vec<_>>()
        };
        let ends = tended.ends.iter().filter(|(node, _)| is_member(node));
        ends.flat_map(of_node).collect()
    }

    fn kubelets(&self, site: &Site) -> BTreeMap<HostName, Kubelet> {
        let (view, clock) = (lock(&self.cluster.view), self.sightings.clock());
        let known = view.nodes.iter().filter_map(|facts| {
            let node = site
                .nodes
                .values()
                .find(|node| node.name.as_str() == facts.name)?;
            let kubelet = Kubelet {
                is_ready: facts.is_ready,
                since: facts.since.map(|at| clock.counted(at)),
                says: facts.says.clone(),
                version: facts.version.clone(),
                short_of: facts.short_of.as_ref().map(|(of, says)| format!("{of}: {says}")),
            };
            Some((node.name.clone(), kubelet))
        });
        known.collect()
    }
}

/// The same by the time of day, as people read it.
fn shown(mut status: ClusterStatus, jumped: SignedDuration) -> ClusterStatus {
    status.at += jumped;
    status.since += jumped;
    status.established = status.established.map(|at| at + jumped);
    for own in &mut status.components {
        own.since = own.since.map(|at| at + jumped);
    }
    for own in &mut status.nodes {
        own.since = own.since.map(|at| at + jumped);
    }
    for own in &mut status.certificates {
        own.ends += jumped;
    }
    status
}

/// What each API server says of itself, and the certificates that the nodes serve with.
async fn ask_servers(
    site: &Site,
    record: &Record,
    roots: &Arc<Roots>,
) -> (BTreeMap<HostName, Server>, Vec<CertificateEnd>) {
    let authority = roots.kubernetes.certificate_der();
    let api = Names::of(site).api;
    let mut asking = tokio::task::JoinSet::new();
    for (name, attempt) in &record.attempts {
        let Some(node) = site.nodes.get(name) else {
            continue;
        };
        let has_server = attempt.work != Work::JoinWorker && attempt.progress != Progress::Handed;
        let has_joined = attempt.progress == Progress::Joined;
        let (node, api, authority) = (node.clone(), api.clone(), authority.clone());
        let etcd_authority = roots.etcd.certificate_der().clone();
        asking.spawn(async move {
            let server = async {
                if has_server {
                    Some(probe(at(&node, API_PORT), &api, &authority).await)
                } else {
                    None
                }
            };
            let address = node.address.to_string();
            let etcd = async {
                if has_server && has_joined {
                    certificate_end(at(&node, ETCD), &address, &etcd_authority)
                        .await
                        .ok()
                } else {
                    None
                }
            };
            let (server, etcd) = tokio::join!(server, etcd);
            (node.name, server, etcd)
        });
    }
    let (mut servers, mut certificates) = (BTreeMap::new(), Vec::new());
    while let Some(asked) = asking.join_next().await {
        let Ok((name, server, etcd)) = asked else {
            continue;
        };
        let certificate = |what: &str, ends: Timestamp| CertificateEnd {
            what: what.to_owned(),
            node: Some(name.clone()),
            ends,
        };
        certificates.extend(etcd.map(|ends| certificate("etcd", ends)));
        match server {
            Some(Ok(Probed { said, ends })) => {
                certificates.push(certificate("kube-apiserver", ends));
                servers.insert(name, said);
            }
            Some(Err(error)) => {
                let why = format!("{:#}", anyhow::Error::new(error));
                servers.insert(name, Server::Silent(why));
            }
            None => {}
        }
    }
    (servers, certificates)
}

fn at(node: &Node, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(node.address, port)
}

/// The roots', and what the bastion serves with.
async fn own_certificates(site: &Site, roots: &Roots) -> Vec<CertificateEnd> {
    let end = |what: &str, ends: Timestamp| CertificateEnd {
        what: what.to_owned(),
        node: None,
        ends,
    };
    let mut all = vec![
        end("the root of the site", roots.site.ends()),
        end("the root of Kubernetes", roots.kubernetes.ends()),
        end("the root of etcd", roots.etcd.ends()),
        end("the root of the front proxy", roots.front_proxy.ends()),
    ];
    let bastion = SocketAddrV4::new(site.lan.addresses.bastion, REGISTRY);
    let name = format!("bastion.{}", site.zone());
    let own = certificate_end(bastion, &name, roots.site.certificate_der()).await;
    all.extend(own.ok().map(|ends| end("the bastion", ends)));
    all
}
