//! What each operation does.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use bytes::Bytes;
use faros_model::{
    api::{
        ApplyProgress, ApplyRequest, ArmRequest, ContentAdded, ContentVerified, Discovered, Failure,
        GenerationInfo, LeaseInfo, NodeStatus, PlanRequest, PlanResponse, Status,
    },
    content::ContentEntry,
    event::{Event, EventKind},
    ids::{ContentName, Generation, HostName, SessionId},
    problem::Problems,
};
use faros_store::EventQuery;
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{broadcast, mpsc};

use super::{Route, openapi};
use crate::{
    daemon::{Shared, lock},
    executor::{self, Apply, NotBegun, failure},
};

type Shares = State<Arc<Shared>>;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";

#[rustfmt::skip]
pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route { method: "get", path: "/v1/status", summary: "How the bastion is", takes: None, gives: of::<Status>, media: JSON, handler: get(status) },
        Route { method: "post", path: "/v1/plan", summary: "What applying a site file would do", takes: Some(of::<PlanRequest>), gives: of::<PlanResponse>, media: JSON, handler: post(plan) },
        Route { method: "post", path: "/v1/apply", summary: "Apply a site file; progress, one object a line", takes: Some(of::<ApplyRequest>), gives: of::<ApplyProgress>, media: NDJSON, handler: post(apply) },
        Route { method: "get", path: "/v1/generations", summary: "Accepted generations, newest first", takes: None, gives: of::<Vec<GenerationInfo>>, media: JSON, handler: get(generations) },
        Route { method: "get", path: "/v1/generations/{generation}", summary: "One generation with its site file", takes: None, gives: of::<GenerationInfo>, media: JSON, handler: get(generation) },
        Route { method: "get", path: "/v1/nodes", summary: "Where each node is in its life", takes: None, gives: of::<Vec<NodeStatus>>, media: JSON, handler: get(nodes) },
        Route { method: "post", path: "/v1/nodes/{name}/arm", summary: "Have a node's next network boot install it", takes: Some(of::<ArmRequest>), gives: of::<Changed>, media: JSON, handler: post(arm) },
        Route { method: "post", path: "/v1/nodes/{name}/disarm", summary: "Have a node boot its own disk", takes: Some(of::<ArmRequest>), gives: of::<Changed>, media: JSON, handler: post(disarm) },
        Route { method: "get", path: "/v1/leases", summary: "Leased addresses", takes: None, gives: of::<Vec<LeaseInfo>>, media: JSON, handler: get(leases) },
        Route { method: "get", path: "/v1/discovered", summary: "Machines that are not in the site file", takes: None, gives: of::<Vec<Discovered>>, media: JSON, handler: get(discovered) },
        Route { method: "get", path: "/v1/events", summary: "Events, one object a line; query: after, follow, node, session, limit", takes: None, gives: of::<Event>, media: NDJSON, handler: get(events) },
        Route { method: "get", path: "/v1/content", summary: "What the content store has", takes: None, gives: of::<Vec<ContentEntry>>, media: JSON, handler: get(contents) },
        Route { method: "put", path: "/v1/content/{*name}", summary: "Add content; the body is its bytes", takes: None, gives: of::<ContentAdded>, media: JSON, handler: put(add_content).layer(axum::extract::DefaultBodyLimit::disable()) },
        Route { method: "post", path: "/v1/content-verify", summary: "Read all content and compare it with its digests; one object a line", takes: None, gives: of::<ContentVerified>, media: NDJSON, handler: post(verify_content) },
        Route { method: "get", path: "/openapi.json", summary: "This document", takes: None, gives: of::<serde_json::Value>, media: JSON, handler: get(|| async { Json(openapi::document()) }) },
    ]
}

/// What arming and disarming answer.
#[derive(Debug, Serialize, JsonSchema)]
struct Changed {
    /// Whether it was not so before.
    changed: bool,
}

/// An answer that is not what was asked for.
pub(crate) struct Refusal(StatusCode, Failure);

