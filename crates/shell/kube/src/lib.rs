//! A small client of the Kubernetes API: what the bastion does there, and nothing else.
//!
//! One connection for each request, to the API's virtual IP, by the cluster's own authority and the bastion's own
//! certificate; a request ends within ten seconds. Objects stay JSON: the bastion reads a few fields of four kinds,
//! and typed ones would be most of the program (docs/decisions/0011).

mod objects;
mod request;

use std::{io, net::SocketAddrV4, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

pub use self::{
    objects::{NodeFacts, Pending},
    request::parse,
};

/// No request takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// No answer is longer: a list of 100 nodes has half of it.
const MAX_ANSWER: usize = 8 << 20;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The certificate or the key of the bastion, or the cluster's authority, is none.
    #[error("the certificates for the Kubernetes API cannot be used")]
    Certificates(#[source] tokio_rustls::rustls::Error),
    /// The API has no such name.
    #[error("`{0}` can be no name of the Kubernetes API")]
    Name(String),
    /// Nobody answers, or it is not the cluster's API.
    #[error("cannot reach the Kubernetes API at {0}")]
    Connect(SocketAddrV4, #[source] io::Error),
    /// The connection broke.
    #[error("the Kubernetes API broke off")]
    Broken(#[source] hyper::Error),
    /// The answer is no JSON, or too long.
    #[error("the answer of the Kubernetes API cannot be read: {0}")]
    Answer(String),
    /// It took too long.
    #[error("the Kubernetes API did not answer within {} s", PATIENCE.as_secs())]
    Late,
    /// It refuses.
    #[error("the Kubernetes API answers {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
}

/// Who speaks, to whom.
#[derive(Clone)]
pub struct Kube {
    at: SocketAddrV4,
    name: String,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kube")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Kube {
    /// A client of the API at an address, which must have a certificate for `name` by `authority`.
    ///
    /// # Errors
    /// The certificates are none.
    pub fn new(
        at: SocketAddrV4,
        name: &str,
        authority: CertificateDer<'static>,
        certificate: CertificateDer<'static>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, KubeError> {
        let mut roots = RootCertStore::empty();
        roots.add(authority).map_err(KubeError::Certificates)?;
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_root_certificates(roots)
                    .with_client_auth_cert(vec![certificate], key)
            })
            .map_err(KubeError::Certificates)?;
        Ok(Self {
            at,
            name: name.to_owned(),
            tls: Arc::new(tls),
        })
    }

    /// One request; what it is answered with.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, KubeError> {
        let bytes = tokio::time::timeout(PATIENCE, self.exchange(method, path, body))
            .await
            .map_err(|_| KubeError::Late)??;
        serde_json::from_slice(&bytes).map_err(|error| KubeError::Answer(error.to_string()))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Bytes, KubeError> {
        let name = ServerName::try_from(self.name.clone()).map_err(|_| KubeError::Name(self.name.clone()))?;
        let lost = |error| KubeError::Connect(self.at, error);
        let tcp = TcpStream::connect(self.at).await.map_err(lost)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        let stream = TokioIo::new(tls.await.map_err(lost)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(KubeError::Broken)?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.name)
            .header(header::ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some((media, value)) = body {
            request = request.header(header::CONTENT_TYPE, media);
            bytes = Bytes::from(value.to_string());
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| KubeError::Answer(error.to_string()))?;
        let answer = sender.send_request(request).await.map_err(KubeError::Broken)?;
        let status = answer.status();
        let bytes = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        driver.abort();
        let bytes = bytes
            .map_err(|error| KubeError::Answer(error.to_string()))?
            .to_bytes();
        if status.is_success() {
            return Ok(bytes);
        }
        Err(KubeError::Refused {
            status: status.as_u16(),
            message: message(status, &bytes),
        })
    }
}

/// What a `Status` of Kubernetes says, or the beginning of what is none.
fn message(status: StatusCode, bytes: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(bytes).ok();
    let said = said
        .as_ref()
        .and_then(|status| status.get("message"))
        .and_then(Value::as_str);
    let text = String::from_utf8_lossy(bytes);
    let text = said.unwrap_or(&text).chars().take(300).collect::<String>();
    if text.is_empty() {
        status.canonical_reason().unwrap_or_default().to_owned()
    } else {
        text
    }
}
