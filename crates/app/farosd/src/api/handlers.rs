//! What each operation does.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use faros_model::{
    api::{
        ApplyProgress, ApplyRequest, ArmRequest, BalancerStatus, CertificateInfo, ClusterStatus,
        ConfirmRequest, Confirmed, ContentAdded, ContentVerified, Credentials, CredentialsRequest,
        Discovered, DrainRequest, Failure, GenerationInfo, LeaseInfo, Lockdown, LockdownRequest, NodeStatus,
        NodeWorkRequest, PlanRequest, PlanResponse, RestoreRequest, SnapshotExportRequest, SnapshotInfo,
        SnapshotRequest, Status, TimeStatus, UnlockBackup, UnlockBackupRequest, UnlockKeyChanged,
        UnlockKeyRequest, UnlockRestoreRequest, UnlockRestored, UnlockStatus, UpgradePauseRequest,
        UpgradeRequest, UpgradeStatus, WorkProgress,
    },
    content::ContentEntry,
    event::{Event, EventKind},
    ids::{ContentName, Generation, HostName},
    problem::Problems,
    timeline::{Diagnosis, SessionInfo, Timeline},
};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Route, balancer, cluster, events, keep,
    openapi::{DOCUMENT, Shape},
    story, unlock, upgrade,
};
use crate::{
    daemon::{Shared, lock},
    executor::{self, Apply, NotBegun, failure},
    router,
};

