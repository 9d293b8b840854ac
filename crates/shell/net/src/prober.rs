//! Asks servers whether they are well, as a client would: over TCP, with TLS where they speak it.
//!
//! Of an answer over HTTP only the status counts. A server that says that strangers may not know (401, 403)
//! is well as far as anyone can tell: a cluster may forbid what is not signed in to see `/readyz`.
//!
//! After a good answer the connection stays open, and its end is told. The next question goes over it where
//! that says something; a question about TCP is always a new connection.

mod certificates;
mod held;

use std::{error::Error, fmt, future::pending, io, pin::pin, sync::Arc, time::Duration};

use faros_balancer::{Check, Evidence, Fault, HttpsPath, Lost, Probe};
use hyper::StatusCode;
use rustls::{ClientConfig, crypto::ring, pki_types::ServerName};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_rustls::TlsConnector;

use self::{
    certificates::Judge,
    held::{Held, Http},
};

/// How soon after a question over an open connection it is looked whether the machine is there at all.
const DOUBT: Duration = Duration::from_millis(500);

/// What comes of asking a server.
#[derive(Debug)]
pub enum Heard {
    /// What came of a probe, and whether the connection is still open.
    Answer(Probe, Evidence, bool),
    /// The connection that this probe left open is not open any more.
    Lost(Probe, Lost),
}

/// Certificates that cannot be used to judge others.
#[derive(Debug, thiserror::Error)]
#[error("the certificates of the API's authority cannot be used: {0}")]
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
    /// certificate is good for that name, at whatever time; without, any certificate will do.
    ///
    /// # Errors
    /// If the certificates cannot be used.
    pub fn new(name: &str, authority: Option<&str>) -> Result<Self, BadAuthority> {
        let bad = |why: &dyn fmt::Display| BadAuthority(why.to_string());
        let provider = Arc::new(ring::default_provider());
        let connector = |authority: Option<&str>| -> Result<TlsConnector, BadAuthority> {
            let judge = Judge::new(&provider, authority).map_err(|error| bad(&error))?;
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(&error))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(judge))
                .with_no_client_auth();
            Ok(TlsConnector::from(Arc::new(config)))
        };
        let any = connector(None)?;
        let api = if authority.is_some() {
            connector(authority)?
        } else {
            any.clone()
        };
        Ok(Self {
            api,
            any,
            name: ServerName::try_from(name.to_owned()).map_err(|error| bad(&error))?,
            host: name.to_owned(),
        })
    }

    /// Asks one server whenever it gets a probe of it, until there can be none any more. What comes of it goes to
    /// `tell`.
    pub async fn keep_asking(&self, mut probes: mpsc::Receiver<Probe>, tell: impl Fn(Heard)) {
        let mut open: Option<(Probe, Held)> = None;
        loop {
            let ended = async {
                match &mut open {
                    Some((_, held)) => held.ended().await,
                    None => pending().await,
                }
            };
            tokio::select! {
                probe = probes.recv() => {
                    let Some(probe) = probe else { return };
                    let (evidence, held) = self.ask(&probe, open.take().map(|(_, held)| held)).await;
                    tell(Heard::Answer(probe.clone(), evidence, held.is_some()));
                    open = held.map(|held| (probe, held));
                }
                how = ended => {
                    if let Some((probe, _)) = open.take() {
                        tell(Heard::Lost(probe, how));
                    }
                }
            }
        }
    }

    /// Asks a server, and says what came of it, in the time that it has. The connection is handed back if it was
    /// good and is open.
    async fn ask(&self, probe: &Probe, held: Option<Held>) -> (Evidence, Option<Held>) {
        let answer = match (probe.check, held) {
            (Check::Tcp | Check::None, _) => connect(probe).await.map(|stream| {
                let evidence = Evidence::Good("takes connections".to_owned());
                (evidence, Held::tcp(stream))
            }),
            (Check::Https(asked), None) => self.ask_anew(probe, asked).await,
            (Check::Https(asked), Some(held)) => match self.ask_again(probe, asked, held).await {
                Some(answer) => answer,
                None => self.ask_anew(probe, asked).await,
            },
        };
        answer.unwrap_or_else(|fault| (Evidence::Bad(fault), None))
    }

    /// Asks over a connection that is open; `None` if it turns out not to be.
    async fn ask_again(&self, probe: &Probe, asked: HttpsPath, held: Held) -> Option<Answer> {
        let mut http = held.http()?;
        let answer = {
            let mut answer = pin!(http.get(&self.host, asked.path));
            match timeout(DOUBT, &mut answer).await {
                Ok(answer) => Ok(answer),
                Err(_) => {
                    // The server takes its time, or its machine is dead: that shows sooner on a new connection.
                    if let Err(fault) = connect(probe).await {
                        return Some(Err(fault));
                    }
                    timeout(probe.to_answer, answer).await
                }
            }
        };
        match answer {
            Err(_) => Some(Err(Fault::Slow)),
            Ok(Err(_)) => None,
            Ok(Ok(status)) => Some(Ok((judge(status, asked), http.hold()))),
        }
    }

    async fn ask_anew(&self, probe: &Probe, asked: HttpsPath) -> Answer {
        let stream = connect(probe).await?;
        let connector = if probe.service == "api" {
            &self.api
        } else {
            &self.any
        };
        let answer = async {
            let tls = connector.connect(self.name.clone(), stream).await;
            let mut http = Http::new(tls.map_err(|error| fault(&error))?)
                .await
                .map_err(|error| fault_of(&error))?;
            let status = http
                .get(&self.host, asked.path)
                .await
                .map_err(|error| fault_of(&error))?;
            Ok((judge(status, asked), http.hold()))
        };
        timeout(probe.to_answer, answer).await.unwrap_or(Err(Fault::Slow))
    }
}

/// What came of a question, and the connection if it is open.
type Answer = Result<(Evidence, Option<Held>), Fault>;

async fn connect(probe: &Probe) -> Result<TcpStream, Fault> {
    match timeout(probe.to_connect, TcpStream::connect(probe.address)).await {
        Err(_) => Err(Fault::Silent),
        Ok(Err(error)) => Err(fault(&error)),
        Ok(Ok(stream)) => Ok(stream),
    }
}

/// What the status of an answer says.
fn judge(status: StatusCode, asked: HttpsPath) -> Evidence {
    let path = asked.path;
    match status.as_u16() {
        200 => Evidence::Good(format!("{path} answers 200")),
        403 if !asked.may_be_forbidden => Evidence::Bad(Fault::Status(403)),
        status @ (401 | 403) => Evidence::Good(format!("{path} answers {status}: not for strangers")),
        status => Evidence::Bad(Fault::Status(status)),
    }
}

/// What an error of HTTP says of a server.
fn fault_of(error: &hyper::Error) -> Fault {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(own) = cause {
        if let Some(error) = own.downcast_ref::<io::Error>() {
            return fault(error);
        }
        cause = own.source();
    }
    if error.is_parse() {
        Fault::Wrong("does not answer as an HTTP server".to_owned())
    } else {
        Fault::Wrong("ends the connection without an answer".to_owned())
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

#[cfg(test)]
mod tests;
