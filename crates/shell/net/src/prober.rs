//! Asks servers whether they are well, as a client would: over TCP, with TLS where they speak it.
//!
//! Of an answer over HTTP only its first line is read. A server that says that strangers may not know (401, 403)
//! is well as far as anyone can tell: a cluster may forbid what is not signed in to see `/readyz`.

use std::{fmt, io, sync::Arc};

use faros_balancer::{Check, Evidence, Fault, Probe};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The longest first line of an answer that is read.
const LINE: usize = 256;

/// Certificates that cannot be used to judge others.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of `balancer.apiCa` cannot be used: {0}")]
pub struct BadAuthority(String);

/// Asks servers.
#[derive(Clone)]
pub struct Prober {
    /// With the authority of the API's certificates, where it is known.
    api: TlsConnector,
    any: TlsConnector,
    name: ServerName<'static>,
    host: String,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Prober {
    /// Asks for the API by this name. With `authority`, certificates in PEM, an API server is well only if its
    /// certificate is good for that name; without, any certificate will do.
    ///
    /// # Errors
    /// If the certificates cannot be used.
    pub fn new(name: &str, authority: Option<&str>) -> Result<Self, BadAuthority> {
        let bad = |why: &dyn fmt::Display| BadAuthority(why.to_string());
        let provider = Arc::new(ring::default_provider());
        let config = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(&error))
        };
        let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
        let any = config()?
            .dangerous()
            .with_custom_certificate_verifier(any)
            .with_no_client_auth();
        let any = TlsConnector::from(Arc::new(any));
        let api = match authority {
            None => any.clone(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let certificate = certificate.map_err(|error| bad(&error))?;
                    roots.add(certificate).map_err(|error| bad(&error))?;
                }
                let config = config()?.with_root_certificates(roots).with_no_client_auth();
                TlsConnector::from(Arc::new(config))
            }
        };
        Ok(Self {
            api,
            any,
            name: ServerName::try_from(name.to_owned()).map_err(|error| bad(&error))?,
            host: name.to_owned(),
        })
    }

    /// Asks a server, and says what came of it, in the time that it has.
    pub async fn ask(&self, probe: &Probe) -> Evidence {
        let connected = timeout(probe.to_connect, TcpStream::connect(probe.address)).await;
        let stream = match connected {
            Err(_) => return Evidence::Bad(Fault::Silent),
            Ok(Err(error)) => return Evidence::Bad(fault(&error)),
            Ok(Ok(stream)) => stream,
        };
        match probe.check {
            // It ends here as a client's does that has changed its mind.
            Check::Tcp | Check::None => Evidence::Good("takes connections".to_owned()),
            Check::Https(path) => match timeout(probe.to_answer, self.readyz(stream, probe, path)).await {
                Err(_) => Evidence::Bad(Fault::Slow),
                Ok(evidence) => evidence,
            },
        }
    }

    async fn readyz(&self, stream: TcpStream, probe: &Probe, path: &str) -> Evidence {
        let connector = if probe.service == "api" {
            &self.api
        } else {
            &self.any
        };
        let mut tls = match connector.connect(self.name.clone(), stream).await {
            Ok(tls) => tls,
            Err(error) => return Evidence::Bad(fault(&error)),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: farosd\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            self.host
        );
        if let Err(error) = tls.write_all(request.as_bytes()).await {
            return Evidence::Bad(fault(&error));
        }
        match first_line(&mut tls).await {
            Err(error) => Evidence::Bad(fault(&error)),
            Ok(line) => judge(&line, path),
        }
    }
}

/// Reads up to the end of the first line.
async fn first_line(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    let mut buffer = [0; LINE];
    while line.len() < LINE && !line.contains(&b'\n') {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        line.extend(buffer.get(..length).unwrap_or_default());
    }
    let line = line.split(|byte| *byte == b'\r' || *byte == b'\n').next();
    Ok(String::from_utf8_lossy(line.unwrap_or_default()).into_owned())
}

/// What the first line of an answer says (RFC 9112 section 4).
fn judge(line: &str, path: &str) -> Evidence {
    let mut words = line.split(' ');
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|status| status.parse::<u16>().ok());
    match version.and(status) {
        Some(200) => Evidence::Good(format!("{path} answers 200")),
        Some(status @ (401 | 403)) => Evidence::Good(format!("{path} answers {status}: not for strangers")),
        Some(status) => Evidence::Bad(Fault::Status(status)),
        None => Evidence::Bad(Fault::Wrong("does not answer as an HTTP server".to_owned())),
    }
}

/// What an error says of a server.
fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
            Fault::Silent
        }
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            Fault::Wrong("ends the connection without an answer".to_owned())
        }
        _ => match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            Some(rustls::Error::InvalidCertificate(why)) => {
                Fault::Wrong(format!("its certificate is not good: {why}"))
            }
            Some(tls) => Fault::Wrong(format!("does not speak TLS: {tls}")),
            None => Fault::Wrong(error.to_string()),
        },
    }
}

/// Takes any certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
