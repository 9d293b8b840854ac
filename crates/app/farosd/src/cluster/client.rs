//! How the bastion itself speaks to the Kubernetes API.

use std::{net::SocketAddrV4, sync::Arc};

use anyhow::Context as _;
use faros_cluster::{
    API_PORT, Names, Record,
    install::{Progress, Work},
};
use faros_kube::Kube;
use faros_model::site::{Node, Site};
use faros_pki::Subject;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::PrivateKeyDer;

use crate::{
    authority::Roots,
    daemon::{Shared, lock},
};

/// The bastion's own certificate for the API.
const OWN: SignedDuration = SignedDuration::from_hours(24);

/// The group to which `kubeadm init` gives `cluster-admin`.
const ADMINS: &str = "kubeadm:cluster-admins";

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
}

/// Clients of the API servers on these nodes, with a certificate of the bastion's own.
pub(super) fn kube_clients(site: &Site, roots: &Roots, nodes: &[&Node]) -> anyhow::Result<Vec<Kube>> {
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
