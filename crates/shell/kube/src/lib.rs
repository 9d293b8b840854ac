//! A small client of the Kubernetes API and of etcd: what the bastion does there, and nothing else.
//!
//! One connection for each request, by the cluster's own authorities and the bastion's own certificates; a request
//! ends within ten seconds. Objects stay JSON: the bastion reads a few fields of a few kinds, and typed ones would be
//! most of the program (docs/decisions/0011). etcd is asked through the JSON gateway that it has itself.

mod etcd;
#[doc(hidden)]
pub mod fuzz;
mod objects;
mod pods;
mod probe;
mod request;
mod wire;

use std::{io, net::SocketAddrV4};

use hyper::Method;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use self::wire::{PATIENCE, Wire};
pub use self::{
    etcd::{Etcd, EtcdStatus, Snapshot},
    objects::{NodeFacts, Pending},
    pods::Eviction,
    probe::{Probed, certificate_end, probe},
    request::parse,
};

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum KubeError {
    /// The certificate or the key of the bastion, or the cluster's authority, is none.
    #[error("the certificates for the cluster cannot be used")]
    Certificates(#[source] tokio_rustls::rustls::Error),
    /// The server has no such name.
    #[error("`{0}` can be no name of a server of the cluster")]
    Name(String),
    /// Nobody answers, or it is not the cluster's.
    #[error("cannot reach {whom} at {at}")]
    Connect {
        /// What was asked.
        whom: &'static str,
        /// Where.
        at: SocketAddrV4,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{whom} broke off")]
    Broken {
        /// What was asked.
        whom: &'static str,
        /// What was wrong.
        source: hyper::Error,
    },
    /// The answer is not what is answered there, or too long.
    #[error("the answer of {whom} cannot be read: {why}")]
    Answer {
        /// What was asked.
        whom: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// It took too long.
    #[error("{whom} did not answer within {} s", PATIENCE.as_secs())]
    Late {
        /// What was asked.
        whom: &'static str,
    },
    /// It refuses.
    #[error("{whom} answers {status}: {message}")]
    Refused {
        /// What was asked.
        whom: &'static str,
        /// HTTP status.
        status: u16,
        /// What it says.
        message: String,
    },
}

/// A client of the Kubernetes API.
#[derive(Clone)]
pub struct Kube(Wire);

impl std::fmt::Debug for Kube {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kube").field(&self.0.at).finish()
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
        let whom = "the Kubernetes API";
        Wire::new(whom, at, name, authority, certificate, key).map(Self)
    }

    /// One request; what it is answered with.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, KubeError> {
        self.0.ask(method, path, body).await
    }
}
