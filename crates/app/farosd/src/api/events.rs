//! Events past and to come, one object a line.
//!
//! A stream reads the history by pages and goes over to what is live only when it has read all there is. One that
//! falls behind goes back to the history, so nothing is left out, and no client can make the daemon hold more
//! than a page for it.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use faros_model::{
    event::Event,
    ids::{HostName, SessionId},
};
use faros_store::{EventQuery, StoreError};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast;

use super::handlers::{Refusal, Shares, ndjson};
use crate::{daemon::Shared, executor::failure};

/// Most events that are read at a time.
const PAGE: usize = 1000;

/// So many of the newest are told when nobody says where to begin.
const NEWEST: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    after: Option<u64>,
    #[serde(default)]
    follow: bool,
    node: Option<HostName>,
    session: Option<SessionId>,
    limit: Option<usize>,
}

impl Asked {
    fn wants(&self, event: &Event) -> bool {
        let of = |node: &HostName| event.node.as_ref() == Some(node);
        self.node.as_ref().is_none_or(of) && self.session.is_none_or(|session| event.session == Some(session))
    }
}

pub(super) async fn events(
    State(shared): Shares,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = asked.map_err(|error| Refusal::of(failure("bad-request", error.body_text(), "")))?;
    let live = shared.events.subscribe();
    // What is under way belongs to the past of whoever asks now.
    shared.settle().await?;
    let mut telling = Telling {
        live: asked.follow.then_some(live),
        newest: asked.after.unwrap_or(0),
        left: usize::MAX,
        page: VecDeque::new(),
        has_more: true,
        shared,
        asked,
    };
    telling.begin()?;
    Ok(ndjson(stream::unfold(telling, |mut telling| async {
        Some((telling.next().await?, telling))
    })))
}

struct Telling {
    shared: Arc<Shared>,
    asked: Asked,
    /// Where new events come from, if they are wanted.
    live: Option<broadcast::Receiver<Event>>,
    /// The newest event that was told or passed over.
    newest: u64,
    /// So many of the past may still be told.
    left: usize,
    page: VecDeque<Event>,
    /// Whether the history may have more than the page.
    has_more: bool,
}

impl Telling {
    /// Without a place to begin at, the newest ones are told; whoever only follows is told none of the past.
    fn begin(&mut self) -> Result<(), StoreError> {
        let limit = match (self.asked.after, self.asked.limit) {
            (Some(_), limit) => {
                self.left = limit.unwrap_or(usize::MAX);
                return Ok(());
            }
            (None, None) if self.asked.follow => 0,
            (None, limit) => limit.unwrap_or(NEWEST).min(100 * PAGE),
        };
        self.has_more = false;
        self.page = self.read(None, limit)?;
        self.newest = match self.page.back() {
            Some(event) => event.seq,
            // Nothing to begin after: all that comes is new.
            None => self
                .shared
                .store
                .events(&EventQuery {
                    limit: 1,
                    ..EventQuery::default()
                })?
                .last()
                .map_or(0, |event| event.seq),
        };
        Ok(())
    }

    fn read(&self, after: Option<u64>, limit: usize) -> Result<VecDeque<Event>, StoreError> {
        let events = self.shared.store.events(&EventQuery {
            after,
            node: self.asked.node.clone(),
            session: self.asked.session,
            kind: None,
            limit,
        })?;
        Ok(events.into())
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.page.pop_front() {
                self.newest = self.newest.max(event.seq);
                self.left = self.left.saturating_sub(1);
                return Some(event);
            }
            if self.has_more {
                let limit = self.left.min(PAGE);
                self.page = match self.read(Some(self.newest), limit) {
                    Ok(page) => page,
                    Err(error) => {
                        tracing::error!(%error, "cannot read the history");
                        return None;
                    }
                };
                self.has_more = !self.page.is_empty();
                continue;
            }
            let live = self.live.as_mut()?;
            let received = tokio::select! {
                received = live.recv() => received,
                () = self.shared.stop.cancelled() => return None,
            };
            match received {
                Ok(event) if event.seq <= self.newest => (),
                Ok(event) => {
                    self.newest = event.seq;
                    if self.asked.wants(&event) {
                        return Some(event);
                    }
                }
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    self.shared.settle().await.ok()?;
                    (self.left, self.has_more) = (usize::MAX, true);
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
