//! A typed client of `farosd`'s local API, over its unix socket.
//!
//! One connection for each request: the socket is local, and a command makes a handful. Streams are one JSON
//! object a line.

use std::{
    io,
    marker::PhantomData,
    path::{Path, PathBuf},
};

use bytes::{Bytes, BytesMut};
use faros_model::{
    api::{
        ApplyProgress, ApplyRequest, ArmRequest, BalancerStatus, CertificateInfo, ClusterStatus,
        ConfirmRequest, Confirmed, ContentAdded, ContentVerified, Credentials, CredentialsRequest,
        Discovered, DrainRequest, Failure, GenerationInfo, LeaseInfo, Lockdown, LockdownRequest, NodeStatus,
        NodeWorkRequest, PlanRequest, PlanResponse, RestoreRequest, SnapshotExportRequest, SnapshotInfo,
        SnapshotRequest, Status, TimeStatus, UnlockBackup, UnlockBackupRequest, UnlockKeyChanged,
        UnlockKeyRequest, UnlockRestoreRequest, UnlockRestored, UnlockStatus, Window, WorkProgress,
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

    /// How unlocking stands.
    pub async fn unlock(&self) -> Result<UnlockStatus, ClientError> {
        self.get("/v1/unlock").await
    }

    /// Makes new unlock keys.
    pub async fn rotate_unlock_keys(&self, by: &str) -> Result<UnlockKeyChanged, ClientError> {
        let request = UnlockKeyRequest {
            by: by.to_owned(),
            ..UnlockKeyRequest::default()
        };
        self.json(Method::POST, "/v1/unlock/rotate", Some(&request)).await
    }

    /// Destroys a rotated unlock key; with `force` even if nodes depend on it.
    pub async fn retire_unlock_key(
        &self,
        key: &str,
        force: bool,
        by: &str,
    ) -> Result<UnlockKeyChanged, ClientError> {
        let request = UnlockKeyRequest {
            by: by.to_owned(),
            key: Some(key.to_owned()),
            force,
        };
        self.json(Method::POST, "/v1/unlock/retire", Some(&request)).await
    }

    /// The unlock keys, encrypted for the holders of these age keys.
    pub async fn back_up_unlock_keys(&self, recipients: Vec<String>) -> Result<UnlockBackup, ClientError> {
        let request = UnlockBackupRequest { recipients };
        self.json(Method::POST, "/v1/unlock/backup", Some(&request)).await
    }

    /// Takes the unlock keys of a backup back into use; `identity` opens it.
    pub async fn restore_unlock_keys(
        &self,
        armored: String,
        identity: String,
        by: &str,
    ) -> Result<UnlockRestored, ClientError> {
        let by = by.to_owned();
        let request = UnlockRestoreRequest {
            by,
            armored,
            identity,
        };
        self.json(Method::POST, "/v1/unlock/restore", Some(&request))
            .await
    }

    /// Stops all unlocking.
    pub async fn lock_down(&self, by: &str, reason: &str) -> Result<Lockdown, ClientError> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let request = LockdownRequest { by, reason };
        self.json(Method::POST, "/v1/lockdown", Some(&request)).await
    }

    /// Allows unlocking again; whether it was stopped.
    pub async fn lift_lockdown(&self, by: &str) -> Result<bool, ClientError> {
        let request = LockdownRequest {
            by: by.to_owned(),
            ..LockdownRequest::default()
        };
        let changed: Changed = self
            .json(Method::POST, "/v1/lockdown/lift", Some(&request))
            .await?;
        Ok(changed.changed)
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

    /// Empties a node of the cluster, or opens it again.
    pub async fn drain_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "drain", request).await
    }

    /// Takes a node out of the cluster, and has the next machine installed in its place.
    pub async fn replace_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "replace", request).await
    }

    /// Takes a node out of the cluster for good.
    pub async fn remove_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "remove", request).await
    }

    async fn node_work(
        &self,
        node: &HostName,
        what: &str,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        let path = format!("/v1/nodes/{node}/{what}");
        self.lines(Method::POST, &path, body_of(request)?).await
    }

    /// Snapshots of etcd, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, ClientError> {
        self.get("/v1/cluster/snapshots").await
    }

    /// Takes a snapshot of etcd.
    pub async fn take_snapshot(&self, by: &str) -> Result<SnapshotInfo, ClientError> {
        let request = SnapshotRequest { by: by.to_owned() };
        self.json(Method::POST, "/v1/cluster/snapshots", Some(&request))
            .await
    }

    /// Has the cluster begin anew from a snapshot of its etcd.
    pub async fn restore_cluster(&self, request: &RestoreRequest) -> Result<(), ClientError> {
        let path = "/v1/cluster/restore";
        self.json::<_, Changed>(Method::POST, path, Some(request)).await?;
        Ok(())
    }

    /// When the cluster's certificates end, the first one first.
    pub async fn certificates(&self) -> Result<Vec<CertificateInfo>, ClientError> {
        self.get("/v1/cluster/certificates").await
    }

    /// A snapshot, encrypted for the holders of these age keys, in pieces.
    pub async fn export_snapshot(&self, name: &str, recipients: Vec<String>) -> Result<Pieces, ClientError> {
        let path = format!("/v1/cluster/snapshots/{name}/export");
        let body = body_of(&SnapshotExportRequest { recipients })?;
        self.send(Method::POST, &path, body).await.map(Pieces)
    }

    /// How the cluster is.
    pub async fn cluster(&self) -> Result<ClusterStatus, ClientError> {
        self.get("/v1/cluster").await
    }

    /// How the cluster is, now and whenever it is another.
    pub async fn follow_cluster(&self) -> Result<Lines<ClusterStatus>, ClientError> {
        self.lines(Method::GET, "/v1/cluster?follow=true", empty()).await
    }

    /// A certificate of the cluster for one person.
    pub async fn credentials(&self, request: &CredentialsRequest) -> Result<Credentials, ClientError> {
        self.json(Method::POST, "/v1/cluster/credentials", Some(request))
            .await
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
        let body = self.send(method, path, body).await?;
        Ok(Lines {
            body,
            buffer: BytesMut::new(),
            of: PhantomData,
        })
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

/// An answer of bytes, as they come.
#[derive(Debug)]
pub struct Pieces(Incoming);

impl Pieces {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// If the daemon breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match self.0.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// An answer of one JSON object a line, as they come.
#[derive(Debug)]
pub struct Lines<T> {
    body: Incoming,
    buffer: BytesMut,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// The next object; `None` at the end.
    ///
    /// # Errors
    /// If the daemon goes away, or says what cannot be understood.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(ClientError::Answer);
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::Broken(error)),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok().into_iter().flatten()),
            }
        }
    }
}
