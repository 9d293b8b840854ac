//! Unlocking: how it stands, its keys, and the lockdown.

use axum::{Json, extract::State};
use faros_model::api::{
    Lockdown, LockdownRequest, UnlockBackup, UnlockBackupRequest, UnlockKeyChanged, UnlockKeyRequest,
    UnlockRestoreRequest, UnlockRestored, UnlockStatus,
};
use faros_seal::{Identities, IdentityError, Recipient};
use schemars::JsonSchema;
use serde::Serialize;

use super::handlers::{Asked, Refusal, Shares};
use crate::{authority::Backup, executor::failure, unlock::UnlockError};

impl From<UnlockError> for Refusal {
    fn from(error: UnlockError) -> Self {
        let (code, hint) = match &error {
            UnlockError::Sealed | UnlockError::RootsSealed => {
                ("conflict", "`farosctl status` says what they wait for")
            }
            UnlockError::Busy => (
                "busy",
                "they may wait for a passphrase: `farosctl status` says so",
            ),
            UnlockError::NoSite => ("conflict", "`farosctl apply` brings one"),
            UnlockError::NoThumbprint(_) | UnlockError::Retire(_) => (
                "not-found",
                "`farosctl unlock ledger` lists the keys that can be retired",
            ),
            UnlockError::InUse { .. } => (
                "refused",
                "their disks could never be opened again; wait until they have moved to the new key, which they do \
                 by themselves, or install them anew",
            ),
            UnlockError::OtherCluster => (
                "refused",
                "the cluster that they are of would be lost; restore on a bastion that has installed no node of a cluster",
            ),
            UnlockError::Failed(_) => ("failed", ""),
        };
        let message = match &error {
            UnlockError::Failed(error) => format!("{error:#}"),
            error => error.to_string(),
        };
        Self::of(failure(code, message, hint))
    }
}

pub(super) async fn status(State(shared): Shares) -> Result<Json<UnlockStatus>, Refusal> {
    let intent = shared.intent().ok_or(UnlockError::NoSite)?;
    let status = shared.unlock.status(&intent).ok_or(UnlockError::Sealed)?;
    Ok(Json(status))
}

pub(super) async fn rotate(
    State(shared): Shares,
    Asked(request): Asked<UnlockKeyRequest>,
) -> Result<Json<UnlockKeyChanged>, Refusal> {
    let key = to_its_end(async move { shared.rotate_unlock_keys(&request.by).await }).await?;
    Ok(Json(UnlockKeyChanged { key }))
}

/// Carries a change of the keys out to its end, even if who asked for it goes away: what is on disk and what is in
/// use must not differ.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, UnlockError>> + Send + 'static,
) -> Result<T, UnlockError> {
    let ended = tokio::spawn(change).await;
    ended.unwrap_or_else(|error| Err(anyhow::Error::new(error).into()))
}

pub(super) async fn retire(
    State(shared): Shares,
    Asked(request): Asked<UnlockKeyRequest>,
) -> Result<Json<UnlockKeyChanged>, Refusal> {
    let key = request.key.unwrap_or_default();
    let own = key.clone();
    let change = async move {
        let (force, by) = (request.force, request.by);
        shared.retire_unlock_key(&own, force, &by).await
    };
    to_its_end(change).await?;
    Ok(Json(UnlockKeyChanged { key }))
}

pub(super) async fn backup(
    State(shared): Shares,
    Asked(request): Asked<UnlockBackupRequest>,
) -> Result<Json<UnlockBackup>, Refusal> {
    let bad = |message: String, hint: &str| Refusal::of(failure("bad-request", message, hint));
    let mut recipients = Vec::new();
    for text in &request.recipients {
        let recipient: Result<Recipient, _> = text.parse();
        recipients.push(recipient.map_err(|error| bad(format!("`{text}`: {error}"), error.hint()))?);
    }
    let (secret, roots) = shared.backup().await?;
    let armored = faros_seal::backup_to_age(secret.as_bytes(), &recipients)
        .map_err(|error| bad(error.to_string(), "give at least one, such as --recipient age1…"))?;
    Ok(Json(UnlockBackup { armored, roots }))
}

pub(super) async fn restore(
    State(shared): Shares,
    Asked(request): Asked<UnlockRestoreRequest>,
) -> Result<Json<UnlockRestored>, Refusal> {
    let bad = |message: String, hint: &str| Refusal::of(failure("bad-request", message, hint));
    let identities: Identities = request
        .identity
        .parse()
        .map_err(|error: IdentityError| bad(error.to_string(), "it is the file that `age-keygen` wrote"))?;
    let secret = faros_seal::restore_from_age(&request.armored, &identities)
        .map_err(|error| bad(error.to_string(), error.hint()))?;
    let text = std::str::from_utf8(secret.expose()).unwrap_or_default();
    let backup = Backup::read(text)
        .map_err(|error| bad(format!("{error:#}"), "it is what `farosctl unlock backup` wrote"))?;
    let restored = to_its_end(async move {
        // What cannot be restored whole is not begun.
        if let Some(roots) = &backup.roots {
            shared.may_take_roots(roots).await?;
        }
        let keys = shared.restore_unlock_keys(backup.unlock, &request.by).await?;
        let roots = match backup.roots {
            Some(roots) => shared.restore_roots(roots, backup.cluster, &request.by).await?,
            None => None,
        };
        Ok(UnlockRestored { keys, roots })
    });
    Ok(Json(restored.await?))
}

pub(super) async fn lock_down(
    State(shared): Shares,
    Asked(request): Asked<LockdownRequest>,
) -> Result<Json<Lockdown>, Refusal> {
    Ok(Json(shared.lock_down(request.reason, &request.by).await?))
}

/// What lifting a lockdown answers.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Lifted {
    /// Whether there was one.
    changed: bool,
}

pub(super) async fn lift(
    State(shared): Shares,
    Asked(request): Asked<LockdownRequest>,
) -> Result<Json<Lifted>, Refusal> {
    let changed = shared.lift_lockdown(&request.by).await?;
    Ok(Json(Lifted { changed }))
}
