//! What the API says of the balancer, and lets the operator ask of it.

use axum::{Json, extract::State};
use faros_model::api::{BalancerStatus, DrainRequest};

use super::handlers::{Asked, Changed, Refusal, Shares};
use crate::{
    balancer::{self, NotDrained},
    executor::failure,
};

pub(super) async fn status(State(shared): Shares) -> Result<Json<BalancerStatus>, Refusal> {
    let status = balancer::status(&shared).await.map_err(|error| {
        Refusal::of(failure(
            "failed",
            format!("cannot look at the balancer: {error:#}"),
            "",
        ))
    })?;
    status.map(Json).ok_or_else(|| {
        let message = "the balancer does not run";
        Refusal::of(failure("conflict", message, "`farosctl status` says why"))
    })
}

pub(super) async fn drain(
    State(shared): Shares,
    Asked(request): Asked<DrainRequest>,
) -> Result<Json<Changed>, Refusal> {
    let DrainRequest {
        backend,
        drained,
        force,
        by,
    } = request;
    match balancer::drain(&shared, &backend, drained, force, &by).await {
        Ok(changed) => Ok(Json(Changed { changed })),
        Err(NotDrained::Unknown(known)) => {
            let close = known
                .iter()
                .max_by(|a, b| strsim::jaro(a, &backend).total_cmp(&strsim::jaro(b, &backend)))
                .map(|close| format!("is it `{close}`? `farosctl balancer` lists all"));
            let message = format!("there is no server `{backend}` behind the virtual IPs");
            Err(Refusal::of(failure(
                "not-found",
                message,
                &close.unwrap_or_default(),
            )))
        }
        Err(NotDrained::Needed(services)) => {
            let message = format!("{backend} is the last server of {}", services.join(", "));
            let hint = "clients would be turned away; `--force` does it all the same";
            Err(Refusal::of(failure("refused", message, hint)))
        }
        Err(NotDrained::Store(error)) => Err(error.into()),
    }
}
