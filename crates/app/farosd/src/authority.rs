//! The bastion as the authority of its site: the roots of the cluster, kept sealed, and its own certificate.
//!
//! The roots are made once, when the site first asks for a cluster, and never leave but sealed, in a backup, or to a
//! control-plane node that joins. What is trusted by whom: nodes trust the site's root for the bastion itself;
//! Kubernetes, etcd and the front proxy have roots of their own, as kubeadm wants it, so that a certificate of one
//! is good for nothing at the others.
//!
//! The bastion's own certificate is on no disk. It is made when somebody first asks for it, and anew when a third of
//! its time is left, when the names are others, or when the clock was put where it is not valid.

mod backup;
mod own;
mod stored;

use anyhow::Context as _;
use faros_model::{ids::Digest, site::SealKeysWith};
use faros_pki::{Authority, Key};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use zeroize::Zeroizing;

pub(crate) use self::{backup::Backup, own::OwnCertificate};
use crate::{daemon::Shared, keeper::Kept};

/// A box at the edge outlives the people who set it up, and nothing renews its roots.
const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 365 * 20);

/// All that a cluster's trust begins with.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    /// Signs what the bastion serves under its own names.
    pub(crate) site: Authority,
    /// Signs for the Kubernetes API, its clients and the kubelets.
    pub(crate) kubernetes: Authority,
    /// Signs for etcd's servers, peers and clients.
    pub(crate) etcd: Authority,
    /// Signs for the API's aggregation layer.
    pub(crate) front_proxy: Authority,
    /// Signs the tokens of service accounts.
    pub(crate) service_accounts: Key,
    /// Encrypts Secrets at rest, in etcd.
    pub(crate) secrets_key: Zeroizing<[u8; 32]>,
}

impl Roots {
    /// Makes all of them, for a cluster of this name.
    pub(crate) fn make(cluster: &str, now: Timestamp) -> anyhow::Result<Self> {
        let root = |name: &str| {
            Authority::make(name, now, LIFETIME).with_context(|| format!("cannot make the root {name}"))
        };
        let mut secrets_key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *secrets_key).context("there is no randomness")?;
        Ok(Self {
            site: root(&format!("Faros site {cluster}"))?,
            kubernetes: root("kubernetes")?,
            etcd: root("etcd-ca")?,
            front_proxy: root("front-proxy-ca")?,
            service_accounts: Key::make()?,
            secrets_key,
        })
    }
}

impl Kept for Roots {
    const WHAT: &'static str = "the cluster's root keys";
    const FILE: &'static str = "authority.sealed";

    fn from_secret(text: &str) -> anyhow::Result<Self> {
        stored::read(text)
    }

    fn to_secret(&self) -> Zeroizing<String> {
        stored::write(self)
    }
}

impl Shared {
    /// Opens the roots, or makes them for the site that is served, and has them on disk as the site file wants it.
    pub(crate) async fn tend_authority(&self, seal_with: SealKeysWith) {
        let Some(intent) = self.newest() else { return };
        let cluster = intent.site.zone();
        let make = || Roots::make(cluster.as_str(), Timestamp::now());
        if self.authority.tend(seal_with, make).await
            && let Some(roots) = self.authority.held()
        {
            let fingerprint: Digest = roots.site.fingerprint();
            let detail = json!({ "cluster": cluster, "fingerprint": fingerprint, "ends": roots.site.ends() });
            self.tell(faros_model::event::EventKind::AuthorityMade, detail);
        }
    }

    /// The site's root certificate, for those who are to trust the bastion; `None` while the roots are sealed.
    pub(crate) fn site_ca(&self) -> Option<String> {
        Some(self.authority.held()?.site.certificate_pem().to_owned())
    }
}
