//! Who signs: a root with its key, and what it makes for whom (RFC 5280).

use std::net::IpAddr;

use faros_model::ids::Digest;
use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use crate::{CLOCK_SKEW, Key, PkiError, Request};

/// Whom a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A server, under names and addresses; the first name is its common name too.
    Server {
        /// DNS names.
        names: Vec<String>,
        /// Addresses.
        addresses: Vec<IpAddr>,
    },
    /// A client. To Kubernetes, the name is the user, and the organization is the group.
    Client {
        /// Common name.
        name: String,
        /// Organization.
        organization: Option<String>,
    },
}

/// A root: its certificate and its key.
#[derive(Debug, Clone)]
pub struct Authority {
    certificate: CertificateDer<'static>,
    pem: String,
    key: Key,
    ends: Timestamp,
}

/// A certificate.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate in PEM.
    pub pem: String,
    /// The certificate in DER.
    pub der: CertificateDer<'static>,
    /// From when on it is good.
    pub begins: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

/// A certificate and the key that was made for it.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// The certificate.
    pub certificate: Signed,
    /// Its key.
    pub key: Key,
}

impl Authority {
    /// Makes a root that ends `lifetime` after `now`. It has been good for long: what machines without a clock that
    /// keeps its time believe it to be is no reason to distrust their root.
    ///
    /// # Errors
    /// Without randomness, or if the name cannot stand in a certificate.
    pub fn make(name: &str, now: Timestamp, lifetime: SignedDuration) -> Result<Self, PkiError> {
        let key = Key::make()?;
        let begins = date(2020, 1, 1)
            .to_zoned(TimeZone::UTC)
            .map_or(Timestamp::UNIX_EPOCH, |zoned| zoned.timestamp());
        let mut params = params(name, begins, end(now, lifetime)?)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let made = params.self_signed(&*key.0).map_err(PkiError::Sign)?;
        Self::of(made.der().clone(), made.pem(), key)
    }

    /// Reads a root from what [`certificate_pem`](Self::certificate_pem) and [`key`](Self::key) gave.
    ///
    /// # Errors
    /// If either cannot be read, they do not belong together, or the certificate may not sign.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, PkiError> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes());
        let der = der.map_err(|_| PkiError::ReadCertificate)?;
        Self::of(der, certificate_pem.to_owned(), Key::from_pem(key_pem)?)
    }

    fn of(der: CertificateDer<'static>, pem: String, key: Key) -> Result<Self, PkiError> {
        let (_, read) = x509_parser::parse_x509_certificate(&der).map_err(|_| PkiError::ReadCertificate)?;
        if !read.is_ca() {
            return Err(PkiError::NotAnAuthority);
        }
        if read.public_key().raw != key.public_der() {
            return Err(PkiError::OtherKey);
        }
        let ends = Timestamp::from_second(read.validity().not_after.timestamp());
        let ends = ends.map_err(|_| PkiError::ReadCertificate)?;
        Ok(Self {
            certificate: der,
            pem,
            key,
            ends,
        })
    }

    /// The certificate in PEM, for whoever is to trust what it signs.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The certificate in DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The key, for a machine that is to sign in its place.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// SHA-256 of the certificate, by which people compare it.
    pub fn fingerprint(&self) -> Digest {
        Digest(Sha256::digest(&self.certificate).into())
    }

    /// SHA-256 of the public key, by which kubeadm pins a root (`sha256:…`).
    pub fn public_key_digest(&self) -> Digest {
        Digest(Sha256::digest(self.key.public_der()).into())
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        self.ends
    }

    /// Makes a key, and a certificate for it that ends `lifetime` after `now`, or with the root.
    ///
    /// # Errors
    /// Without randomness, or if a name cannot stand in a certificate.
    pub fn issue(
        &self,
        subject: &Subject,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Leaf, PkiError> {
        let key = Key::make()?;
        let certificate = self.certify(&*key.0, subject, now, lifetime)?;
        Ok(Leaf { certificate, key })
    }

    /// Makes a certificate for the key of a request, under the names given here. What the request asks for is not
    /// looked at.
    ///
    /// # Errors
    /// Without randomness, or if a name cannot stand in a certificate.
    pub fn sign(
        &self,
        request: &Request,
        subject: &Subject,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Signed, PkiError> {
        self.certify(&request.key, subject, now, lifetime)
    }

    fn certify(
        &self,
        key: &impl PublicKeyData,
        subject: &Subject,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Signed, PkiError> {
        let begins = now - CLOCK_SKEW;
        let ends = end(now, lifetime)?.min(self.ends);
        let (name, organization, usage) = match subject {
            Subject::Server { names, addresses } => {
                let name = names.first().cloned();
                let name = name.or_else(|| addresses.first().map(ToString::to_string));
                (
                    name.unwrap_or_default(),
                    None,
                    ExtendedKeyUsagePurpose::ServerAuth,
                )
            }
            Subject::Client { name, organization } => (
                name.clone(),
                organization.as_ref(),
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
        };
        let mut params = params(&name, begins, ends)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        if let Some(organization) = organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization.as_str());
        }
        if let Subject::Server { names, addresses } = subject {
            for name in names {
                let text = name.as_str().try_into();
                let text = text.map_err(|_| PkiError::NotEncodable(name.clone()))?;
                params.subject_alt_names.push(SanType::DnsName(text));
            }
            let addresses = addresses.iter().copied().map(SanType::IpAddress);
            params.subject_alt_names.extend(addresses);
        }
        let issuer = Issuer::from_ca_cert_der(&self.certificate, &*self.key.0).map_err(PkiError::Sign)?;
        let made = params.signed_by(key, &issuer).map_err(PkiError::Sign)?;
        Ok(Signed {
            pem: made.pem(),
            der: made.der().clone(),
            begins,
            ends,
        })
    }
}

/// What every certificate has: a name, a time, and a number that no other has.
fn params(name: &str, begins: Timestamp, ends: Timestamp) -> Result<CertificateParams, PkiError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(PkiError::Random)?;
    // Positive, and of one length.
    serial[0] = serial[0] & 0x7f | 0x40;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = moment(begins)?;
    params.not_after = moment(ends)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn end(now: Timestamp, lifetime: SignedDuration) -> Result<Timestamp, PkiError> {
    now.checked_add(lifetime)
        .map_err(|_| PkiError::NotEncodable(lifetime.to_string()))
}

fn moment(at: Timestamp) -> Result<OffsetDateTime, PkiError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| PkiError::NotEncodable(at.to_string()))
}
