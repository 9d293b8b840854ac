//! Runs the services over HTTP on the bastion's LAN address: network boot, and unlocking.
//!
//! Files go from the page cache to the socket by `sendfile(2)`, never through this process. Every wait has an
//! end: a client that sends its request byte by byte, or takes none of its answer, is let go.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use faros_http::{BadRequest, Method, Part, Request, Response, Select, parse, select};
use faros_model::api::ServiceState;
use jiff::Timestamp;
use rustix::{fs::sendfile, net::SendFlags};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    pages::{Ask, Ended, OpenFile, Page, Pages},
    service::{BindError, Health},
    socket,
};

/// Most connections at a time.
const MAX_CONNECTIONS: usize = 1024;
/// Most connections of one client.
const MAX_PER_CLIENT: usize = 64;
/// How long a client may take to send a whole request.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_mins(1);
/// How long a client may take none of its answer.
const STALLED: Duration = Duration::from_mins(1);
/// Bytes for one `sendfile`: long enough to cost nothing, short enough to be fair.
const PIECE: u64 = 1 << 20;
/// How often progress is told.
const TELL: Duration = Duration::from_millis(500);
/// Separates the parts of an answer with several ranges.
const BOUNDARY: &str = "faros-part-of-a-file";

/// The HTTP service.
pub struct Http {
    address: SocketAddrV4,
    listener: TcpListener,
    shared: Arc<Shared>,
}

