//! Certificate requests (PKCS#10, RFC 2986): what is asked for, to decide by.

use std::net::IpAddr;

use rcgen::{CertificateSigningRequestParams, DnType, DnValue, PublicKey, SanType};

use crate::PkiError;

/// The largest request that is read, in bytes of PEM. A kubelet's takes a thousand.
const MAX_REQUEST: usize = 16 * 1024;

/// A request whose sender has the key that it is about.
#[derive(Debug)]
pub struct Request {
    /// The name that the key is to be known by.
    pub common_name: String,
    /// The group that it is to be of.
    pub organization: String,
    /// DNS names that it is to serve.
    pub names: Vec<String>,
    /// Addresses that it is to serve.
    pub addresses: Vec<IpAddr>,
    /// Whether it asks for more than that, such as a URI, or a name of a country.
    pub asks_for_more: bool,
    pub(crate) key: PublicKey,
}

impl Request {
    /// Reads one in PEM, and checks that whoever signed it has the key.
    ///
    /// # Errors
    /// If it is none, too large, of a kind of key that is too weak, or signed by another key.
    pub fn from_pem(text: &str) -> Result<Self, PkiError> {
        if text.len() > MAX_REQUEST {
            return Err(PkiError::LargeRequest(text.len()));
        }
        let read = CertificateSigningRequestParams::from_pem(text).map_err(PkiError::ReadRequest)?;
        Ok(Self::of(read))
    }

    /// The same in DER, as it is inside of the PEM.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, PkiError> {
        let read = CertificateSigningRequestParams::from_der(&der.into()).map_err(PkiError::ReadRequest)?;
        Ok(Self::of(read))
    }

    fn of(read: CertificateSigningRequestParams) -> Self {
        let mut request = Self {
            common_name: String::new(),
            organization: String::new(),
            names: vec![],
            addresses: vec![],
            asks_for_more: false,
            key: read.public_key,
        };
        for (kind, value) in read.params.distinguished_name.iter() {
            match (kind, as_text(value)) {
                (DnType::CommonName, Some(text)) => text.clone_into(&mut request.common_name),
                (DnType::OrganizationName, Some(text)) => text.clone_into(&mut request.organization),
                _ => request.asks_for_more = true,
            }
        }
        for name in read.params.subject_alt_names {
            match name {
                SanType::DnsName(name) => request.names.push(name.to_string()),
                SanType::IpAddress(address) => request.addresses.push(address),
                _ => request.asks_for_more = true,
            }
        }
        request
    }
}

fn as_text(value: &DnValue) -> Option<&str> {
    match value {
        DnValue::Utf8String(text) => Some(text),
        DnValue::PrintableString(text) => Some(text.as_str()),
        DnValue::Ia5String(text) => Some(text.as_str()),
        _ => None,
    }
}
