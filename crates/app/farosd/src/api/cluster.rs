//! What the API says of the cluster, and the certificates that it gives to people.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    response::{IntoResponse as _, Response},
};
use faros_model::api::{ClusterStatus, Credentials, CredentialsRequest};
use futures_util::stream;
use serde::Deserialize;

use super::handlers::{Asked, Refusal, Shares, ndjson};
use crate::{
    cluster::credentials::NoCredentials,
    daemon::{Intent, Shared},
    executor::failure,
};

/// How often a stream looks whether it is another than before.
const PERIOD: Duration = Duration::from_secs(2);

impl From<NoCredentials> for Refusal {
    fn from(error: NoCredentials) -> Self {
        let (code, hint) = match &error {
            NoCredentials::NoCluster => ("conflict", "`farosctl cluster status` says what it waits for"),
            NoCredentials::Sealed => ("conflict", "`farosctl status` says what they wait for"),
            NoCredentials::Terms(_) | NoCredentials::Request(_) => ("bad-request", ""),
            NoCredentials::Sign(_) | NoCredentials::Store(_) => ("failed", ""),
        };
        Self::of(failure(code, format!("{:#}", anyhow::Error::new(error)), hint))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Follow {
    #[serde(default)]
    follow: bool,
}

pub(super) fn intent(shared: &Shared) -> Result<Arc<Intent>, Refusal> {
    let nothing = || {
        failure(
            "conflict",
            "no site file has been applied",
            "`farosctl apply` brings one",
        )
    };
    shared.intent().ok_or_else(|| Refusal::of(nothing()))
}

pub(super) async fn status(
    State(shared): Shares,
    asked: Result<Query<Follow>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(asked) = asked.map_err(|error| Refusal::of(failure("bad-request", error.body_text(), "")))?;
    let own = intent(&shared)?;
    if !asked.follow {
        return Ok(Json(shared.cluster_status(&own).await).into_response());
    }
    Ok(ndjson(stream::unfold(
        (shared, None),
        |(shared, last)| async move {
            let next = another(&shared, last.as_ref()).await?;
            Some((next.clone(), (shared, Some(next))))
        },
    )))
}

/// The status as soon as it is another than the last one.
async fn another(shared: &Shared, last: Option<&ClusterStatus>) -> Option<ClusterStatus> {
    loop {
        if last.is_some() {
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = shared.stop.cancelled() => return None,
            }
        }
        let own = shared.intent()?;
        let next = shared.cluster_status(&own).await;
        if last.is_none_or(|last| !is_same(last, &next)) {
            return Some(next);
        }
    }
}

/// Time passes in both.
fn is_same(last: &ClusterStatus, next: &ClusterStatus) -> bool {
    let next = ClusterStatus {
        at: last.at,
        ..next.clone()
    };
    *last == next
}

pub(super) async fn credentials(
    State(shared): Shares,
    Asked(request): Asked<CredentialsRequest>,
) -> Result<Json<Credentials>, Refusal> {
    let own = intent(&shared)?;
    Ok(Json(shared.issue_credentials(&own.site, &request).await?))
}
