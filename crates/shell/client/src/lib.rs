//! A typed client of `farosd`'s local API, over its unix socket.
//!
//! One connection for each request: the socket is local, and a command makes a handful. Streams are one JSON
//! object a line.

mod cluster;
mod stream;
mod unlock;

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use faros_model::{
    api::{
        ApplyProgress, ApplyRequest, ArmRequest, BalancerStatus, ConfirmRequest, Confirmed, ContentAdded,
        ContentVerified, Discovered, DrainRequest, Failure, GenerationInfo, LeaseInfo, NodeStatus,
        PlanRequest, PlanResponse, Status, TimeStatus, Window,
    },
    content::ContentEntry,
    event::Event,
    ids::{ContentName, Generation, HostName, SessionId},
    problem::Problems,
    timeline::{Diagnosis, SessionInfo, Timeline},
};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{Method, Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

pub use self::stream::{Lines, Pieces};

/// A body that a request sends.
pub type Body = BoxBody<Bytes, io::Error>;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon answers on the socket.
    #[error("no farosd answers on {}", socket.display())]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The site file has problems.
    #[error("the site file has problems")]
    Problems(Problems),
    /// The daemon refused or failed.
    #[error("{}", .0.message)]
    Refused(Failure),
    /// The daemon went away in the middle of an answer.
    #[error("farosd went away in the middle of its answer")]
    Broken(#[source] hyper::Error),
    /// The answer is not what this version understands.
    #[error("farosd's answer cannot be understood; is it of another version?")]
    Answer(#[source] serde_json::Error),
    /// A body to send could not be read.
    #[error("cannot send the request")]
    Send(#[source] hyper::Error),
}

/// A client. Cheap; it holds no connection.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// What events to follow.
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Only those after this number.
    pub after: Option<u64>,
    /// Whether to go on with those to come.
    pub follow: bool,
    /// Only those about this node.
    pub node: Option<HostName>,
    /// Only so many of the past.
    pub limit: Option<usize>,
}

impl Client {
    /// A client of the daemon on this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Where it asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// How the bastion is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// What applying a site file would do.
    pub async fn plan(&self, site_file: &str) -> Result<PlanResponse, ClientError> {
        self.plan_within(site_file, Window::Planned).await
    }

    /// What applying a site file with such a window would do.
    pub async fn plan_within(&self, site_file: &str, window: Window) -> Result<PlanResponse, ClientError> {
        let request = PlanRequest {
            site_file: site_file.to_owned(),
            window,
        };
        self.json(Method::POST, "/v1/plan", Some(&request)).await
    }

    /// Applies a site file.
    pub async fn apply(&self, request: &ApplyRequest) -> Result<Lines<ApplyProgress>, ClientError> {
        self.lines(Method::POST, "/v1/apply", body_of(request)?).await
    }

    /// Keeps the apply that waits for a confirmation, or takes it back.
    pub async fn confirm(&self, request: &ConfirmRequest) -> Result<Confirmed, ClientError> {
        self.json(Method::POST, "/v1/confirm", Some(request)).await
    }

    /// All accepted generations.
    pub async fn generations(&self) -> Result<Vec<GenerationInfo>, ClientError> {
        self.get("/v1/generations").await
    }

    /// One generation with its site file.
    pub async fn generation(&self, generation: Generation) -> Result<GenerationInfo, ClientError> {
        self.get(&format!("/v1/generations/{generation}")).await
    }

    /// Where each node is in its life.
    pub async fn nodes(&self) -> Result<Vec<NodeStatus>, ClientError> {
        self.get("/v1/nodes").await
    }

    /// Arms a node (or disarms it); whether that changed anything.
    pub async fn set_armed(&self, node: &HostName, armed: bool, by: &str) -> Result<bool, ClientError> {
        let path = format!("/v1/nodes/{node}/{}", if armed { "arm" } else { "disarm" });
        let request = ArmRequest { by: by.to_owned() };
        let changed: Changed = self.json(Method::POST, &path, Some(&request)).await?;
        Ok(changed.changed)
    }

    /// Boot sessions of a node, latest first.
    pub async fn sessions(&self, node: &HostName) -> Result<Vec<SessionInfo>, ClientError> {
        self.get(&format!("/v1/nodes/{node}/sessions")).await
    }

    /// The story of a boot session of a node; of its latest, if none is named.
    pub async fn timeline(
        &self,
        node: &HostName,
        session: Option<SessionId>,
    ) -> Result<Timeline, ClientError> {
        let query = session.map(|session| format!("?session={session}"));
        let query = query.unwrap_or_default();
        self.get(&format!("/v1/nodes/{node}/timeline{query}")).await
    }

    /// Why a node stands where it stands.
    pub async fn why(&self, node: &HostName) -> Result<Diagnosis, ClientError> {
        self.get(&format!("/v1/nodes/{node}/why")).await
    }

    /// Leased addresses.
    pub async fn leases(&self) -> Result<Vec<LeaseInfo>, ClientError> {
        self.get("/v1/leases").await
    }

    /// Machines that are not in the site file.
    pub async fn discovered(&self) -> Result<Vec<Discovered>, ClientError> {
        self.get("/v1/discovered").await
    }

    /// Events, past and to come.
    pub async fn events(&self, events: &Events) -> Result<Lines<Event>, ClientError> {
        let mut query = vec![format!("follow={}", events.follow)];
        query.extend(events.after.map(|after| format!("after={after}")));
        query.extend(events.node.as_ref().map(|node| format!("node={node}")));
        query.extend(events.limit.map(|limit| format!("limit={limit}")));
        self.lines(Method::GET, &format!("/v1/events?{}", query.join("&")), empty())
            .await
    }

    /// What the content store has.
    pub async fn contents(&self) -> Result<Vec<ContentEntry>, ClientError> {
        self.get("/v1/content").await
    }

    /// Adds content under a name.
    pub async fn add_content(&self, name: &ContentName, body: Body) -> Result<ContentAdded, ClientError> {
        let answer = self
            .send(Method::PUT, &format!("/v1/content/{name}"), body)
            .await?;
        read(answer).await
    }

    /// Reads all content and compares it with its digests.
    pub async fn verify_content(&self) -> Result<Lines<ContentVerified>, ClientError> {
        self.lines(Method::POST, "/v1/content-verify", empty()).await
    }

    /// How the clock stands.
    pub async fn time(&self) -> Result<TimeStatus, ClientError> {
        self.get("/v1/time").await
    }

    /// The virtual IPs, and who answers behind them.
    pub async fn balancer(&self) -> Result<BalancerStatus, ClientError> {
        self.get("/v1/balancer").await
    }

    /// Keeps new connections from a server behind the virtual IPs, or leads them to it again; whether that changed
    /// anything.
    pub async fn drain(&self, request: &DrainRequest) -> Result<bool, ClientError> {
        let changed: Changed = self
            .json(Method::POST, "/v1/balancer/drain", Some(request))
            .await?;
        Ok(changed.changed)
    }

    /// The OpenAPI document.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get("/openapi.json").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json::<(), T>(Method::GET, path, None).await
    }

    async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let body = body.map_or_else(|| Ok(empty()), body_of)?;
        read(self.send(method, path, body).await?).await
    }

    async fn lines<T>(&self, method: Method, path: &str, body: Body) -> Result<Lines<T>, ClientError> {
        self.send(method, path, body).await.map(Lines::of)
    }

    async fn send(&self, method: Method, path: &str, body: Body) -> Result<Incoming, ClientError> {
        let not_running = |source| ClientError::NotRunning {
            socket: self.socket.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(not_running)?;
        let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(ClientError::Send)?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "farosd")
            .header("content-type", "application/json")
            .body(body)
            .map_err(|error| not_running(io::Error::other(error)))?;
        let answer = sender.send_request(request).await.map_err(ClientError::Send)?;
        match answer.status() {
            status if status.is_success() => Ok(answer.into_body()),
            StatusCode::UNPROCESSABLE_ENTITY => Err(ClientError::Problems(read(answer.into_body()).await?)),
            status => {
                let bytes = answer
                    .into_body()
                    .collect()
                    .await
                    .map_err(ClientError::Broken)?
                    .to_bytes();
                Err(ClientError::Refused(
                    serde_json::from_slice(&bytes).unwrap_or_else(|_| Failure {
                        code: "failed".to_owned(),
                        message: format!(
                            "farosd answered {status}: {}",
                            String::from_utf8_lossy(&bytes).trim()
                        ),
                        hint: String::new(),
                    }),
                ))
            }
        }
    }
}

/// What an operation answers that may have had nothing to do.
#[derive(serde::Deserialize)]
struct Changed {
    changed: bool,
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, ClientError> {
    let bytes = body.collect().await.map_err(ClientError::Broken)?.to_bytes();
    serde_json::from_slice(&bytes).map_err(ClientError::Answer)
}

fn empty() -> Body {
    Full::default().map_err(|never| match never {}).boxed()
}

fn body_of<B: Serialize>(value: &B) -> Result<Body, ClientError> {
    let bytes = serde_json::to_vec(value).map_err(ClientError::Answer)?;
    Ok(Full::new(Bytes::from(bytes))
        .map_err(|never| match never {})
        .boxed())
}
