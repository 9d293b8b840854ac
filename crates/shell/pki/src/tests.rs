use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DnType, SanType};
use rustls_pki_types::pem::PemObject as _;

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn now() -> Timestamp {
    Timestamp::from_second(1_795_000_000).unwrap_or_default()
}

fn root() -> Result<Authority, PkiError> {
    Authority::make("harbour-7 site", now(), DAY * 3650)
}

fn server(names: &[&str]) -> Subject {
    Subject::Server {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: vec![[192, 168, 8, 1].into()],
    }
}

/// What `openssl` says of a certificate.
fn openssl(arguments: &[&str], files: &[(&str, &str)]) -> Result<String, Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text)?;
    }
    let ran = Command::new("openssl")
        .args(arguments)
        .current_dir(dir.path())
        .output()?;
    Ok(String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned())
}

#[test]
fn openssl_trusts_what_a_root_signed_and_nothing_else() -> Outcome {
    let (root, other) = (root()?, root()?);
    let leaf = root.issue(&server(&["bastion.harbour-7.edge.example.com"]), now(), DAY * 90)?;
    let at = now().as_second().to_string();
    let verify = |root: &Authority, more: &[&str]| {
        let mut arguments = vec!["verify", "-x509_strict", "-attime", &at, "-CAfile", "ca.pem"];
        arguments.extend(more);
        arguments.push("leaf.pem");
        let files = [
            ("ca.pem", root.certificate_pem()),
            ("leaf.pem", leaf.certificate.pem.as_str()),
        ];
        openssl(&arguments, &files)
    };
    assert_eq!(verify(&root, &["-purpose", "sslserver"])?, "leaf.pem: OK\n");
    assert_eq!(verify(&root, &["-verify_ip", "192.168.8.1"])?, "leaf.pem: OK\n");
    let name = "bastion.harbour-7.edge.example.com";
    assert_eq!(verify(&root, &["-verify_hostname", name])?, "leaf.pem: OK\n");
    assert!(verify(&root, &["-verify_hostname", "other.example.com"])?.contains("mismatch"));
    assert!(verify(&root, &["-purpose", "sslclient"])?.contains("unsuitable"));
    assert!(verify(&other, &[])?.contains("failed"));
    Ok(())
}

#[test]
fn a_certificate_begins_a_day_earlier_and_never_outlives_its_root() -> Outcome {
    let root = root()?;
    let leaf = root.issue(&server(&["a.example.com"]), now(), DAY * 100_000)?;
    assert_eq!(leaf.certificate.begins, now() - DAY);
    assert_eq!(leaf.certificate.ends, root.ends());
    assert_eq!(root.ends(), now() + DAY * 3650);
    Ok(())
}

#[test]
fn a_root_that_was_kept_signs_as_before() -> Outcome {
    let root = root()?;
    let again = Authority::load(root.certificate_pem(), &root.key().secret_pem())?;
    assert_eq!(again.fingerprint(), root.fingerprint());
    assert_eq!(again.ends(), root.ends());
    let other = Authority::make("other", now(), DAY)?;
    let mixed = Authority::load(root.certificate_pem(), &other.key().secret_pem());
    assert!(matches!(mixed, Err(PkiError::OtherKey)));
    let leaf = root.issue(&server(&["a.example.com"]), now(), DAY)?;
    let no_root = Authority::load(&leaf.certificate.pem, &leaf.key.secret_pem());
    assert!(matches!(no_root, Err(PkiError::NotAnAuthority)));
    assert!(matches!(
        Authority::load("", &leaf.key.secret_pem()),
        Err(PkiError::ReadCertificate)
    ));
    assert!(matches!(
        Authority::load(root.certificate_pem(), "no key"),
        Err(PkiError::ReadKey(_))
    ));
    Ok(())
}