pub(super) type Shares = State<Arc<Shared>>;

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route { method: "get", path: "/v1/status", summary: "How the bastion is", takes: None, gives: Shape::of::<Status>(), media: JSON, handler: get(status) },
        Route { method: "post", path: "/v1/plan", summary: "What applying a site file would do", takes: Some(Shape::of::<PlanRequest>()), gives: Shape::of::<PlanResponse>(), media: JSON, handler: post(plan) },
        Route { method: "post", path: "/v1/apply", summary: "Apply a site file; progress, one object a line", takes: Some(Shape::of::<ApplyRequest>()), gives: Shape::of::<ApplyProgress>(), media: NDJSON, handler: post(apply) },
        Route { method: "post", path: "/v1/confirm", summary: "Keep an apply that waits for a confirmation, or take it back", takes: Some(Shape::of::<ConfirmRequest>()), gives: Shape::of::<Confirmed>(), media: JSON, handler: post(confirm) },
        Route { method: "get", path: "/v1/generations", summary: "Accepted generations, newest first", takes: None, gives: Shape::of::<Vec<GenerationInfo>>(), media: JSON, handler: get(generations) },
        Route { method: "get", path: "/v1/generations/{generation}", summary: "One generation with its site file", takes: None, gives: Shape::of::<GenerationInfo>(), media: JSON, handler: get(generation) },
        Route { method: "get", path: "/v1/nodes", summary: "Where each node is in its life", takes: None, gives: Shape::of::<Vec<NodeStatus>>(), media: JSON, handler: get(nodes) },
        Route { method: "post", path: "/v1/nodes/{name}/arm", summary: "Have a node's next network boot install it", takes: Some(Shape::of::<ArmRequest>()), gives: Shape::of::<Changed>(), media: JSON, handler: post(arm) },
        Route { method: "post", path: "/v1/nodes/{name}/disarm", summary: "Have a node boot its own disk", takes: Some(Shape::of::<ArmRequest>()), gives: Shape::of::<Changed>(), media: JSON, handler: post(disarm) },
        Route { method: "post", path: "/v1/nodes/{name}/drain", summary: "Empty a node of the cluster, or open it again; progress, one object a line", takes: Some(Shape::of::<NodeWorkRequest>()), gives: Shape::of::<WorkProgress>(), media: NDJSON, handler: post(keep::drain) },
        Route { method: "post", path: "/v1/nodes/{name}/replace", summary: "Take a node out of the cluster and have the next machine installed in its place; progress, one object a line", takes: Some(Shape::of::<NodeWorkRequest>()), gives: Shape::of::<WorkProgress>(), media: NDJSON, handler: post(keep::replace) },
        Route { method: "post", path: "/v1/nodes/{name}/remove", summary: "Take a node out of the cluster for good; progress, one object a line", takes: Some(Shape::of::<NodeWorkRequest>()), gives: Shape::of::<WorkProgress>(), media: NDJSON, handler: post(keep::remove) },
        Route { method: "get", path: "/v1/cluster/snapshots", summary: "Snapshots of etcd that the bastion has, oldest first", takes: None, gives: Shape::of::<Vec<SnapshotInfo>>(), media: JSON, handler: get(keep::snapshots) },
        Route { method: "post", path: "/v1/cluster/snapshots", summary: "Take a snapshot of etcd now", takes: Some(Shape::of::<SnapshotRequest>()), gives: Shape::of::<SnapshotInfo>(), media: JSON, handler: post(keep::snapshot) },
        Route { method: "post", path: "/v1/cluster/restore", summary: "Have the cluster begin anew from a snapshot of its etcd", takes: Some(Shape::of::<RestoreRequest>()), gives: Shape::of::<Changed>(), media: JSON, handler: post(keep::restore) },
        Route { method: "get", path: "/v1/cluster/certificates", summary: "When the cluster's certificates end, the first one first", takes: None, gives: Shape::of::<Vec<CertificateInfo>>(), media: JSON, handler: get(keep::certificates) },
        Route { method: "post", path: "/v1/cluster/snapshots/{name}/export", summary: "A snapshot of etcd, encrypted for the holders of age keys", takes: Some(Shape::of::<SnapshotExportRequest>()), gives: Shape::of::<String>(), media: "application/octet-stream", handler: post(keep::export) },
        Route { method: "get", path: "/v1/nodes/{name}/sessions", summary: "Boot sessions of a node, latest first", takes: None, gives: Shape::of::<Vec<SessionInfo>>(), media: JSON, handler: get(story::sessions) },
        Route { method: "get", path: "/v1/nodes/{name}/timeline", summary: "The story of a boot session; query: session, by default the latest", takes: None, gives: Shape::of::<Timeline>(), media: JSON, handler: get(story::timeline) },
        Route { method: "get", path: "/v1/nodes/{name}/why", summary: "Why a node stands where it stands: causes, most likely first", takes: None, gives: Shape::of::<Diagnosis>(), media: JSON, handler: get(story::why) },
        Route { method: "get", path: "/v1/leases", summary: "Leased addresses", takes: None, gives: Shape::of::<Vec<LeaseInfo>>(), media: JSON, handler: get(leases) },
        Route { method: "get", path: "/v1/discovered", summary: "Machines that are not in the site file", takes: None, gives: Shape::of::<Vec<Discovered>>(), media: JSON, handler: get(discovered) },
        Route { method: "get", path: "/v1/events", summary: "Events, one object a line; query: after, follow, node, session, limit", takes: None, gives: Shape::of::<Event>(), media: NDJSON, handler: get(events::events) },
        Route { method: "get", path: "/v1/content", summary: "What the content store has", takes: None, gives: Shape::of::<Vec<ContentEntry>>(), media: JSON, handler: get(contents) },
        Route { method: "put", path: "/v1/content/{*name}", summary: "Add content; the body is its bytes", takes: None, gives: Shape::of::<ContentAdded>(), media: JSON, handler: put(add_content).layer(axum::extract::DefaultBodyLimit::disable()) },
        Route { method: "post", path: "/v1/content-verify", summary: "Read all content and compare it with its digests; one object a line", takes: None, gives: Shape::of::<ContentVerified>(), media: NDJSON, handler: post(verify_content) },
        Route { method: "get", path: "/v1/time", summary: "How the clock stands, and its sources", takes: None, gives: Shape::of::<TimeStatus>(), media: JSON, handler: get(time) },
        Route { method: "get", path: "/v1/balancer", summary: "The virtual IPs, and who answers behind them", takes: None, gives: Shape::of::<BalancerStatus>(), media: JSON, handler: get(balancer::status) },
        Route { method: "post", path: "/v1/balancer/drain", summary: "Keep new connections from a server behind the virtual IPs, or lead them to it again", takes: Some(Shape::of::<DrainRequest>()), gives: Shape::of::<Changed>(), media: JSON, handler: post(balancer::drain) },
        Route { method: "get", path: "/v1/cluster", summary: "How the cluster is, and by which evidence; query: follow", takes: None, gives: Shape::of::<ClusterStatus>(), media: JSON, handler: get(cluster::status) },
        Route { method: "post", path: "/v1/cluster/credentials", summary: "A certificate of the cluster for one person, with a role and an end", takes: Some(Shape::of::<CredentialsRequest>()), gives: Shape::of::<Credentials>(), media: JSON, handler: post(cluster::credentials) },
        Route { method: "get", path: "/v1/cluster/upgrade", summary: "How an upgrade of the cluster stands, or what one would do; query: to", takes: None, gives: Shape::of::<UpgradeStatus>(), media: JSON, handler: get(upgrade::status) },
        Route { method: "post", path: "/v1/cluster/upgrade", summary: "Begin an upgrade of the cluster, or have the one go on that stands still", takes: Some(Shape::of::<UpgradeRequest>()), gives: Shape::of::<UpgradeStatus>(), media: JSON, handler: post(upgrade::begin) },
        Route { method: "post", path: "/v1/cluster/upgrade/pause", summary: "Let no further node be upgraded", takes: Some(Shape::of::<UpgradePauseRequest>()), gives: Shape::of::<Changed>(), media: JSON, handler: post(upgrade::pause) },
        Route { method: "get", path: "/v1/unlock", summary: "How unlocking stands: its keys, and which node depends on which", takes: None, gives: Shape::of::<UnlockStatus>(), media: JSON, handler: get(unlock::status) },
        Route { method: "post", path: "/v1/unlock/rotate", summary: "Make new unlock keys; the old ones still unlock", takes: Some(Shape::of::<UnlockKeyRequest>()), gives: Shape::of::<UnlockKeyChanged>(), media: JSON, handler: post(unlock::rotate) },
        Route { method: "post", path: "/v1/unlock/retire", summary: "Destroy a rotated unlock key on which no node depends", takes: Some(Shape::of::<UnlockKeyRequest>()), gives: Shape::of::<UnlockKeyChanged>(), media: JSON, handler: post(unlock::retire) },
        Route { method: "post", path: "/v1/unlock/backup", summary: "The unlock keys, encrypted for the holders of age keys", takes: Some(Shape::of::<UnlockBackupRequest>()), gives: Shape::of::<UnlockBackup>(), media: JSON, handler: post(unlock::backup) },
        Route { method: "post", path: "/v1/unlock/restore", summary: "Take the unlock keys of a backup back into use; they are not advertised", takes: Some(Shape::of::<UnlockRestoreRequest>()), gives: Shape::of::<UnlockRestored>(), media: JSON, handler: post(unlock::restore) },
        Route { method: "post", path: "/v1/lockdown", summary: "Stop all unlocking", takes: Some(Shape::of::<LockdownRequest>()), gives: Shape::of::<Lockdown>(), media: JSON, handler: post(unlock::lock_down) },
        Route { method: "post", path: "/v1/lockdown/lift", summary: "Allow unlocking again", takes: Some(Shape::of::<LockdownRequest>()), gives: Shape::of::<unlock::Lifted>(), media: JSON, handler: post(unlock::lift) },
        Route { method: "get", path: "/openapi.json", summary: "This document", takes: None, gives: Shape::of::<serde_json::Value>(), media: JSON, handler: get(openapi) },
    ]
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, JSON)], DOCUMENT).into_response()
}

