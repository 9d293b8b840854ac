//! A private key, wiped when it is dropped.

use std::fmt;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use zeroize::Zeroizing;

use crate::PkiError;

/// An ECDSA key on P-256, for a certificate or for signing tokens (RFC 7518 section 3.4).
pub struct Key(pub(crate) Zeroizing<KeyPair>);

impl Key {
    /// Makes one.
    ///
    /// # Errors
    /// Without randomness.
    pub fn make() -> Result<Self, PkiError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(PkiError::MakeKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// Reads one of PKCS#8 in PEM.
    ///
    /// # Errors
    /// If it is none, or not on P-256.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(text, &rcgen::PKCS_ECDSA_P256_SHA256);
        Ok(Self(Zeroizing::new(key.map_err(PkiError::ReadKey)?)))
    }

    /// The secret, PKCS#8 in PEM.
    pub fn secret_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.serialize_pem())
    }

    /// The secret, PKCS#8 in DER, for a TLS library.
    pub fn secret_der(&self) -> PrivatePkcs8KeyDer<'static> {
        self.0.serialize_der().into()
    }

    /// A request for a certificate for this key under a name (PKCS #10), in PEM.
    ///
    /// # Errors
    /// If the name cannot stand in one.
    pub fn request_pem(&self, name: &str) -> Result<String, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let request = params.serialize_request(&*self.0).and_then(|own| own.pem());
        request.map_err(PkiError::Sign)
    }

    /// The public half, SPKI in PEM.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// The public half, SPKI in DER.
    pub fn public_der(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        let der = self.secret_der();
        let copy = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256);
        Self(Zeroizing::new(copy.expect("what was read or made once is a key")))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
