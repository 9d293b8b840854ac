//! Which certificates a server may show.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};

/// Takes a certificate if an authority signed it for the name that is asked for; without an authority, any.
///
/// Its time does not count. A bastion whose clock is off must not turn everybody away, and a certificate that has
/// ended is for the server's clients to judge: no other server would be better for them.
#[derive(Debug)]
pub(super) struct Judge {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl Judge {
    /// `authority`: certificates in PEM.
    pub(super) fn new(
        provider: &Arc<CryptoProvider>,
        authority: Option<&str>,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let authority = authority.map(|pem| -> Result<_, Box<dyn std::error::Error>> {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate?)?;
            }
            let roots = Arc::new(roots);
            Ok(WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build()?)
        });
        Ok(Self {
            provider: Arc::clone(provider),
            authority: authority.transpose()?,
        })
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        let at = |time| authority.verify_server_cert(certificate, others, name, ocsp, time);
        // Judged at a time at which it was good: time is looked at before the signature.
        match at(now) {
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                at(not_before)
            }
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                at(not_after)
            }
            judged => judged,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use rustls::crypto::ring;

    use super::*;

    const NAME: &str = "api.harbour-7.edge.example.com";

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> anyhow::Result<Authority> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2036, 1, 1);
        Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
    }

    /// Whether a certificate for a name that `by` signed for the year 2026 is taken, at a time, in seconds since 1970.
    fn is_taken(judge: &Judge, by: &Authority, name: &str, at: u64) -> anyhow::Result<bool> {
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, by)?;
        let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
        let name = ServerName::try_from(NAME)?;
        let judged = judge.verify_server_cert(certificate.der(), &[], &name, &[], at);
        Ok(judged.is_ok())
    }

    #[test]
    fn who_signed_and_for_whom_counts_and_the_time_does_not() -> anyhow::Result<()> {
        let provider = Arc::new(ring::default_provider());
        let (own, other) = (authority()?, authority()?);
        let judge = Judge::new(&provider, Some(&own.pem())).map_err(|error| anyhow::anyhow!("{error}"))?;
        let anybody = Judge::new(&provider, None).map_err(|error| anyhow::anyhow!("{error}"))?;
        // Before it was made, while it is good, after its end, and after that of its authority.
        for at in [1_000, 1_790_000_000, 1_830_000_000, 2_200_000_000] {
            assert!(is_taken(&judge, &own, NAME, at)?, "{at}");
            assert!(!is_taken(&judge, &other, NAME, at)?, "signed by another, {at}");
            assert!(
                !is_taken(&judge, &own, "api.example.com", at)?,
                "another name, {at}"
            );
            assert!(is_taken(&anybody, &other, "api.example.com", at)?, "{at}");
        }
        Ok(())
    }

    #[test]
    fn a_certificate_may_be_its_own_authority() -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let own = CertificateParams::new([NAME.to_owned()])?.self_signed(&key)?;
        let provider = Arc::new(ring::default_provider());
        let judge = Judge::new(&provider, Some(&own.pem())).map_err(|error| anyhow::anyhow!("{error}"))?;
        let judged =
            judge.verify_server_cert(own.der(), &[], &ServerName::try_from(NAME)?, &[], UnixTime::now());
        assert!(judged.is_ok(), "{judged:?}");
        Ok(())
    }
}
