//! Boot sessions, their timelines, and why a node stands where it stands.
//!
//! `faros-why` decides all of it. Here is only gathered what it wants to know: from the history, from the
//! tracker, from the services. Reading the history blocks, so it has a thread of its own.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State, rejection::QueryRejection},
};
use faros_model::{
    api::NodeStatus,
    event::{Event, EventKind},
    ids::{HostName, SessionId},
    site::Site,
    timeline::{Diagnosis, SessionInfo, Timeline},
};
use faros_store::{EventQuery, StoreError};
use faros_why::{ImageState, Known, Recorded};
use jiff::Timestamp;
use serde::Deserialize;

use super::handlers::{Refusal, Shares};
use crate::{
    daemon::{Intent, Shared, lock},
    executor::failure,
};

/// Most events of one node that are read to list its boot sessions.
const SESSIONS: usize = 50_000;

/// Most events of one boot session.
const SESSION: usize = 20_000;

/// So many of the latest of a node, and of the site, are held against the causes.
const LATEST: usize = 2_000;

/// Most events that are read at a time.
const PAGE: usize = 1_000;

/// That there is no such node, and which one may be meant.
pub(super) fn no_such_node(site: Option<&Site>, name: &str) -> Refusal {
    let distance = |node: &&HostName| strsim::damerau_levenshtein(node.as_str(), name);
    let nodes = site.into_iter().flat_map(|site| site.nodes.keys());
    let close = nodes.min_by_key(distance).filter(|node| distance(node) <= 2);
    let hint = match close {
        Some(node) => format!("did you mean `{node}`?"),
        None => "`farosctl nodes` lists them".to_owned(),
    };
    Refusal::of(failure("not-found", format!("there is no node {name}"), &hint))
}

/// A node by its name, and the intent that has it.
fn known(shared: &Shared, name: &str) -> Result<(Arc<Intent>, HostName), Refusal> {
    let intent = shared.intent();
    let site = intent.as_ref().map(|intent| &intent.site);
    let node = name
        .parse::<HostName>()
        .ok()
        .filter(|node| site.is_some_and(|site| site.nodes.contains_key(node)));
    match (node, intent.clone()) {
        (Some(node), Some(intent)) => Ok((intent, node)),
        _ => Err(no_such_node(site, name)),
    }
}

/// Runs what blocks where it may.
async fn reading<T: Send + 'static>(
    shared: &Arc<Shared>,
    read: impl FnOnce(&Shared) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    // What is under way belongs to the past of whoever asks now.
    shared.settle().await?;
    let own = Arc::clone(shared);
    let read = tokio::task::spawn_blocking(move || read(&own)).await;
    read.unwrap_or_else(|error| {
        let what = format!("the history cannot be read: {error}");
        Err(Refusal::of(failure("failed", what, "")))
    })
}

pub(super) async fn sessions(
    State(shared): Shares,
    Path(name): Path<String>,
) -> Result<Json<Vec<SessionInfo>>, Refusal> {
    let (_, node) = known(&shared, &name)?;
    reading(&shared, move |shared| {
        let events = shared.store.events(&EventQuery {
            node: Some(node.clone()),
            limit: SESSIONS,
            ..EventQuery::default()
        })?;
        Ok(Json(faros_why::sessions(&node, &events)))
    })
    .await
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    session: Option<SessionId>,
}

