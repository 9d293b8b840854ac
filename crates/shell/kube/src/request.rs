//! Reads what stands in a request for a certificate (PKCS #10, RFC 2986), all of it: a part that is not understood is
//! one more thing that is asked for.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use faros_cluster::csr::Request;
use x509_parser::{
    asn1_rs::FromDer as _,
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATION_NAME},
    pem::parse_x509_pem,
};

/// No request of a kubelet is longer.
const MAX: usize = 16 * 1024;

/// Reads a request in PEM; `None` if it is none.
pub fn parse(pem: &[u8]) -> Option<Request> {
    if pem.len() > MAX {
        return None;
    }
    let (_, block) = parse_x509_pem(pem).ok()?;
    parse_der(&block.contents)
}

/// The same in DER, as it is inside of the PEM.
pub(crate) fn parse_der(der: &[u8]) -> Option<Request> {
    let (rest, csr) = X509CertificationRequest::from_der(der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let mut request = Request {
        is_signed: csr.verify_signature().is_ok(),
        ..Request::default()
    };
    for attribute in csr.certification_request_info.subject.iter_attributes() {
        let known = if *attribute.attr_type() == OID_X509_COMMON_NAME {
            &mut request.common_names
        } else if *attribute.attr_type() == OID_X509_ORGANIZATION_NAME {
            &mut request.organizations
        } else {
            request.has_other_subject = true;
            continue;
        };
        known.push(attribute.as_str().ok()?.to_owned());
    }
    for extension in csr.requested_extensions().into_iter().flatten() {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                for name in &names.general_names {
                    alternative(&mut request, name);
                }
            }
            _ => request.has_other = true,
        }
    }
    Some(request)
}

fn alternative(request: &mut Request, name: &GeneralName<'_>) {
    match name {
        GeneralName::DNSName(name) => request.dns_names.push((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match address(bytes) {
            Some(address) => request.addresses.push(address),
            None => request.has_other = true,
        },
        _ => request.has_other = true,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|bytes| Ipv6Addr::from(bytes).into())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::fuzz;

    /// A request as openssl makes it.
    fn openssl(arguments: &[&str]) -> std::io::Result<Vec<u8>> {
        let made = Command::new("openssl")
            .args([
                "req",
                "-new",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
            ])
            .args(["-keyout", "/dev/null"])
            .args(arguments)
            .stderr(Stdio::null())
            .output()?;
        std::io::stderr().write_all(&made.stderr)?;
        Ok(made.stdout)
    }

    #[test]
    fn all_that_is_asked_for_is_seen() -> std::io::Result<()> {
        let pem = openssl(&[
            "-subj",
            "/O=system:masters/O=system:nodes/CN=system:node:a",
            "-addext",
            "subjectAltName=DNS:a,IP:192.168.8.11",
        ])?;
        let expected = Request {
            is_signed: true,
            common_names: vec!["system:node:a".to_owned()],
            organizations: vec!["system:masters".to_owned(), "system:nodes".to_owned()],
            dns_names: vec!["a".to_owned()],
            addresses: vec![[192, 168, 8, 11].into()],
            ..Request::default()
        };
        assert_eq!(parse(&pem), Some(expected));
        Ok(())
    }

    #[test]
    fn no_bytes_confuse_the_reader() -> std::io::Result<()> {
        let der = openssl(&[
            "-subj",
            "/O=a/CN=b",
            "-addext",
            "subjectAltName=DNS:c",
            "-outform",
            "DER",
        ])?;
        assert!(parse_der(&der).is_some_and(|read| read.dns_names == ["c"]));
        fuzz::request(&der);
        for at in 0..der.len() {
            fuzz::request(&der[..at]);
            let mut other = der.clone();
            other[at] ^= 0x21;
            fuzz::request(&other);
        }
        Ok(())
    }

    #[test]
    fn what_is_not_understood_is_asked_for_too() -> std::io::Result<()> {
        let more = openssl(&["-subj", "/C=DE/CN=a", "-addext", "subjectAltName=URI:https://a"])?;
        let more = parse(&more);
        assert!(more.is_some_and(|more| more.has_other && more.has_other_subject && more.is_signed));
        let authority = openssl(&["-subj", "/CN=a", "-addext", "basicConstraints=CA:true"])?;
        assert!(parse(&authority).is_some_and(|own| own.has_other));
        assert_eq!(parse(b"-----BEGIN CERTIFICATE REQUEST-----\n"), None);
        assert_eq!(parse(&vec![b'a'; 20_000]), None);
        Ok(())
    }
}
