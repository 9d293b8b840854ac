//! Certificates for people.

use faros_cluster::{
    API_PORT, Names,
    credentials::{self, NoTerms},
};
use faros_model::{
    api::{Credentials, CredentialsRequest},
    event::EventKind,
    site::{Distribution, Site},
};
use faros_pki::{PkiError, Request, Subject};
use jiff::Timestamp;
use serde_json::json;

use crate::daemon::Shared;

/// Why nobody gets a certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoCredentials {
    /// There is no cluster, and never was.
    #[error("the site has no cluster yet")]
    NoCluster,
    /// The keys are sealed.
    #[error("the cluster's root keys are not open")]
    Sealed,
    /// Nobody gets such a one.
    #[error(transparent)]
    Terms(#[from] NoTerms),
    /// The request is none.
    #[error("the certificate request cannot be used")]
    Request(#[source] PkiError),
    /// It cannot be signed.
    #[error("the certificate cannot be signed")]
    Sign(#[source] PkiError),
    /// It could not be recorded, and so is not given.
    #[error("the bastion cannot write to its disk")]
    Store(#[from] faros_store::StoreError),
}

impl Shared {
    /// Signs a certificate for a person; it is recorded before it is given.
    pub(crate) async fn issue_credentials(
        &self,
        site: &Site,
        request: &CredentialsRequest,
    ) -> Result<Credentials, NoCredentials> {
        let established = self.cluster.deciding.lock().await.established;
        if site.cluster.distribution != Distribution::Kubeadm || established.is_none() {
            return Err(NoCredentials::NoCluster);
        }
        let terms = credentials::terms(&request.user, request.role, request.seconds)?;
        let roots = self.authority.held().ok_or(NoCredentials::Sealed)?;
        let asked = Request::from_pem(&request.request).map_err(NoCredentials::Request)?;
        let subject = Subject::Client {
            name: terms.user.clone(),
            organization: Some(terms.group.clone()),
        };
        let signed = roots
            .kubernetes
            .sign(&asked, &subject, Timestamp::now(), terms.lifetime);
        let signed = signed.map_err(NoCredentials::Sign)?;
        tracing::info!(user = terms.user, role = %request.role, until = %signed.ends, by = request.by, "a person gets a certificate");
        let detail = json!({
            "user": terms.user, "role": request.role, "until": signed.ends, "by": request.by,
        });
        self.tell_for_good(EventKind::CredentialsIssued, detail).await?;
        Ok(Credentials {
            user: terms.user,
            group: terms.group,
            role: request.role,
            certificate: signed.pem,
            authority: roots.kubernetes.certificate_pem().to_owned(),
            ends: signed.ends,
            cluster: site.zone().to_string(),
            server: Names::of(site).api,
            port: API_PORT,
            address: site.lan.addresses.api,
        })
    }
}
