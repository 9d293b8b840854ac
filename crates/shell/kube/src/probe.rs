//! Asks a server of the cluster how it is, as anybody may: whether it is ready, and until when its certificate is good.

use std::{net::SocketAddrV4, sync::Arc};

use bytes::Bytes;
use faros_cluster::status::Server;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::{
    KubeError,
    wire::{AGENT, PATIENCE},
};

/// What is asked, for people.
const WHOM: &str = "the server";

/// What an API server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// Whether it is ready.
    pub said: Server,
    /// When its certificate ends.
    pub ends: Timestamp,
}

/// Asks the API server at an address whether it is ready. It must have a certificate for `name` by `authority`.
///
/// # Errors
/// It does not answer, or it is not the cluster's.
pub async fn probe(
    at: SocketAddrV4,
    name: &str,
    authority: &CertificateDer<'static>,
) -> Result<Probed, KubeError> {
    tokio::time::timeout(PATIENCE / 2, ask(at, name, authority))
        .await
        .map_err(|_| KubeError::Late { whom: WHOM })?
}

/// When the certificate ends of what serves at an address. It must be for `name`, by `authority`.
///
/// # Errors
/// Nobody answers, or with another certificate.
pub async fn certificate_end(
    at: SocketAddrV4,
    name: &str,
    authority: &CertificateDer<'static>,
) -> Result<Timestamp, KubeError> {
    let connected = tokio::time::timeout(PATIENCE / 2, connect(at, name, authority));
    end(&connected.await.map_err(|_| KubeError::Late { whom: WHOM })??)
}

async fn ask(at: SocketAddrV4, name: &str, authority: &CertificateDer<'static>) -> Result<Probed, KubeError> {
    let stream = connect(at, name, authority).await?;
    let ends = end(&stream)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .uri("/readyz?verbose")
        .header(header::HOST, name)
        .header(header::USER_AGENT, AGENT)
        .body(Empty::<Bytes>::new())
        .map_err(|error| unreadable(&error))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), 64 << 10).collect().await;
    driver.abort();
    let body = body.map_err(|error| unreadable(&error))?.to_bytes();
    let said = if status.is_success() {
        Server::Ready
    } else {
        match failing(&String::from_utf8_lossy(&body)) {
            checks if checks.is_empty() => Server::Failing(vec![format!("it answers {status}")]),
            checks => Server::Failing(checks),
        }
    };
    Ok(Probed { said, ends })
}

async fn connect(
    at: SocketAddrV4,
    name: &str,
    authority: &CertificateDer<'static>,
) -> Result<TlsStream<TcpStream>, KubeError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(KubeError::Certificates)?;
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(KubeError::Certificates)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).map_err(|_| KubeError::Name(name.to_owned()))?;
    let lost = |source| KubeError::Connect {
        whom: WHOM,
        at,
        source,
    };
    let tcp = TcpStream::connect(at).await.map_err(lost)?;
    TlsConnector::from(Arc::new(tls))
        .connect(server, tcp)
        .await
        .map_err(lost)
}

fn end(stream: &TlsStream<TcpStream>) -> Result<Timestamp, KubeError> {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let read = shown.and_then(|own| x509_parser::parse_x509_certificate(own).ok());
    let ends = read.and_then(|(_, own)| Timestamp::from_second(own.validity().not_after.timestamp()).ok());
    ends.ok_or_else(|| unreadable(&"its certificate has no end"))
}

fn broken(source: hyper::Error) -> KubeError {
    KubeError::Broken { whom: WHOM, source }
}

fn unreadable(why: &impl ToString) -> KubeError {
    KubeError::Answer {
        whom: WHOM,
        why: why.to_string(),
    }
}

/// The checks that fail, of what `/readyz` says.
fn failing(text: &str) -> Vec<String> {
    let check = |line: &str| Some(line.strip_prefix("[-]")?.split_whitespace().next()?.to_owned());
    text.lines().filter_map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_fail_are_named() {
        let said = "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\n[+]informer-sync ok\n\
                    [-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n";
        assert_eq!(failing(said), ["etcd", "poststarthook/rbac/bootstrap-roles"]);
        assert!(failing("[+]ping ok\nreadyz check passed\n").is_empty());
        assert!(failing("[-]\n").is_empty());
    }
}
