//! Runs the services over HTTP on the bastion's LAN address: network boot, unlocking, and over TLS the registry.
//!
//! Every wait has an end: a client that sends its request byte by byte, or takes none of its answer, is let go. What
//! to answer is decided by [`Pages`]; how, here.

mod answer;
mod wire;

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use faros_http::{BadRequest, Request, parse};
use faros_model::api::ServiceState;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::wire::Wire;
use crate::{
    pages::{Ask, Pages},
    service::{BindError, Health},
    socket,
};

/// Most connections at a time.
const MAX_CONNECTIONS: usize = 1024;
/// The same over TLS, which takes more memory for each.
const MAX_TLS_CONNECTIONS: usize = 256;
/// Most connections of one client.
const MAX_PER_CLIENT: usize = 64;
/// How long a client may take to send a whole request, and before that for the handshake of TLS.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_mins(1);

/// The HTTP service.
pub struct Http {
    address: SocketAddrV4,
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    pages: Arc<dyn Pages>,
    tls: Option<TlsAcceptor>,
    health: Health,
    clients: Mutex<HashMap<Ipv4Addr, usize>>,
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Takes the port.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind(address: SocketAddrV4, pages: Arc<dyn Pages>, health: Health) -> Result<Self, BindError> {
        Self::bind_with(address, None, pages, health)
    }

    /// Takes the port, for HTTP over TLS (RFC 9110 section 4.2.2).
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn bind_tls(
        address: SocketAddrV4,
        tls: Arc<ServerConfig>,
        pages: Arc<dyn Pages>,
        health: Health,
    ) -> Result<Self, BindError> {
        Self::bind_with(address, Some(tls.into()), pages, health)
    }

    fn bind_with(
        address: SocketAddrV4,
        tls: Option<TlsAcceptor>,
        pages: Arc<dyn Pages>,
        health: Health,
    ) -> Result<Self, BindError> {
        let listener = socket::tcp(address)?;
        Ok(Self {
            address,
            listener,
            shared: Arc::new(Shared {
                pages,
                tls,
                health,
                clients: Mutex::default(),
            }),
        })
    }

    /// Serves until told to stop; answers under way end with it.
    pub async fn run(self, stop: CancellationToken) {
        self.shared.health.set(ServiceState::Ready, "");
        let room = match self.shared.tls {
            Some(_) => MAX_TLS_CONNECTIONS,
            None => MAX_CONNECTIONS,
        };
        let room = Arc::new(Semaphore::new(room));
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let count = |label| self.shared.health.counter(label).add(1);
            let (stream, from) = match accepted {
                Ok((stream, SocketAddr::V4(from))) => (stream, *from.ip()),
                Ok(_) => continue,
                Err(error) => {
                    // Out of descriptors: the connections that are open will free some.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !self.shared.pages.serves(from) {
                count("http_outsider");
                continue;
            }
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                count("http_overload");
                continue;
            };
            let Some(client) = Client::admit(&self.shared, from) else {
                count("http_client_overload");
                continue;
            };
            count("http_connections");
            let stop = stop.clone();
            tokio::spawn(async move {
                let _place = place;
                tokio::select! {
                    () = stop.cancelled() => (),
                    ended = client.serve(stream) => if let Err(error) = ended {
                        tracing::trace!(%from, %error, "connection ended");
                    },
                }
            });
        }
    }
}

/// One connection's client; counts it for as long as it lives.
struct Client {
    shared: Arc<Shared>,
    from: Ipv4Addr,
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = clients.get_mut(&self.from) {
            *open -= 1;
            if *open == 0 {
                clients.remove(&self.from);
            }
        }
    }
}

impl Client {
    fn admit(shared: &Arc<Shared>, from: Ipv4Addr) -> Option<Self> {
        let mut clients = shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(from).or_default();
        if *open >= MAX_PER_CLIENT {
            return None;
        }
        *open += 1;
        Some(Self {
            shared: Arc::clone(shared),
            from,
        })
    }

    async fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let Ok(opened) = timeout(PATIENCE, Wire::open(stream, self.shared.tls.as_ref())).await else {
            self.shared.health.counter("http_slow_client").add(1);
            return Ok(());
        };
        let mut wire = opened.inspect_err(|_| self.shared.health.counter("http_tls_failed").add(1))?;
        let mut buffer = Vec::with_capacity(2048);
        loop {
            let request = match self.head(&mut wire, &mut buffer).await? {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(bad) => {
                    self.shared.health.counter(bad.label()).add(1);
                    answer::status(&mut wire, bad.status(), false, false).await?;
                    return wire.end().await;
                }
            };
            if request.expects_continue && buffer.len() < request.body_length {
                wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            while buffer.len() < request.body_length {
                if timeout(PATIENCE, wire.read(&mut buffer)).await?? == 0 {
                    return Ok(());
                }
            }
            let body = buffer.drain(..request.body_length).collect();
            self.shared.health.counter("http_requests").add(1);
            let ask = Ask {
                from: self.from,
                method: request.method,
                path: request.path.clone(),
                query: request.query.clone(),
                accept: request.accept.clone(),
                body,
            };
            let page = self.shared.pages.page(ask).await;
            self.answer(&mut wire, &request, page).await?;
            if !request.keep_alive {
                return wire.end().await;
            }
        }
    }

    /// The next request's head; `None` when the client is done. What follows it stays in the buffer.
    async fn head(
        &self,
        wire: &mut Wire,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Result<Option<Request>, BadRequest>> {
        let begun = Instant::now();
        loop {
            match parse(buffer) {
                Ok(Some((request, length))) => {
                    buffer.drain(..length);
                    return Ok(Ok(Some(request)));
                }
                Ok(None) => (),
                Err(bad) => return Ok(Err(bad)),
            }
            let wait = if buffer.is_empty() {
                IDLE
            } else {
                PATIENCE.saturating_sub(begun.elapsed())
            };
            match timeout(wait, wire.read(buffer)).await {
                Ok(Ok(0)) => return Ok(Ok(None)),
                Ok(Ok(_)) => (),
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    self.shared.health.counter("http_slow_client").add(1);
                    return Ok(Ok(None));
                }
            }
        }
    }
}