/// The JSON body of a request. What cannot be read is refused in the API's own words.
pub(super) struct Asked<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Shared>> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let bad = |why: String| Refusal::of(failure("bad-request", why, "GET /openapi.json shows what is"));
        let body = Bytes::from_request(request, shared)
            .await
            .map_err(|error| bad(error.body_text()))?;
        let value = serde_json::from_slice(&body);
        value
            .map(Self)
            .map_err(|error| bad(format!("the request's body is not understood: {error}")))
    }
}

/// What arming and disarming answer.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Changed {
    /// Whether it was not so before.
    pub(super) changed: bool,
}

/// An answer that is not what was asked for.
pub(crate) struct Refusal(StatusCode, Failure);

impl Refusal {
    pub(super) fn of(failure: Failure) -> Self {
        let status = match failure.code.as_str() {
            "not-found" => StatusCode::NOT_FOUND,
            "conflict" | "busy" => StatusCode::CONFLICT,
            "bad-request" => StatusCode::BAD_REQUEST,
            "refused" => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, failure)
    }

    fn failed(what: &str, error: &dyn std::error::Error, hint: Option<&'static str>) -> Self {
        let mut message = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            message = format!("{message}: {error}");
            source = error.source();
        }
        Self::of(failure("failed", message, hint.unwrap_or_default()))
    }
}