fn asks_to_be_an_admin() -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "kubernetes-admin");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "system:masters");
    params.subject_alt_names = vec![
        SanType::DnsName("api.harbour-7.edge.example.com".try_into()?),
        SanType::URI("spiffe://x".try_into()?),
    ];
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    params.serialize_request(&key)?.pem()
}

#[test]
fn of_a_request_only_the_key_reaches_the_certificate() -> Outcome {
    let request = Request::from_pem(&asks_to_be_an_admin()?)?;
    assert_eq!(request.common_name, "kubernetes-admin");
    assert_eq!(request.organization, "system:masters");
    assert_eq!(request.names, ["api.harbour-7.edge.example.com"]);
    assert!(request.asks_for_more);
    let subject = Subject::Client {
        name: "system:node:node-1".to_owned(),
        organization: Some("system:nodes".to_owned()),
    };
    let signed = root()?.sign(&request, &subject, now(), DAY)?;
    let shown = openssl(
        &["x509", "-in", "leaf.pem", "-noout", "-text"],
        &[("leaf.pem", &signed.pem)],
    )?;
    assert!(shown.contains("system:nodes") && shown.contains("system:node:node-1"));
    for asked in [
        "system:masters",
        "api.harbour-7",
        "spiffe",
        "CA:TRUE",
        "kubernetes-admin",
    ] {
        assert!(!shown.contains(asked), "{asked} in {shown}");
    }
    Ok(())
}

#[test]
fn a_request_signed_by_another_key_is_refused() -> Outcome {
    let text = asks_to_be_an_admin()?;
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = lines.len() - 2;
    // The last line but the end marker is of the signature.
    let swapped = if lines[last].starts_with('A') { "B" } else { "A" };
    lines[last].replace_range(0..1, swapped);
    let refused = Request::from_pem(&(lines.join("\n") + "\n"));
    assert!(matches!(refused, Err(PkiError::ReadRequest(_))), "{refused:?}");
    assert!(matches!(
        Request::from_pem("no request"),
        Err(PkiError::ReadRequest(_))
    ));
    let large = "x".repeat(20_000);
    assert!(matches!(
        Request::from_pem(&large),
        Err(PkiError::LargeRequest(20_000))
    ));
    Ok(())
}

#[test]
fn no_bytes_confuse_the_reader_of_requests() -> Outcome {
    let text = asks_to_be_an_admin()?;
    let der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(text.as_bytes())?;
    assert!(Request::from_der(&der).is_ok());
    fuzz::request(&der);
    for at in 0..der.len() {
        fuzz::request(&der[..at]);
        let mut other = der.to_vec();
        other[at] ^= 0x21;
        fuzz::request(&other);
    }
    Ok(())
}

#[test]
fn a_key_prints_nothing() -> Outcome {
    let root = root()?;
    let printed = format!("{root:?}");
    assert!(printed.contains("[hidden]"));
    assert!(!printed.contains("PRIVATE"));
    assert_eq!(root.key().clone().public_pem(), root.key().public_pem());
    Ok(())
}

#[test]
fn two_certificates_of_one_key_have_two_numbers() -> Outcome {
    let (root, request) = (root()?, Request::from_pem(&asks_to_be_an_admin()?)?);
    let subject = server(&["a.example.com"]);
    let of = |signed: Signed| {
        let (_, read) = x509_parser::parse_x509_certificate(&signed.der)?;
        Ok::<_, Box<dyn std::error::Error>>(read.tbs_certificate.raw_serial().to_vec())
    };
    let first = of(root.sign(&request, &subject, now(), DAY)?)?;
    let second = of(root.sign(&request, &subject, now(), DAY)?)?;
    assert_ne!(first, second);
    assert_eq!(first.len(), 16);
    Ok(())
}

#[test]
fn a_name_that_no_certificate_can_carry_is_refused() -> Outcome {
    let refused = root()?.issue(&server(&["b\u{fc}cher.example.com"]), now(), DAY);
    assert!(matches!(refused, Err(PkiError::NotEncodable(_))));
    Ok(())
}
