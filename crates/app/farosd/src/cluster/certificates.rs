//! Decides on the requests for certificates of the cluster's nodes.

use std::collections::{BTreeMap, BTreeSet};

use faros_cluster::csr::{Decision, KUBELET_CLIENT, KUBELET_SERVING, Known, decide};
use faros_kube::Kube;
use faros_model::{api::CertificateInfo, event::EventKind, site::Site};
use serde_json::json;

use crate::daemon::{Shared, lock};

impl Shared {
    /// When certificates of the cluster end, the first one first: those of the control plane and of the kubelets as their
    /// nodes said last, and the roots.
    pub(crate) fn certificates(&self) -> Vec<CertificateInfo> {
        let mut all = Vec::new();
        for (node, ends) in &lock(&self.cluster.tended).ends {
            all.extend(ends.iter().map(|(name, ends)| CertificateInfo {
                node: Some(node.clone()),
                name: name.clone(),
                ends: *ends,
            }));
        }
        if let Some(roots) = self.authority.held() {
            let own = [
                ("site-ca", &roots.site),
                ("ca", &roots.kubernetes),
                ("etcd-ca", &roots.etcd),
                ("front-proxy-ca", &roots.front_proxy),
            ];
            all.extend(own.map(|(name, root)| CertificateInfo {
                node: None,
                name: name.to_owned(),
                ends: root.ends(),
            }));
        }
        all.sort_by_key(|own| own.ends);
        all
    }

    /// Approves and denies what is open. What is none of ours is left to people.
    pub(super) async fn decide_on_certificates(&self, site: &Site, kube: &Kube) -> anyhow::Result<()> {
        for pending in kube.pending().await? {
            let csr = &pending.csr;
            if !matches!(csr.signer.as_str(), KUBELET_CLIENT | KUBELET_SERVING) {
                continue;
            }
            let mut record = self.cluster.deciding.lock().await;
            let (mut sessions, mut closed) = (BTreeMap::new(), BTreeSet::new());
            for name in site.nodes.keys() {
                let tracker = lock(&self.tracker);
                let Some(life) = tracker.life(name) else { continue };
                if life.is_closed() {
                    closed.insert(name.clone());
                }
                if let Some(session) = life.running() {
                    sessions.insert(name.clone(), session);
                }
            }
            let decision = decide(
                csr,
                &Known {
                    site,
                    grants: &record.grants,
                    live: &sessions,
                    closed: &closed,
                    now: self.sightings.now(),
                },
            );
            match decision {
                Decision::Leave => {}
                Decision::Approve { node, token_id } => {
                    // On disk before it is approved: the token is good for no other.
                    let mut next = record.clone();
                    let mut grants = next.grants.iter_mut();
                    if let Some(grant) = grants.find(|grant| token_id.as_ref() == Some(&grant.token_id)) {
                        grant.used_for = Some(csr.name.clone());
                    }
                    self.put_record(&mut record, next).await?;
                    kube.decide(&pending, true, "names, boot and token are those of the node")
                        .await?;
                    if let Some(node) = site.nodes.get(&node) {
                        let detail = json!({ "name": csr.name, "signer": csr.signer, "token": token_id });
                        self.tell_of(node, EventKind::CertificateApproved, detail);
                    }
                }
                Decision::Deny(why) => {
                    tracing::warn!(
                        csr = csr.name,
                        username = csr.username,
                        "a certificate is denied: {why}"
                    );
                    kube.decide(&pending, false, why.message()).await?;
                    let detail = json!({
                        "name": csr.name, "signer": csr.signer, "username": csr.username,
                        "reason": why.label(), "message": why.message(),
                    });
                    let names = csr
                        .request
                        .as_ref()
                        .map(|request| request.common_names.as_slice());
                    let about = names.into_iter().flatten().find_map(|name| {
                        let name = name.strip_prefix("system:node:")?;
                        site.nodes.values().find(|node| node.name.as_str() == name)
                    });
                    match about {
                        Some(node) => self.tell_of(node, EventKind::CertificateDenied, detail),
                        None => self.tell(EventKind::CertificateDenied, detail),
                    }
                }
            }
        }
        Ok(())
    }
}
