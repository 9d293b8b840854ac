//! Snapshots of the cluster's etcd, and work on its nodes.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::header,
    response::{IntoResponse as _, Response},
};
use faros_cluster::snapshots::Name;
use faros_model::{
    api::{
        CertificateInfo, NodeWorkRequest, RestoreRequest, SnapshotExportRequest, SnapshotInfo,
        SnapshotRequest,
    },
    ids::HostName,
};
use faros_seal::Recipient;
use futures_util::stream;
use tokio::sync::mpsc;

use super::{
    handlers::{Asked, Changed, Refusal, Shares, ndjson},
    story,
};
use crate::{
    cluster::nodes::{Leave, Telling},
    daemon::{Intent, Shared},
    executor::failure,
};

fn failed(error: &anyhow::Error) -> Refusal {
    Refusal::of(failure(
        "failed",
        format!("{error:#}"),
        "`farosctl why` may know more",
    ))
}

pub(super) async fn snapshots(State(shared): Shares) -> Result<Json<Vec<SnapshotInfo>>, Refusal> {
    shared.snapshots().await.map(Json).map_err(|error| failed(&error))
}

pub(super) async fn snapshot(
    State(shared): Shares,
    Asked(request): Asked<SnapshotRequest>,
) -> Result<Json<SnapshotInfo>, Refusal> {
    let intent = intent(&shared)?;
    // To its end, even if who asked for it goes away.
    let taken = tokio::spawn(async move { shared.take_snapshot(&intent.site, &request.by).await }).await;
    let taken = taken.unwrap_or_else(|error| Err(error.into()));
    taken.map(Json).map_err(|error| failed(&error))
}

pub(super) async fn export(
    State(shared): Shares,
    Path(name): Path<String>,
    Asked(request): Asked<SnapshotExportRequest>,
) -> Result<Response, Refusal> {
    let bad = |message: String, hint: &str| Refusal::of(failure("bad-request", message, hint));
    let name: Name = name.parse().map_err(|why| bad(format!("`{name}` {why}"), ""))?;
    if request.recipients.is_empty() {
        return Err(bad(
            "a copy needs at least one recipient".to_owned(),
            "give --recipient age1…",
        ));
    }
    let mut recipients = Vec::new();
    for text in &request.recipients {
        let recipient: Result<Recipient, _> = text.parse();
        recipients.push(recipient.map_err(|error| bad(format!("`{text}`: {error}"), error.hint()))?);
    }
    let all = shared.snapshots().await.map_err(|error| failed(&error))?;
    if !all.iter().any(|own| own.name == name.to_string()) {
        let message = format!("there is no snapshot {name}");
        let hint = "`farosctl cluster snapshot list` has all";
        return Err(Refusal::of(failure("not-found", message, hint)));
    }
    let pieces = shared.export_snapshot(name, recipients).await;
    let pieces = pieces.map_err(|error| failed(&error))?;
    let body = stream::unfold(pieces, |mut pieces| async {
        Some((pieces.recv().await?, pieces))
    });
    let media = [(header::CONTENT_TYPE, "application/octet-stream")];
    Ok((media, Body::from_stream(body)).into_response())
}

pub(super) async fn restore(
    State(shared): Shares,
    Asked(request): Asked<RestoreRequest>,
) -> Result<Json<Changed>, Refusal> {
    let intent = intent(&shared)?;
    let restored = tokio::spawn(async move { shared.restore_cluster(&intent.site, &request).await }).await;
    let restored = restored.unwrap_or_else(|error| Err(failure("failed", error.to_string(), "")));
    restored.map_err(Refusal::of)?;
    Ok(Json(Changed { changed: true }))
}

pub(super) async fn certificates(State(shared): Shares) -> Json<Vec<CertificateInfo>> {
    Json(shared.certificates())
}

pub(super) async fn drain(
    state: Shares,
    name: Path<String>,
    request: Asked<NodeWorkRequest>,
) -> Result<Response, Refusal> {
    work(state, &name, request, None)
}

pub(super) async fn replace(
    state: Shares,
    name: Path<String>,
    request: Asked<NodeWorkRequest>,
) -> Result<Response, Refusal> {
    work(state, &name, request, Some(Leave::Replaced))
}

pub(super) async fn remove(
    state: Shares,
    name: Path<String>,
    request: Asked<NodeWorkRequest>,
) -> Result<Response, Refusal> {
    work(state, &name, request, Some(Leave::Removed))
}

fn intent(shared: &Arc<Shared>) -> Result<Arc<Intent>, Refusal> {
    let no_site = || failure("conflict", "there is no site yet", "`farosctl apply` brings one");
    shared.intent().ok_or_else(|| Refusal::of(no_site()))
}

fn work(
    State(shared): Shares,
    name: &str,
    Asked(request): Asked<NodeWorkRequest>,
    leave: Option<Leave>,
) -> Result<Response, Refusal> {
    let intent = intent(&shared)?;
    let node = name.parse::<HostName>().ok();
    let node = node.and_then(|node| intent.site.nodes.get(&node)).cloned();
    let node = node.ok_or_else(|| story::no_such_node(Some(&intent.site), name))?;
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let tell = Telling::new(tell);
        let ended = match leave {
            None => shared.drain_node(&intent, &node, &request, &tell).await,
            Some(leave) => shared.leave(&intent, &node, leave, &request, &tell).await,
        };
        tell.end(ended);
    });
    Ok(ndjson(stream::unfold(told, |mut told| async {
        Some((told.recv().await?, told))
    })))
}