impl From<faros_store::StoreError> for Refusal {
    fn from(error: faros_store::StoreError) -> Self {
        Self::failed("the bastion's database", &error, error.hint())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

fn refused_file(problems: Problems) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(problems)).into_response()
}

pub(crate) async fn nothing_here() -> Refusal {
    Refusal::of(failure(
        "not-found",
        "the API has no such path",
        "GET /openapi.json lists all",
    ))
}

async fn status(State(shared): Shares) -> Json<Status> {
    Json(shared.status())
}

async fn plan(State(shared): Shares, Asked(request): Asked<PlanRequest>) -> Response {
    match executor::plan(&shared, &request.site_file, request.window) {
        Ok((plan, loaded)) => Json(PlanResponse {
            notes: router::notes(&shared, &loaded.site),
            missing: executor::missing(&shared, &plan, &loaded.site).await,
            plan,
            warnings: loaded.warnings,
        })
        .into_response(),
        Err(problems) => refused_file(problems),
    }
}

async fn apply(State(shared): Shares, Asked(request): Asked<ApplyRequest>) -> Response {
    match Apply::prepare(shared, request).await {
        Err(NotBegun::Problems(problems)) => refused_file(problems),
        Err(NotBegun::Failure(failure)) => Refusal::of(failure).into_response(),
        Ok(apply) => {
            let (progress, lines) = mpsc::unbounded_channel();
            tokio::spawn(apply.run(progress));
            ndjson(stream::unfold(lines, |mut lines| async {
                Some((lines.recv().await?, lines))
            }))
        }
    }
}

async fn confirm(
    State(shared): Shares,
    Asked(request): Asked<ConfirmRequest>,
) -> Result<Json<Confirmed>, Refusal> {
    let confirmed = executor::decide(&shared, request).await;
    confirmed.map(Json).map_err(Refusal::of)
}

