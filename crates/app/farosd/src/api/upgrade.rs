//! An upgrade of the cluster.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
};
use faros_model::{
    api::{UpgradePauseRequest, UpgradeRequest, UpgradeStatus},
    kubernetes::KubeVersion,
};
use serde::Deserialize;

use super::{
    cluster::intent,
    handlers::{Asked, Changed, Refusal, Shares},
};
use crate::executor::failure;

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    to: Option<String>,
}

pub(super) async fn status(
    State(shared): Shares,
    asked: Result<Query<Target>, QueryRejection>,
) -> Result<Json<UpgradeStatus>, Refusal> {
    let bad = |why: String| Refusal::of(failure("bad-request", why, ""));
    let Query(asked) = asked.map_err(|error| bad(error.body_text()))?;
    let to = asked.to.map(|text| {
        let parsed = text.parse::<KubeVersion>();
        parsed.map_err(|why| bad(format!("`{text}` {why}")))
    });
    let own = intent(&shared)?;
    let status = shared.upgrade_status(&own.site, to.transpose()?).await;
    status.map(Json).map_err(Refusal::of)
}

pub(super) async fn begin(
    State(shared): Shares,
    Asked(request): Asked<UpgradeRequest>,
) -> Result<Json<UpgradeStatus>, Refusal> {
    let own = intent(&shared)?;
    let begun = shared.begin_upgrade(&own.site, &request).await;
    begun.map(Json).map_err(Refusal::of)
}

pub(super) async fn pause(
    State(shared): State<Arc<crate::daemon::Shared>>,
    Asked(request): Asked<UpgradePauseRequest>,
) -> Result<Json<Changed>, Refusal> {
    let changed = shared.pause_upgrade(&request).await.map_err(Refusal::of)?;
    Ok(Json(Changed { changed }))
}
