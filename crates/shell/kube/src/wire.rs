//! One request to a server of the cluster, over TLS, with the bastion's own certificate: the API and etcd both.

use std::{net::SocketAddrV4, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring},
};

use crate::KubeError;

/// No request takes longer, but for a stream.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Who asks, as Kubernetes writes it down beside what was changed (`managedFields`) and in its audit log.
pub(crate) const AGENT: &str = "farosd";

/// No answer is longer: a list of 100 nodes has half of it.
const MAX_ANSWER: usize = 8 << 20;

/// Who speaks, to whom.
#[derive(Clone)]
pub(crate) struct Wire {
    /// What is asked, for people.
    whom: &'static str,
    pub(crate) at: SocketAddrV4,
    name: String,
    tls: Arc<ClientConfig>,
}

impl Wire {
    pub(crate) fn new(
        whom: &'static str,
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
            whom,
            at,
            name: name.to_owned(),
            tls: Arc::new(tls),
        })
    }

    /// One request; what it is answered with, as JSON.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, KubeError> {
        let whole = async { self.send(method, path, body).await?.whole().await };
        let bytes = tokio::time::timeout(PATIENCE, whole)
            .await
            .map_err(|_| KubeError::Late { whom: self.whom })??;
        serde_json::from_slice(&bytes).map_err(|error| self.unreadable(&error))
    }

    /// One request; its answer to be read, if it is not a refusal.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Answer, KubeError> {
        let whom = self.whom;
        let name = ServerName::try_from(self.name.clone()).map_err(|_| KubeError::Name(self.name.clone()))?;
        let lost = |source| KubeError::Connect {
            whom,
            at: self.at,
            source,
        };
        let broken = |source| KubeError::Broken { whom, source };
        let tcp = TcpStream::connect(self.at).await.map_err(lost)?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        let stream = TokioIo::new(tls.await.map_err(lost)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(broken)?;
        let driver = Driver(tokio::spawn(connection));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.name)
            .header(header::USER_AGENT, AGENT)
            .header(header::ACCEPT, "application/json");
        let mut bytes = Bytes::new();
        if let Some((media, value)) = body {
            request = request.header(header::CONTENT_TYPE, media);
            bytes = Bytes::from(value.to_string());
        }
        let request = request
            .body(Full::new(bytes))
            .map_err(|error| self.unreadable(&error))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status();
        let answer = Answer {
            whom,
            body: answer.into_body(),
            _driver: driver,
        };
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.whole().await?;
        Err(KubeError::Refused {
            whom,
            status: status.as_u16(),
            message: message(status, &bytes),
        })
    }

    pub(crate) fn unreadable(&self, why: &impl ToString) -> KubeError {
        KubeError::Answer {
            whom: self.whom,
            why: why.to_string(),
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("whom", &self.whom)
            .finish_non_exhaustive()
    }
}

/// The task that moves a connection's bytes; it ends with the answer.
struct Driver(JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that is still to be read.
pub(crate) struct Answer {
    whom: &'static str,
    body: Incoming,
    _driver: Driver,
}

impl Answer {
    /// All of it.
    pub(crate) async fn whole(self) -> Result<Bytes, KubeError> {
        let whole = Limited::new(self.body, MAX_ANSWER).collect().await;
        let whole = whole.map_err(|error| KubeError::Answer {
            whom: self.whom,
            why: error.to_string(),
        });
        Ok(whole?.to_bytes())
    }

    /// The next piece; `None` at the end.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, KubeError> {
        let whom = self.whom;
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame())
                .await
                .map_err(|_| KubeError::Late { whom })?;
            match frame {
                None => return Ok(None),
                Some(Err(source)) => return Err(KubeError::Broken { whom, source }),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// What a `Status` of Kubernetes, or an error of etcd, says; or the beginning of what is none.
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
