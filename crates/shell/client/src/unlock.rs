//! Unlocking: its keys, and stopping it.

use faros_model::api::{
    Lockdown, LockdownRequest, UnlockBackup, UnlockBackupRequest, UnlockKeyChanged, UnlockKeyRequest,
    UnlockRestoreRequest, UnlockRestored, UnlockStatus,
};
use hyper::Method;

use crate::{Changed, Client, ClientError};

impl Client {
    /// How unlocking stands.
    pub async fn unlock(&self) -> Result<UnlockStatus, ClientError> {
        self.get("/v1/unlock").await
    }

    /// Makes new unlock keys.
    pub async fn rotate_unlock_keys(&self, by: &str) -> Result<UnlockKeyChanged, ClientError> {
        let request = UnlockKeyRequest {
            by: by.to_owned(),
            ..UnlockKeyRequest::default()
        };
        self.json(Method::POST, "/v1/unlock/rotate", Some(&request)).await
    }

    /// Destroys a rotated unlock key; with `force` even if nodes depend on it.
    pub async fn retire_unlock_key(
        &self,
        key: &str,
        force: bool,
        by: &str,
    ) -> Result<UnlockKeyChanged, ClientError> {
        let request = UnlockKeyRequest {
            by: by.to_owned(),
            key: Some(key.to_owned()),
            force,
        };
        self.json(Method::POST, "/v1/unlock/retire", Some(&request)).await
    }

    /// The unlock keys, encrypted for the holders of these age keys.
    pub async fn back_up_unlock_keys(&self, recipients: Vec<String>) -> Result<UnlockBackup, ClientError> {
        let request = UnlockBackupRequest { recipients };
        self.json(Method::POST, "/v1/unlock/backup", Some(&request)).await
    }

    /// Takes the unlock keys of a backup back into use; `identity` opens it.
    pub async fn restore_unlock_keys(
        &self,
        armored: String,
        identity: String,
        by: &str,
    ) -> Result<UnlockRestored, ClientError> {
        let by = by.to_owned();
        let request = UnlockRestoreRequest {
            by,
            armored,
            identity,
        };
        self.json(Method::POST, "/v1/unlock/restore", Some(&request))
            .await
    }

    /// Stops all unlocking.
    pub async fn lock_down(&self, by: &str, reason: &str) -> Result<Lockdown, ClientError> {
        let (by, reason) = (by.to_owned(), reason.to_owned());
        let request = LockdownRequest { by, reason };
        self.json(Method::POST, "/v1/lockdown", Some(&request)).await
    }

    /// Allows unlocking again; whether it was stopped.
    pub async fn lift_lockdown(&self, by: &str) -> Result<bool, ClientError> {
        let request = LockdownRequest {
            by: by.to_owned(),
            ..LockdownRequest::default()
        };
        let changed: Changed = self
            .json(Method::POST, "/v1/lockdown/lift", Some(&request))
            .await?;
        Ok(changed.changed)
    }
}
