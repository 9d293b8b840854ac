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
        // A node that was taken away asks on for ever: that is no news.
        if why.is_alarming() || speaker.refusal == EventKind::JoinRefused {
            tell(shared, intent, ask, node, speaker.refusal, why);
        }
        answer(403, &json!({ "error": why.message() }))
    })
}

/// Tells of a refusal; of an equal one within a minute, how often it was repeated with the next.
fn tell(shared: &Shared, intent: &Intent, ask: &Ask, node: Option<&Node>, kind: EventKind, why: NoJoin) {
    let name = node.map(|node| &node.name);
    let what = format!("{kind} {name:?} {}", why.as_str());
    let Some(repeated) = lock(&shared.cluster.refused).refused(ask.from, what, shared.sightings.now()) else {
        return;
    };
    if why.is_alarming() {
        tracing::warn!(path = ask.path, from = %ask.from, repeated, "refused: {}", why.message());
    }
    let detail = json!({
        "node": name, "address": ask.from, "reason": why.as_str(), "message": why.message(), "repeated": repeated,
    });
    let is_of = |other: &Node| other.address == ask.from;
    match node {
        // Whoever speaks from nobody's address may be the node itself.
        Some(node) if is_of(node) || !intent.site.nodes.values().any(is_of) => {
            shared.tell_of(node, kind, detail);
        }
        _ => shared.saw(ask.from, None, kind, detail),
    }
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
