//! A connection that stays open after a good answer, so that its end tells of the server's.

use std::{io, time::Duration};

use bytes::Bytes;
use faros_balancer::Lost;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// How long nothing is heard of a machine before the kernel asks it, and how long that question may take. The
/// shortest there is, in whole seconds (tcp(7)).
const KEEPALIVE: Duration = Duration::from_secs(1);

/// How much a server may say unasked, or in an answer. One that says more has something else in mind.
const MOST: usize = 16 << 10;

/// An open connection.
#[derive(Debug)]
pub(super) enum Held {
    Tcp(TcpStream),
    Http(Http),
}

impl Held {
    pub(super) fn tcp(stream: TcpStream) -> Option<Self> {
        keep_alive(&stream).ok()?;
        Some(Self::Tcp(stream))
    }

    pub(super) fn http(self) -> Option<Http> {
        match self {
            Self::Tcp(_) => None,
            Self::Http(http) => Some(http),
        }
    }

    /// Waits until it is not open any more. May be given up and called again.
    pub(super) async fn ended(&mut self) -> Lost {
        match self {
            Self::Tcp(stream) => read_to_end(stream)
                .await
                .map_or_else(|error| lost(&error), |()| Lost::Ended),
            Self::Http(http) => (&mut http.runs).await.unwrap_or(Lost::Ended),
        }
    }
}

/// A connection over which HTTP is spoken.
#[derive(Debug)]
pub(super) struct Http {
    sender: SendRequest<Empty<Bytes>>,
    /// What carries it, until it ends.
    runs: AbortOnDropHandle<Lost>,
}

impl Http {
    pub(super) async fn new(tls: TlsStream<TcpStream>) -> Result<Self, hyper::Error> {
        // Without it the end of a machine shows by a question that is not answered.
        let _ = keep_alive(tls.get_ref().0);
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        let runs = tokio::spawn(async move {
            match connection.await {
                Ok(()) => Lost::Ended,
                Err(error) => {
                    let cause = std::error::Error::source(&error);
                    cause
                        .and_then(|cause| cause.downcast_ref())
                        .map_or(Lost::Ended, lost)
                }
            }
        });
        Ok(Self {
            sender,
            runs: AbortOnDropHandle::new(runs),
        })
    }

    /// Asks for a path, and reads what comes.
    pub(super) async fn get(&mut self, host: &str, path: &str) -> Result<StatusCode, hyper::Error> {
        self.sender.ready().await?;
        let mut request = Request::new(Empty::new());
        // Paths and names come from the site and from constants: there are none that do not parse.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        if let Ok(host) = host.parse() {
            headers.insert(header::HOST, host);
        }
        headers.insert(header::USER_AGENT, header::HeaderValue::from_static("farosd"));
        headers.insert(header::ACCEPT, header::HeaderValue::from_static("*/*"));
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        // A connection whose answer is not read to its end is not used again: that shows when it is.
        let _ = Limited::new(body, MOST).collect().await;
        Ok(head.status)
    }

    /// Itself, if the server leaves it open.
    pub(super) fn hold(self) -> Option<Held> {
        (!self.sender.is_closed() && !self.runs.is_finished()).then_some(Held::Http(self))
    }
}

/// Has the kernel notice when the other end's machine is gone.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE)
        .with_retries(1);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Reads what a server says that nobody asked, and forgets it.
async fn read_to_end(stream: &TcpStream) -> io::Result<()> {
    let (mut read, mut buffer) = (0, [0; 1024]);
    while read < MOST {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => read += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn lost(error: &io::Error) -> Lost {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            Lost::Silent
        }
        _ => Lost::Ended,
    }
}
