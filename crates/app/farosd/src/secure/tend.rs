//! What a node that has joined is told to do, over HTTPS, for the secret of its installation.

use std::collections::BTreeMap;

use faros_cluster::{
    join::{Asks, NoJoin, admit},
    tend::{Ends, Known, Order, order},
};
use faros_http::Method;
use faros_model::{
    event::EventKind,
    ids::{HostName, SessionId},
    site::Node,
};
use faros_net::pages::{Ask, Page};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::join::{answer, failed};
use crate::{
    cluster::release::digest,
    daemon::{Intent, Shared, lock},
};

/// What a node says when it asks.
#[derive(Deserialize)]
struct Says {
    secret: String,
    /// When its certificates end, by their names; of a worker, none.
    #[serde(default)]
    certificates: BTreeMap<String, Timestamp>,
}

/// Answers a node that has joined.
pub(super) async fn page(shared: &Shared, intent: &Intent, ask: &Ask) -> Page {
    if ask.method != Method::Post {
        return answer(405, &json!({ "error": "a node asks with its secret, by POST" }));
    }
    let name = ask
        .path
        .strip_prefix("/tend/")
        .and_then(|name| name.parse::<HostName>().ok());
    let Some(node) = name.and_then(|name| intent.site.nodes.get(&name)) else {
        return answer(403, &json!({ "error": NoJoin::UnknownNode.message() }));
    };
    let Ok(says) = serde_json::from_slice::<Says>(&ask.body) else {
        return answer(400, &json!({ "error": "this is not what a node says" }));
    };
    match admitted(shared, node, ask, &says.secret).await {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => return answer(403, &json!({ "error": why.message() })),
        Err(error) => return failed(&ask.path, &error),
    }
    // More than any node has; they are kept in memory.
    let ends: Ends = says.certificates.into_iter().take(32).collect();
    let order = told(shared, intent, node, &ends).await;
    if !ends.is_empty() {
        lock(&shared.cluster.tended).ends.insert(node.name.clone(), ends);
    }
    match order {
        Order::Nothing => answer(200, &json!({ "do": "nothing" })),
        Order::Renew => {
            let before = lock(&shared.cluster.tended)
                .renewing
                .replace((node.name.clone(), Timestamp::now()));
            if before.is_none_or(|(before, _)| before != node.name) {
                shared.tell_of(node, EventKind::CertificatesEnding, json!({}));
            }
            answer(200, &json!({ "do": "renew" }))
        }
        Order::Rejoin(why) => answer(200, &json!({ "do": "rejoin", "why": why })),
    }
}

async fn admitted(
    shared: &Shared,
    node: &Node,
    ask: &Ask,
    secret: &str,
) -> anyhow::Result<Result<SessionId, NoJoin>> {
    let installed_with = shared.installed_with(&node.name).await?;
    let live = lock(&shared.tracker)
        .life(&node.name)
        .and_then(faros_boot::Life::running);
    Ok(admit(&Asks {
        caller: shared.caller(node, ask.from),
        live,
        shows: Some(digest(secret.trim().as_bytes())),
        installed_with,
    }))
}

async fn told(shared: &Shared, intent: &Intent, node: &Node, ends: &Ends) -> Order {
    let record = shared.cluster.deciding.lock().await.clone();
    let renewing = lock(&shared.cluster.tended).renewing.clone();
    let mut known = Known {
        record: &record,
        ends,
        renewing: renewing.as_ref(),
        members: None,
        now: Timestamp::now(),
    };
    let order_now = order(node, &known);
    if order_now != Order::Nothing || !known.is_ending() {
        return order_now;
    }
    // etcd is asked only when its answer counts.
    match shared.etcd(&intent.site, &record).await {
        Ok(members) => {
            known.members = Some(&members.all);
            order(node, &known)
        }
        Err(error) => {
            tracing::warn!(node = %node.name, "certificates are not renewed yet: {error:#}");
            Order::Nothing
        }
    }
}