pub(super) async fn timeline(
    State(shared): Shares,
    Path(name): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Timeline>, Refusal> {
    let Query(asked) = asked.map_err(|error| Refusal::of(failure("bad-request", error.body_text(), "")))?;
    let (intent, node) = known(&shared, &name)?;
    let latest = status(&shared, &intent.site, &node).and_then(|status| status.session);
    reading(&shared, move |shared| {
        let unseen = || {
            let what = match asked.session {
                Some(session) => format!("nothing is recorded of {session} of {node}"),
                None => format!("{node} has not booted yet, as far as is recorded"),
            };
            let hint = match asked.session {
                Some(_) => format!("`farosctl timeline {node} --sessions` lists those that there are"),
                None => format!("`farosctl why {node}` says what it waits for"),
            };
            Refusal::of(failure("not-found", what, &hint))
        };
        let session = asked.session.or(latest).ok_or_else(unseen)?;
        let goes_on = latest == Some(session);
        let events = recorded(shared, &node, session, goes_on)?;
        let told = faros_why::timeline(&Recorded {
            node: &node,
            session,
            events: &events,
            now: goes_on.then(Timestamp::now),
        });
        told.map(Json).ok_or_else(unseen)
    })
    .await
}

/// The events of a boot session, those about the site in its time, and whatever shows until when the daemon
/// was there to see.
fn recorded(
    shared: &Shared,
    node: &HostName,
    session: SessionId,
    goes_on: bool,
) -> Result<Vec<Event>, StoreError> {
    let own = shared.store.events(&EventQuery {
        after: Some(0),
        node: Some(node.clone()),
        session: Some(session),
        kind: None,
        limit: SESSION,
    })?;
    let (Some(first), Some(last)) = (own.first(), own.last()) else {
        return Ok(vec![]);
    };
    let mut after = first.seq - 1;
    // A session that goes on may be silent for long while the site is not.
    let more = if goes_on { SESSION as u64 } else { 0 };
    let until = last.seq.saturating_add(more);
    let mut events: Vec<Event> = Vec::new();
    let mut foreign: Option<Event> = None;
    loop {
        let page = shared.store.events(&EventQuery {
            after: Some(after),
            limit: PAGE,
            ..EventQuery::default()
        })?;
        let Some(newest) = page.last().map(|event| event.seq) else {
            return Ok(events);
        };
        for event in page {
            let is_own = event.node.as_ref() == Some(node) && event.session == Some(session);
            if is_own || event.node.is_none() {
                let newest = events.last().map_or(0, |event| event.seq);
                if event.kind == EventKind::DaemonStarted {
                    events.extend(foreign.take().filter(|foreign| foreign.seq > newest));
                }
                events.push(event);
            } else {
                foreign = Some(event);
            }
        }
        if newest >= until || events.len() >= SESSION {
            return Ok(events);
        }
        after = newest;
    }
}

fn status(shared: &Shared, site: &Site, node: &HostName) -> Option<NodeStatus> {
    let nodes = lock(&shared.tracker).nodes(site, |name| shared.is_armed(name));
    nodes.into_iter().find(|status| status.name == *node)
}

pub(super) async fn why(State(shared): Shares, Path(name): Path<String>) -> Result<Json<Diagnosis>, Refusal> {
    let (intent, node) = known(&shared, &name)?;
    let image = match intent.site.nodes.get(&node) {
        Some(node) => match shared.store.image(&node.image).await {
            Ok(Some(image)) => ImageState::Present(image.architecture),
            Ok(None) => ImageState::Missing,
            Err(_) => ImageState::Unknown,
        },
        None => ImageState::Unknown,
    };
    reading(&shared, move |shared| {
        let site = &intent.site;
        let gone = || no_such_node(Some(site), node.as_str());
        let status = status(shared, site, &node).ok_or_else(gone)?;
        let events = evidence(shared, &node, status.session)?;
        let now = Timestamp::now();
        let causes = faros_why::why(&Known {
            now,
            site,
            node: site.nodes.get(&node).ok_or_else(gone)?,
            status: &status,
            events: &events,
            services: &shared.status().services,
            image,
            lockdown: shared.unlock.lockdown().is_some(),
            discovered: &lock(&shared.tracker).discovered(),
        });
        Ok(Json(Diagnosis {
            node,
            at: now,
            phase: status.phase,
            since: status.since,
            armed: status.armed,
            session: status.session,
            causes,
        }))
    })
    .await
}

/// What was recorded: all of the present session, and the latest of the node and of everybody.
fn evidence(shared: &Shared, node: &HostName, session: Option<SessionId>) -> Result<Vec<Event>, StoreError> {
    let of_session = EventQuery {
        after: Some(0),
        node: Some(node.clone()),
        session,
        kind: None,
        limit: SESSION,
    };
    let of_node = EventQuery {
        node: Some(node.clone()),
        limit: LATEST,
        ..EventQuery::default()
    };
    let of_all = EventQuery {
        limit: LATEST,
        ..EventQuery::default()
    };
    let mut events = BTreeMap::new();
    let queries = session.map(|_| of_session).into_iter().chain([of_node, of_all]);
    for query in queries {
        let found = shared.store.events(&query)?;
        events.extend(found.into_iter().map(|event| (event.seq, event)));
    }
    Ok(events.into_values().collect())
}
