//! What a node that has joined is told to do, over HTTPS, for the secret of its installation.

use std::collections::BTreeMap;

use faros_cluster::tend::{Ends, Known, Order, order};
use faros_http::Method;
use faros_model::{event::EventKind, kubernetes::KubeVersion, site::Node};
use faros_net::pages::{Ask, Page};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    admission::{Speaker, admitted},
    answer, failed,
};
use crate::daemon::{Intent, Shared, lock};

/// While the cluster is upgraded, nodes ask again after so many seconds.
const SOON: u32 = 10;

/// What a node says when it asks.
#[derive(Deserialize)]
struct Says {
    secret: String,
    /// When its certificates end, by their names; of a worker, none.
    #[serde(default)]
    certificates: BTreeMap<String, Timestamp>,
    /// When the one ends that its kubelet serves with, and renews itself.
    kubelet: Option<Timestamp>,
}

/// Answers a node that has joined.
pub(super) async fn page(shared: &Shared, intent: &Intent, ask: &Ask) -> Page {
    if ask.method != Method::Post {
        return answer(405, &json!({ "error": "a node asks with its secret, by POST" }));
    }
    let Ok(says) = serde_json::from_slice::<Says>(&ask.body) else {
        return answer(400, &json!({ "error": "this is not what a node says" }));
    };
    let speaker = Speaker {
        name: ask.path.strip_prefix("/tend/").unwrap_or_default(),
        secret: says.secret.as_bytes(),
        refusal: EventKind::TendRefused,
    };
    let node = match admitted(shared, intent, ask, speaker).await {
        Ok((node, _)) => node,
        Err(page) => return page,
    };
    // More than any node has; they are kept in memory.
    let mut ends: Ends = says.certificates.into_iter().take(32).collect();
    let (order, upgrades) = told(shared, intent, node, &ends).await;
    ends.extend(says.kubelet.map(|ends| ("kubelet".to_owned(), ends)));
    if !ends.is_empty() {
        lock(&shared.cluster.tended).ends.insert(node.name.clone(), ends);
    }
    match order {
        Order::Nothing => {
            let mut said = json!({ "do": "nothing" });
            if upgrades.is_some() {
                said["again"] = SOON.into();
            }
            answer(200, &said)
        }
        Order::Upgrade(way) => {
            let Some(to) = upgrades else {
                return answer(200, &json!({ "do": "nothing" }));
            };
            match shared.upgrade_for(&intent.site, node, to, way).await {
                Ok(mut order) => {
                    order["again"] = SOON.into();
                    answer(200, &order)
                }
                Err(error) => failed(&ask.path, &error),
            }
        }
        Order::Renew => {
            let before = lock(&shared.cluster.tended)
                .renewing
                .replace((node.name.clone(), shared.sightings.now()));
            if before.is_none_or(|(before, _)| before != node.name) {
                shared.tell_of(node, EventKind::CertificatesEnding, json!({}));
            }
            answer(200, &json!({ "do": "renew" }))
        }
        Order::Rejoin(why) => answer(200, &json!({ "do": "rejoin", "why": why })),
    }
}

/// The order, and the version that an upgrade leads to which goes on just now.
async fn told(shared: &Shared, intent: &Intent, node: &Node, ends: &Ends) -> (Order, Option<KubeVersion>) {
    let record = shared.cluster.deciding.lock().await.clone();
    let renewing = lock(&shared.cluster.tended).renewing.clone();
    // All by one clock: what nodes say is by the one that others see.
    let clock = shared.sightings.clock();
    let ends = ends
        .iter()
        .map(|(name, end)| (name.clone(), clock.counted(*end)))
        .collect();
    let mut known = Known {
        record: &record,
        ends: &ends,
        renewing: renewing.as_ref(),
        members: None,
        now: shared.sightings.now(),
    };
    let going = record
        .upgrade
        .as_ref()
        .filter(|own| own.stop.is_none() || own.turn.is_some());
    let upgrades = going.map(|own| own.to);
    let order_now = order(node, &known);
    if order_now != Order::Nothing || !known.is_ending() {
        return (order_now, upgrades);
    }
    // etcd is asked only when its answer counts.
    match shared.etcd(&intent.site, &record).await {
        Ok(members) => {
            known.members = Some(&members.all);
            (order(node, &known), upgrades)
        }
        Err(error) => {
            tracing::warn!(node = %node.name, "certificates are not renewed yet: {error:#}");
            (Order::Nothing, upgrades)
        }
    }
}