/// An answer of one JSON object a line, as they come.
pub(super) fn ndjson<T: Serialize + Send + 'static>(
    lines: impl stream::Stream<Item = T> + Send + 'static,
) -> Response {
    let lines = lines.map(|line| {
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(text))
    });
    ([(header::CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response()
}

async fn generations(State(shared): Shares) -> Result<Json<Vec<GenerationInfo>>, Refusal> {
    Ok(Json(shared.store.generations()?))
}

async fn generation(
    State(shared): Shares,
    Path(number): Path<String>,
) -> Result<Json<GenerationInfo>, Refusal> {
    let bad = || {
        failure(
            "bad-request",
            format!("`{number}` is no number of a generation"),
            "",
        )
    };
    let generation = Generation(number.parse().map_err(|_| Refusal::of(bad()))?);
    let row = shared.store.generation(generation)?;
    row.map(Json)
        .ok_or_else(|| Refusal::of(executor::unknown(generation)))
}

async fn nodes(State(shared): Shares) -> Json<Vec<NodeStatus>> {
    let Some(intent) = shared.intent() else {
        return Json(vec![]);
    };
    let nodes = lock(&shared.tracker).nodes(&intent.site, |name| shared.is_armed(name));
    Json(nodes)
}

async fn arm(state: Shares, name: Path<String>, body: Asked<ArmRequest>) -> Result<Json<Changed>, Refusal> {
    set_armed(state, name, body, true).await
}

async fn disarm(
    state: Shares,
    name: Path<String>,
    body: Asked<ArmRequest>,
) -> Result<Json<Changed>, Refusal> {
    set_armed(state, name, body, false).await
}

async fn set_armed(
    State(shared): Shares,
    Path(name): Path<String>,
    Asked(request): Asked<ArmRequest>,
    armed: bool,
) -> Result<Json<Changed>, Refusal> {
    let intent = shared.intent();
    let unknown = || story::no_such_node(intent.as_ref().map(|intent| &intent.site), &name);
    let node: HostName = name.parse().map_err(|_| unknown())?;
    let intent = intent.as_ref().ok_or_else(unknown)?;
    let known = intent.site.nodes.get(&node).ok_or_else(unknown)?;
    let (store, by) = (&shared.store, request.by.clone());
    let changed = if armed {
        let armed = store.arm(node.clone(), by, Timestamp::now()).await?;
        // The operator says which machine it is: the next one that boots.
        let reopened = lock(&shared.tracker).expect_any_machine(&node);
        armed || reopened
    } else {
        store.disarm(node.clone(), by, Timestamp::now()).await?
    };
    shared.reload_armed()?;
    let kind = if armed {
        EventKind::NodeArmed
    } else {
        EventKind::NodeDisarmed
    };
    if changed {
        let detail = json!({ "by": request.by, "reason": "asked for" });
        shared.tell_of(known, kind, detail);
    }
    Ok(Json(Changed { changed }))
}

async fn time(State(shared): Shares) -> Result<Json<TimeStatus>, Refusal> {
    let status = shared.time.borrow().clone();
    status.map(Json).ok_or_else(|| {
        let message = "the time service does not run".to_owned();
        Refusal::of(failure("conflict", message, "`farosctl status` says why"))
    })
}

async fn leases(State(shared): Shares) -> Json<Vec<LeaseInfo>> {
    let leases = lock(&shared.leases).clone();
    Json(match leases {
        Some(leases) => leases.all().await,
        None => vec![],
    })
}

async fn discovered(State(shared): Shares) -> Json<Vec<Discovered>> {
    Json(lock(&shared.tracker).discovered())
}

async fn contents(State(shared): Shares) -> Result<Json<Vec<ContentEntry>>, Refusal> {
    Ok(Json(shared.store.contents()?))
}

async fn add_content(
    State(shared): Shares,
    Path(name): Path<String>,
    body: Body,
) -> Result<Json<ContentAdded>, Refusal> {
    let bad = |why: &str| Refusal::of(failure("bad-request", format!("`{name}` {why}"), ""));
    let content: ContentName = name.parse().map_err(bad)?;
    // Writing and hashing block, so they have a thread of their own, fed by a short queue.
    let (feed, mut pieces_in) = mpsc::channel::<Bytes>(8);
    let store = shared.store.clone();
    let importing = tokio::task::spawn_blocking(move || {
        let mut import = store.import(content)?;
        while let Some(bytes) = pieces_in.blocking_recv() {
            // An empty piece is the mark of a whole body; without it the sender broke off.
            if bytes.is_empty() {
                return import.finish(Timestamp::now()).map(Some);
            }
            import.write(&bytes)?;
        }
        Ok(None)
    });
    let mut pieces = body.into_data_stream();
    let mut whole = true;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) if piece.is_empty() => (),
            Ok(piece) => {
                // The import failed: its own error is the answer.
                if feed.send(piece).await.is_err() {
                    break;
                }
            }
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    if whole {
        let _ = feed.send(Bytes::new()).await;
    }
    drop(feed);
    let added = match importing.await {
        Ok(Ok(Some(added))) => added,
        Ok(Ok(None)) => {
            return Err(Refusal::of(failure(
                "bad-request",
                "the upload broke off",
                "send it again",
            )));
        }
        Ok(Err(error)) => return Err(Refusal::failed("cannot add the content", &error, error.hint())),
        Err(error) => return Err(Refusal::failed("cannot add the content", &error, None)),
    };
    if !added.unchanged {
        let entry = &added.entry;
        let detail = json!({ "name": entry.name, "digest": entry.digest, "size": entry.size });
        shared.tell(EventKind::ContentAdded, detail);
    }
    Ok(Json(added))
}

async fn verify_content(State(shared): Shares) -> Response {
    let (tell, told) = mpsc::unbounded_channel::<ContentVerified>();
    tokio::spawn(async move {
        let mut seen: BTreeSet<ContentName> = BTreeSet::new();
        let progress = move |row: &ContentVerified| {
            if seen.insert(row.name.clone()) {
                // The client may have gone.
                let _ = tell.send(row.clone());
            }
        };
        if let Err(error) = shared.store.verify_contents(progress).await {
            tracing::error!(%error, "cannot verify the content");
        }
    });
    ndjson(stream::unfold(told, |mut told| async {
        Some((told.recv().await?, told))
    }))
}
