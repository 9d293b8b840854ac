//! Who may speak as a node, on the pages that are for nodes alone.

use faros_cluster::join::{Asks, NoJoin, admit};
use faros_model::{event::EventKind, ids::SessionId, site::Node};
use faros_net::pages::{Ask, Page};
use serde_json::json;

use super::{answer, failed};
use crate::{
    cluster::release::digest,
    daemon::{Intent, Shared, lock},
};

/// Who asks: the node of this name, which shows this secret. A name that no node has is nobody's.
pub(super) struct Speaker<'a> {
    pub(super) name: &'a str,
    pub(super) secret: &'a [u8],
    /// How a refusal is told.
    pub(super) refusal: EventKind,
}

/// The node that asks and its live boot, or what whoever it is gets instead.
pub(super) async fn admitted<'a>(
    shared: &Shared,
    intent: &'a Intent,
    ask: &Ask,
    speaker: Speaker<'_>,
) -> Result<(&'a Node, SessionId), Page> {
    let name = speaker.name.parse().ok();
    let node = name.as_ref().and_then(|name| intent.site.nodes.get(name));
    let verdict = match node {
        None => Err(NoJoin::UnknownNode),
        Some(node) => judged(shared, node, ask, speaker.secret)
            .await
            .map_err(|error| failed(&ask.path, &error))?
            .map(|session| (node, session)),
    };
    verdict.map_err(|why| {
        if why.is_alarming() {
            tracing::warn!(path = ask.path, from = %ask.from, "refused: {}", why.message());
        }
        // A node that was taken away asks on for ever: that is no news.
        if why.is_alarming() || speaker.refusal == EventKind::JoinRefused {
            let detail = json!({
                "node": name, "address": ask.from, "reason": why.as_str(), "message": why.message(),
            });
            shared.saw(ask.from, None, speaker.refusal, detail);
        }
        answer(403, &json!({ "error": why.message() }))
    })
}

async fn judged(
    shared: &Shared,
    node: &Node,
    ask: &Ask,
    secret: &[u8],
) -> anyhow::Result<Result<SessionId, NoJoin>> {
    let installed_with = shared.installed_with(&node.name).await?;
    let live = lock(&shared.tracker)
        .life(&node.name)
        .and_then(faros_boot::Life::running);
    Ok(admit(&Asks {
        caller: shared.caller(node, ask.from),
        live,
        shows: Some(digest(secret.trim_ascii())),
        installed_with,
    }))
}
