//! The bastion's own certificate, under the names that nodes know it by.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use faros_model::{plan::Service, site::Site};
use faros_pki::{Signed, Subject};
use jiff::{SignedDuration, Timestamp};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::Roots;
use crate::daemon::{Shared, lock};

const LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 90);
/// What is left of it when it is made anew.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 30);

/// Gives each connection the bastion's certificate, making it anew as needed. There is no timer: an idle bastion
/// sleeps.
pub(crate) struct OwnCertificate {
    shared: Arc<Shared>,
    current: Mutex<Option<Current>>,
}

struct Current {
    /// Who signed it, under which names.
    by: Arc<Roots>,
    subject: Subject,
    certificate: Signed,
    key: Arc<CertifiedKey>,
}

impl fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnCertificate").finish_non_exhaustive()
    }
}

impl OwnCertificate {
    /// What a TLS server of the bastion is made from.
    pub(crate) fn config(shared: &Arc<Shared>) -> anyhow::Result<Arc<ServerConfig>> {
        let own = Self {
            shared: Arc::clone(shared),
            current: Mutex::default(),
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_safe_default_protocol_versions()
            .context("TLS cannot be set up")?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(own));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn certificate(&self, now: Timestamp) -> anyhow::Result<Option<Arc<CertifiedKey>>> {
        let shared = &self.shared;
        let (Some(roots), Some(intent)) = (shared.authority.held(), shared.serves(Service::Registry)) else {
            return Ok(None);
        };
        let subject = subject(&intent.site);
        let mut current = lock(&self.current);
        if let Some(own) = &*current
            && Arc::ptr_eq(&own.by, &roots)
            && own.subject == subject
            && is_good(&own.certificate, now)
        {
            return Ok(Some(Arc::clone(&own.key)));
        }
        let leaf = roots.site.issue(&subject, now, LIFETIME)?;
        let secret = PrivateKeyDer::Pkcs8(leaf.key.secret_der());
        let key = ring::sign::any_ecdsa_type(&secret).context("the key cannot be used")?;
        let key = Arc::new(CertifiedKey::new(vec![leaf.certificate.der.clone()], key));
        tracing::info!(ends = %leaf.certificate.ends, "the bastion has a new certificate");
        *current = Some(Current {
            by: roots,
            subject,
            certificate: leaf.certificate,
            key: Arc::clone(&key),
        });
        Ok(Some(key))
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match self.certificate(Timestamp::now()) {
            Ok(key) => key,
            Err(error) => {
                tracing::error!("the bastion has no certificate: {error:#}");
                None
            }
        }
    }
}

/// The names and the address by which nodes may ask the bastion for anything over TLS.
fn subject(site: &Site) -> Subject {
    let zone = site.zone();
    let names = ["bastion", "registry"].map(|label| format!("{label}.{zone}"));
    Subject::Server {
        names: names.to_vec(),
        addresses: vec![site.lan.addresses.bastion.into()],
    }
}

/// Whether a certificate is to be used still. One that begins later than a new one would was made by a clock that was
/// ahead.
fn is_good(certificate: &Signed, now: Timestamp) -> bool {
    certificate.begins <= now && certificate.ends.duration_since(now) > RENEW
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_used_until_a_third_of_its_time_is_left() {
        let now = Timestamp::from_second(1_795_000_000).unwrap();
        let roots = Roots::make("a.example.com", now).unwrap();
        let subject = Subject::Server {
            names: vec!["bastion.a.example.com".to_owned()],
            addresses: vec![],
        };
        let own = roots.site.issue(&subject, now, LIFETIME).unwrap().certificate;
        let day = SignedDuration::from_hours(24);
        assert!(is_good(&own, now));
        assert!(is_good(&own, now + day * 59));
        assert!(!is_good(&own, now + day * 61));
        assert!(!is_good(&own, now - day * 2), "the clock was put back");
    }
}
