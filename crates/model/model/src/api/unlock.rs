//! How unlocking stands, and what is asked of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{Digest, HostName};

/// A stop of all unlocking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lockdown {
    /// When it began, RFC 3339.
    pub since: jiff::Timestamp,
    /// Who ordered it.
    pub by: String,
    /// Why, in the words of whoever ordered it; may be empty.
    pub reason: String,
}

/// What a lockdown is asked for with, and lifted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockdownRequest {
    /// Who asks.
    pub by: String,
    /// Why; may be empty.
    #[serde(default)]
    pub reason: String,
}

/// A change of the unlock keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockKeyRequest {
    /// Who asks.
    pub by: String,
    /// The key that is to be retired.
    #[serde(default)]
    pub key: Option<String>,
    /// Retire it even if nodes depend on it, whose disks are lost then.
    #[serde(default)]
    pub force: bool,
}

/// What a change of the unlock keys did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockKeyChanged {
    /// The key that was made or retired.
    pub key: String,
}

/// Asks for a copy of the unlock keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockBackupRequest {
    /// For whom: public keys of age.
    pub recipients: Vec<String>,
}

/// A copy of the unlock keys, encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockBackup {
    /// An age file in ASCII armor.
    pub armored: String,
    /// Whether the roots of the cluster are in it too.
    #[serde(default)]
    pub roots: bool,
}

/// Asks for the unlock keys of a backup to be taken back into use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnlockRestoreRequest {
    /// Who asks.
    pub by: String,
    /// The backup: an age file in ASCII armor.
    pub armored: String,
    /// What opens it: the file that `age-keygen` wrote.
    pub identity: String,
}

impl std::fmt::Debug for UnlockRestoreRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UnlockRestoreRequest")
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// What came back from a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockRestored {
    /// Thumbprints of the exchange keys that were not there before.
    pub keys: Vec<String>,
    /// Fingerprint of the site's root, if the roots of the cluster came back.
    #[serde(default)]
    pub roots: Option<Digest>,
}

/// How unlocking stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockStatus {
    /// Where nodes find the service.
    pub url: String,
    /// Whom it helps.
    pub policy: crate::site::UnlockPolicy,
    /// What seals the keys at rest: `nothing`, `passphrase` or `tpm2`.
    pub sealed_with: String,
    /// The lockdown, if there is one.
    pub lockdown: Option<Lockdown>,
    /// The keys, newest first.
    pub keys: Vec<UnlockKey>,
}

/// An unlock key that nodes' disks may depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockKey {
    /// SHA-256 thumbprint of the exchange key (RFC 7638).
    pub key: String,
    /// SHA-256 thumbprint of the signing key that advertises it: what a node pins.
    pub signed_by: String,
    /// When it was made, RFC 3339.
    pub created_at: jiff::Timestamp,
    /// Whether new disks are bound to it; a rotated key only unlocks.
    pub advertised: bool,
    /// The nodes that depend on it.
    pub nodes: Vec<UnlockBinding>,
}

/// A node that depends on an unlock key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnlockBinding {
    /// The node.
    pub node: HostName,
    /// Since when the bastion knows.
    pub since: jiff::Timestamp,
    /// When it was last seen.
    pub last: jiff::Timestamp,
    /// How it was last seen: `advertised`, `rebound` or `recovered`.
    pub seen: String,
}
