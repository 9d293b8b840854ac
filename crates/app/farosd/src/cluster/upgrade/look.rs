//! What is seen of a cluster that is upgraded: everybody is asked anew, and nobody is taken at his word of before.

use std::{collections::BTreeMap, net::SocketAddrV4};

use faros_cluster::{
    API_PORT, Names, Record,
    drain::Pod,
    etcd::Member,
    install::Progress,
    status::Server,
    upgrade::{Facts, NodeSeen, Step},
};
use faros_kube::probe;
use faros_model::{
    ids::HostName,
    kubernetes::KubeVersion,
    site::{Node, Role, Site},
};
use jiff::Timestamp;

use crate::{cluster::client::kube_clients, daemon::Shared};

/// The parts of the cluster that every node, or every one of the control plane, has of its own.
const PARTS: [&str; 5] = [
    "kube-apiserver",
    "etcd",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
];

/// What was seen of a cluster.
pub(super) struct Look {
    api: Result<(), String>,
    etcd: Result<Vec<Member>, String>,
    nodes: BTreeMap<HostName, NodeSeen>,
    pub(super) pods: Option<Vec<Pod>>,
    joining: Option<HostName>,
}

impl Look {
    /// What is decided by.
    pub(super) fn facts<'a>(&'a self, held: &'a [String], now: Timestamp) -> Facts<'a> {
        Facts {
            now,
            api: self.api.clone(),
            etcd: self.etcd.as_deref().map_err(Clone::clone),
            nodes: self.nodes.clone(),
            joining: self.joining.clone(),
            pods: self.pods.as_deref(),
            held,
        }
    }
}

impl Shared {
    /// Asks all who have to say something.
    pub(super) async fn look_for_upgrade(&self, site: &Site, record: &Record) -> Look {
        let joined = |name: &HostName| {
            let attempt = record.attempts.get(name);
            attempt.is_some_and(|own| own.progress == Progress::Joined)
        };
        let now = self.sightings.now();
        let joining = record.attempts.iter().find(|(_, own)| own.is_under_way(now));
        let mut look = Look {
            api: Ok(()),
            etcd: self
                .etcd(site, record)
                .await
                .map(|members| members.all)
                .map_err(|error| format!("{error:#}")),
            nodes: BTreeMap::new(),
            pods: None,
            joining: joining.map(|(name, _)| name.clone()),
        };
        for node in site.nodes.values().filter(|node| joined(&node.name)) {
            let is_control_plane = node.roles.contains(&Role::ControlPlane);
            let server = if is_control_plane {
                self.server_on(site, node).await
            } else {
                None
            };
            let seen = NodeSeen {
                is_control_plane,
                server,
                ..NodeSeen::default()
            };
            look.nodes.insert(node.name.clone(), seen);
        }
        let asked = async {
            let kube = self.kube(site, record).await?;
            for facts in kube.nodes().await? {
                let Some(own) = facts
                    .name
                    .parse::<HostName>()
                    .ok()
                    .and_then(|name| look.nodes.get_mut(&name))
                else {
                    continue;
                };
                own.kubelet = facts.version.parse().ok();
                own.is_ready = facts.is_ready;
                own.is_closed = facts.is_closed;
            }
            for pod in kube.system_pods().await? {
                let own = pod.node.as_ref().and_then(|node| look.nodes.get_mut(node));
                let counts = !pod.is_ready && PARTS.contains(&pod.component.as_str());
                if let Some(own) = own.filter(|_| counts) {
                    own.unready.push(pod.component);
                }
            }
            let turn = record.upgrade.as_ref().and_then(|own| own.turn.as_ref());
            if let Some(turn) = turn.filter(|turn| turn.step == Step::Emptying) {
                look.pods = Some(kube.pods_of(turn.node.as_str()).await?);
            }
            anyhow::Ok(())
        };
        look.api = asked.await.map_err(|error| format!("{error:#}"));
        look
    }

    /// The version of the API server on a node, and whether it is ready; `None` if it does not answer.
    async fn server_on(&self, site: &Site, node: &Node) -> Option<(KubeVersion, bool)> {
        let roots = self.authority.held()?;
        let kube = kube_clients(site, &roots, &[node]).ok()?.pop()?;
        let version = kube.version().await.ok()?.parse().ok()?;
        let at = SocketAddrV4::new(node.address, API_PORT);
        let authority = roots.kubernetes.certificate_der();
        let probed = probe(at, &Names::of(site).api, authority).await;
        Some((version, probed.is_ok_and(|own| own.said == Server::Ready)))
    }
}