struct Shared {
    pages: Arc<dyn Pages>,
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
        let listener = socket::tcp(address)?;
        Ok(Self {
            address,
            listener,
            shared: Arc::new(Shared {
                pages,
                health,
                clients: Mutex::default(),
            }),
        })
    }

    /// Serves until told to stop; answers under way end with it.
    pub async fn run(self, stop: CancellationToken) {
        self.shared.health.set(ServiceState::Ready, "");
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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

    async fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::with_capacity(2048);
        loop {
            let request = match self.head(&mut stream, &mut buffer).await? {
                Ok(Some(request)) => request,
                Ok(None) => return Ok(()),
                Err(bad) => {
                    self.shared.health.counter(bad.label()).add(1);
                    return self.status(&mut stream, bad.status(), false, false).await;
                }
            };
            if request.expects_continue && buffer.len() < request.body_length {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            while buffer.len() < request.body_length {
                if timeout(PATIENCE, stream.read_buf(&mut buffer)).await?? == 0 {
                    return Ok(());
                }
            }
            let body = buffer.drain(..request.body_length).collect();
            self.shared.health.counter("http_requests").add(1);
            let ask = Ask {
                from: self.from,
                method: request.method,
                path: request.path.clone(),
                body,
            };
            match self.shared.pages.page(ask).await {
                Page::File(file) => self.file(&mut stream, &request, file).await?,
                Page::Text { content_type, text } => {
                    self.text(&mut stream, &request, content_type, &text).await?;
                }
                Page::Status(status) => {
                    let head_only = request.method == Method::Head;
                    self.status(&mut stream, status, request.keep_alive, head_only)
                        .await?;
                }
            }
            if !request.keep_alive {
                return stream.shutdown().await;
            }
        }
    }

    /// The next request's head; `None` when the client is done. What follows it stays in the buffer.
    async fn head(
        &self,
        stream: &mut TcpStream,
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
            match timeout(wait, stream.read_buf(buffer)).await {
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

    async fn status(
        &self,
        stream: &mut TcpStream,
        status: u16,
        keep_alive: bool,
        head_only: bool,
    ) -> io::Result<()> {
        let text = if head_only || status < 400 {
            String::new()
        } else {
            format!("{status}\n")
        };
        let head = Response {
            status,
            content_type: (!text.is_empty()).then_some("text/plain"),
            content_length: text.len() as u64,
            keep_alive,
            ..Response::default()
        };
        let answer = [head.encode(&date()), text.into_bytes()].concat();
        timeout(STALLED, stream.write_all(&answer)).await?
    }

    async fn text(
        &self,
        stream: &mut TcpStream,
        request: &Request,
        kind: &str,
        text: &str,
    ) -> io::Result<()> {
        let head = Response {
            status: 200,
            content_type: Some(kind),
            content_length: text.len() as u64,
            keep_alive: request.keep_alive,
            ..Response::default()
        };
        let mut answer = head.encode(&date());
        if request.method != Method::Head {
            answer.extend_from_slice(text.as_bytes());
        }
        timeout(STALLED, stream.write_all(&answer)).await?
    }

    async fn file(&self, stream: &mut TcpStream, request: &Request, file: OpenFile) -> io::Result<()> {
        if request.method == Method::Post {
            return self.status(stream, 405, request.keep_alive, false).await;
        }
        let etag = file.digest.to_string();
        let size = file.size;
        let whole = Part {
            first: 0,
            last: size.saturating_sub(1),
        };
        let chosen = select(request, size, &etag);
        let content_range = match &chosen {
            Select::One(part) => Some(part.content_range(size)),
            Select::Unsatisfiable => Some(format!("bytes */{size}")),
            Select::Whole | Select::Many(_) | Select::NotModified => None,
        };
        // Each piece: what stands before it, and the bytes of the file.
        let (status, pieces, end) = match &chosen {
            Select::Whole if size == 0 => (200, vec![], String::new()),
            Select::Whole => (200, vec![(String::new(), whole)], String::new()),
            Select::One(part) => (206, vec![(String::new(), *part)], String::new()),
            Select::Many(parts) => {
                let lead = |part: &Part| {
                    let range = part.content_range(size);
                    format!(
                        "\r\n--{BOUNDARY}\r\nContent-Type: application/octet-stream\r\nContent-Range: {range}\r\n\r\n"
                    )
                };
                let pieces = parts.iter().map(|part| (lead(part), *part)).collect();
                (206, pieces, format!("\r\n--{BOUNDARY}--\r\n"))
            }
            Select::NotModified => (304, vec![], String::new()),
            Select::Unsatisfiable => (416, vec![], String::new()),
        };
        let length = pieces
            .iter()
            .map(|(lead, part)| lead.len() as u64 + part.len())
            .sum::<u64>()
            + end.len() as u64;
        let multipart = format!("multipart/byteranges; boundary={BOUNDARY}");
        let head = Response {
            status,
            content_type: Some(if matches!(chosen, Select::Many(_)) {
                &multipart
            } else {
                "application/octet-stream"
            }),
            content_length: if status == 304 { size } else { length },
            etag: Some(&etag),
            content_range: content_range.as_deref(),
            accepts_ranges: true,
            keep_alive: request.keep_alive,
        };
        let mut lead = head.encode(&date());
        if request.method == Method::Head || pieces.is_empty() {
            return timeout(STALLED, stream.write_all(&lead)).await?;
        }
        let started = Instant::now();
        let of = pieces.iter().map(|(_, part)| part.len()).sum();
        let mut sending = Sending {
            client: self,
            file: &file,
            sent: 0,
            of,
            told: started,
        };
        let mut result = Ok(());
        for (before, part) in &pieces {
            lead.extend_from_slice(before.as_bytes());
            result = async {
                send_more(stream, &lead).await?;
                sending.part(stream, *part).await
            }
            .await;
            lead.clear();
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() && !end.is_empty() {
            result = timeout(STALLED, stream.write_all(end.as_bytes())).await?;
        }
        let bytes = sending.sent;
        let failed = result
            .as_ref()
            .err()
            .map(|error| format!("the connection broke: {error}"));
        let (from, elapsed) = (self.from, started.elapsed());
        self.shared.health.counter("http_bytes").add(bytes);
        self.shared.pages.ended(Ended {
            from,
            file,
            bytes,
            of,
            elapsed,
            protocol: "http",
            failed,
        });
        result
    }
}

/// The state of an answer that sends parts of a file.
struct Sending<'a> {
    client: &'a Client,
    file: &'a OpenFile,
    sent: u64,
    of: u64,
    told: Instant,
}

impl Sending<'_> {
    async fn part(&mut self, stream: &TcpStream, part: Part) -> io::Result<()> {
        let mut offset = part.first;
        while offset <= part.last {
            let count = usize::try_from((part.last - offset + 1).min(PIECE)).unwrap_or(usize::MAX);
            let piece = stream.async_io(Interest::WRITABLE, || {
                Ok(sendfile(stream, &*self.file.file, Some(&mut offset), count)?)
            });
            let sent = timeout(STALLED, piece).await??;
            if sent == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file became shorter",
                ));
            }
            self.sent += sent as u64;
            if self.told.elapsed() >= TELL {
                self.told = Instant::now();
                self.client
                    .shared
                    .pages
                    .progress(self.client.from, &self.file.name, self.sent, self.of);
            }
            // A fast client must not keep the others waiting.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// Sends bytes that more bytes follow, so that a head does not travel alone.
async fn send_more(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        let ready = stream.async_io(Interest::WRITABLE, || {
            Ok(rustix::net::send(
                stream,
                left,
                SendFlags::MORE | SendFlags::NOSIGNAL,
            )?)
        });
        let sent = timeout(STALLED, ready).await??;
        left = &left[sent..];
    }
    Ok(())
}

/// Now, in the form of RFC 9110 section 5.6.7.
fn date() -> String {
    Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