impl Refusal {
    fn of(failure: Failure) -> Self {
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

async fn plan(State(shared): Shares, Json(request): Json<PlanRequest>) -> Response {
    match executor::plan(&shared, &request.site_file) {
        Ok((plan, loaded)) => Json(PlanResponse {
            plan,
            warnings: loaded.warnings,
        })
        .into_response(),
        Err(problems) => refused_file(problems),
    }
}

async fn apply(State(shared): Shares, Json(request): Json<ApplyRequest>) -> Response {
    match Apply::prepare(shared, request) {
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

/// An answer of one JSON object a line, as they come.
fn ndjson<T: Serialize + Send + 'static>(lines: impl stream::Stream<Item = T> + Send + 'static) -> Response {
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

async fn generation(State(shared): Shares, Path(number): Path<u64>) -> Result<Json<GenerationInfo>, Refusal> {
    let generation = Generation(number);
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

async fn arm(state: Shares, name: Path<String>, body: Json<ArmRequest>) -> Result<Json<Changed>, Refusal> {
    set_armed(state, name, body, true).await
}

async fn disarm(state: Shares, name: Path<String>, body: Json<ArmRequest>) -> Result<Json<Changed>, Refusal> {
    set_armed(state, name, body, false).await
}

async fn set_armed(
    State(shared): Shares,
    Path(name): Path<String>,
    Json(request): Json<ArmRequest>,
    armed: bool,
) -> Result<Json<Changed>, Refusal> {
    let unknown = || {
        Refusal::of(failure(
            "not-found",
            format!("there is no node {name}"),
            "`farosctl nodes` lists them",
        ))
    };
    let node: HostName = name.parse().map_err(|_| unknown())?;
    let intent = shared.intent().ok_or_else(unknown)?;
    let known = intent.site.nodes.get(&node).ok_or_else(unknown)?;
    let (store, by) = (&shared.store, request.by.clone());
    let changed = if armed {
        store.arm(node.clone(), by, Timestamp::now()).await?
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
        let said = [("by", request.by.as_str()), ("reason", "asked for")];
        let detail = said.map(|(key, value)| (key.to_owned(), value.into()));
        shared.tell_of(known, kind, detail.into_iter().collect());
    }
    Ok(Json(Changed { changed }))
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

#[derive(Debug, Deserialize)]
struct EventsQuery {
    after: Option<u64>,
    #[serde(default)]
    follow: bool,
    node: Option<HostName>,
    session: Option<SessionId>,
    limit: Option<usize>,
}

impl EventsQuery {
    fn wants(&self, event: &Event) -> bool {
        self.node
            .as_ref()
            .is_none_or(|node| event.node.as_ref() == Some(node))
            && self.session.is_none_or(|session| event.session == Some(session))
    }
}

/// A follower that falls behind reads what it missed from the disk, so nothing is left out.
async fn events(State(shared): Shares, Query(query): Query<EventsQuery>) -> Result<Response, Refusal> {
    let live = shared.events.subscribe();
    let limit = query
        .limit
        .unwrap_or(if query.after.is_some() { 10_000 } else { 100 })
        .min(100_000);
    let want = EventQuery {
        after: query.after,
        node: query.node.clone(),
        session: query.session,
        limit,
    };
    let past = match (query.after, query.limit, query.follow) {
        // Following from now on.
        (None, None, true) => vec![],
        _ => {
            shared.store.flush().await?;
            shared.store.events(&want)?
        }
    };
    let newest = past.last().map(|event| event.seq).or(query.after).unwrap_or(0);
    let past = stream::iter(past);
    if !query.follow {
        return Ok(ndjson(past));
    }
    let follow = Follow {
        shared,
        live,
        query,
        newest,
        missed: vec![].into_iter(),
    };
    Ok(ndjson(past.chain(stream::unfold(follow, |mut follow| async {
        Some((follow.next().await?, follow))
    }))))
}

struct Follow {
    shared: Arc<Shared>,
    live: broadcast::Receiver<Event>,
    query: EventsQuery,
    newest: u64,
    missed: std::vec::IntoIter<Event>,
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.missed.next() {
                self.newest = event.seq;
                return Some(event);
            }
            let received = tokio::select! {
                received = self.live.recv() => received,
                () = self.shared.stop.cancelled() => return None,
            };
            match received {
                Ok(event) if event.seq <= self.newest || !self.query.wants(&event) => (),
                Ok(event) => {
                    self.newest = event.seq;
                    return Some(event);
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let (node, session) = (self.query.node.clone(), self.query.session);
                    let want = EventQuery {
                        after: Some(self.newest),
                        node,
                        session,
                        limit: 10_000,
                    };
                    self.shared.store.flush().await.ok()?;
                    self.missed = self.shared.store.events(&want).ok()?.into_iter();
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
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
