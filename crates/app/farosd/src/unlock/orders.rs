//! What the operator and the nodes order: rotation, retirement, lockdown, and what the ledger is to know.

use std::{collections::BTreeSet, sync::PoisonError};

use faros_model::{
    api::Lockdown,
    event::EventKind,
    ids::HostName,
    site::{Node, SealKeysWith, Site},
};
use faros_store::StoreError;
use faros_tang::{KeyRing, Thumbprint, Usage};
use faros_unlock::{Learned, Seen};
use jiff::Timestamp;
use rand_core::UnwrapErr;
use serde_json::json;
use tokio::sync::MutexGuard;

use super::{Keys, Unlock, newest};
use crate::daemon::{Shared, lock};

/// Why an order about unlocking was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnlockError {
    /// The keys are sealed.
    #[error("the unlock keys are not open yet")]
    Sealed,
    /// They are being changed, which may wait for a passphrase.
    #[error("the unlock keys are being sealed or changed right now")]
    Busy,
    /// No site file was applied.
    #[error("no site file has been applied")]
    NoSite,
    /// The key's name is none.
    #[error("`{0}` is no thumbprint of a key")]
    NoThumbprint(String),
    /// The key cannot be retired.
    #[error(transparent)]
    Retire(#[from] faros_tang::RetireError),
    /// Nodes depend on it.
    #[error("{} {} on this key", names.join(", "), if names.len() == 1 { "depends" } else { "depend" })]
    InUse {
        /// Which.
        names: Vec<String>,
    },
    /// The cluster's roots are sealed, and a backup without them would not be one.
    #[error("the cluster's root keys are not open yet")]
    RootsSealed,
    /// Nodes were given keys of other roots than those of the backup.
    #[error("nodes of this bastion have been given keys of other roots than those of the backup")]
    OtherCluster,
    /// Something failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

impl From<StoreError> for UnlockError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// Orders of the operator.
impl Shared {
    /// Makes new keys and hides the old ones; the new exchange key.
    pub(crate) async fn rotate_unlock_keys(&self, by: &str) -> Result<String, UnlockError> {
        let seal_with = self.seal_keys_with()?;
        let unlock = &self.unlock;
        let _changing = unlock.change()?;
        let mut ring = unlock.ring()?;
        let before = newest(&ring, Usage::Exchange).map(|key| key.thumbprint().to_string());
        ring.rotate(&mut UnwrapErr(getrandom::SysRng), Timestamp::now());
        let key = newest(&ring, Usage::Exchange)
            .map(|key| key.thumbprint().to_string())
            .unwrap_or_default();
        unlock.keeper.put(Keys::of(ring), seal_with).await?;
        self.tell(
            EventKind::UnlockRotated,
            json!({ "key": key, "rotated": before, "by": by }),
        );
        Ok(key)
    }

    /// Takes the keys of a backup back into use, hidden; the exchange keys among them that were not there. Any node of
    /// the site may depend on them, until it moves to the key in use or is installed anew.
    pub(crate) async fn restore_unlock_keys(
        &self,
        from: KeyRing,
        by: &str,
    ) -> Result<Vec<String>, UnlockError> {
        let intent = self.intent().ok_or(UnlockError::NoSite)?;
        let unlock = &self.unlock;
        let _changing = unlock.change()?;
        let mut ring = unlock.ring()?;
        let added = ring.restore(from);
        let added: Vec<String> = ring
            .keys()
            .filter(|key| key.usage() == Usage::Exchange && added.contains(&key.thumbprint()))
            .map(|key| key.thumbprint().to_string())
            .collect();
        if added.is_empty() {
            return Ok(added);
        }
        // Before the keys: a restore that is cut off in between is whole when it is asked for again.
        for node in intent.site.nodes.values() {
            for key in &added {
                self.saw_binding(node, key, Seen::Restored).await?;
            }
        }
        let seal_with = intent.site.unlock.seal_keys_with;
        unlock.keeper.put(Keys::of(ring), seal_with).await?;
        self.tell(EventKind::UnlockRestored, json!({ "keys": added, "by": by }));
        Ok(added)
    }

    /// Destroys a rotated key, unless a node depends on it.
    pub(crate) async fn retire_unlock_key(
        &self,
        key: &str,
        force: bool,
        by: &str,
    ) -> Result<(), UnlockError> {
        let seal_with = self.seal_keys_with()?;
        let name: Thumbprint = key
            .parse()
            .map_err(|_| UnlockError::NoThumbprint(key.to_owned()))?;
        let unlock = &self.unlock;
        let _changing = unlock.change()?;
        let mut ring = unlock.ring()?;
        ring.retire(&name)?;
        let names: Vec<String> = lock(&unlock.ledger)
            .nodes_of(key)
            .into_iter()
            .map(|binding| binding.node.to_string())
            .collect();
        if !names.is_empty() && !force {
            return Err(UnlockError::InUse { names });
        }
        unlock.keeper.put(Keys::of(ring), seal_with).await?;
        self.tell(EventKind::UnlockRetired, json!({ "key": key, "by": by }));
        self.forget_key(key).await?;
        Ok(())
    }

    /// Forgets who depended on a key that is gone: nobody ever unlocks with it again.
    async fn forget_key(&self, key: &str) -> Result<(), StoreError> {
        let written: Vec<_> = {
            let mut ledger = lock(&self.unlock.ledger);
            let nodes = ledger.destroyed(key).into_iter();
            nodes
                .map(|node| {
                    let learned = Learned {
                        dropped: vec![key.to_owned()],
                        ..Learned::default()
                    };
                    self.store.learn_binding(node, learned)
                })
                .collect()
        };
        for written in written {
            written.await?;
        }
        Ok(())
    }

    fn seal_keys_with(&self) -> Result<SealKeysWith, UnlockError> {
        let intent = self.intent().ok_or(UnlockError::NoSite)?;
        Ok(intent.site.unlock.seal_keys_with)
    }

    /// Stops all unlocking, at once and until it is lifted; on disk when this returns.
    pub(crate) async fn lock_down(&self, reason: String, by: &str) -> Result<Lockdown, UnlockError> {
        let lockdown = Lockdown {
            since: Timestamp::now(),
            by: by.to_owned(),
            reason,
        };
        // Before it is on disk: nobody is helped while the disk is slow, or if it fails.
        self.unlock.set_lockdown(Some(lockdown.clone()));
        let _locking = self.unlock.locking.lock().await;
        // One that was being lifted is lifted by now.
        self.unlock.set_lockdown(Some(lockdown.clone()));
        self.store.set_lockdown(Some(lockdown.clone())).await?;
        let detail = json!({ "by": lockdown.by, "reason": lockdown.reason });
        self.tell(EventKind::UnlockLockdown, detail);
        Ok(lockdown)
    }

    /// Allows unlocking again; whether it was stopped.
    pub(crate) async fn lift_lockdown(&self, by: &str) -> Result<bool, UnlockError> {
        let _locking = self.unlock.locking.lock().await;
        let was = self.unlock.lockdown().is_some();
        self.store.set_lockdown(None).await?;
        self.unlock.set_lockdown(None);
        if was {
            self.tell(EventKind::UnlockLockdownLifted, json!({ "by": by }));
        }
        Ok(was)
    }

    /// Takes note that a node is about to be told to bind its disks to this signing key's set: it may do so, and be
    /// cut off before it can say so.
    pub(crate) async fn node_may_rebind(&self, node: &Node, signed_by: &str) -> Result<(), StoreError> {
        let Some(key) = self.unlock.exchange_key_of(signed_by) else {
            return Ok(());
        };
        let key = key.to_string();
        if lock(&self.unlock.ledger).is_bound(&node.name, &key) {
            return Ok(());
        }
        self.saw_binding(node, &key, Seen::Advertised).await
    }

    /// Takes note of a binding that a node reported: the signing key that it trusts now.
    pub(crate) async fn node_rebound(&self, node: &Node, signed_by: &str) -> Result<(), StoreError> {
        let Some(key) = self.unlock.exchange_key_of(signed_by) else {
            return Ok(());
        };
        self.saw_binding(node, &key.to_string(), Seen::Rebound).await
    }

    /// Forgets on which keys nodes depend that are no longer in the site.
    pub(crate) async fn forget_bindings(&self, site: &Site) -> Result<(), StoreError> {
        let written: Vec<_> = {
            let mut ledger = lock(&self.unlock.ledger);
            let left = |node: &&HostName| !site.nodes.contains_key(*node);
            let nodes: BTreeSet<HostName> = ledger
                .bindings()
                .map(|binding| &binding.node)
                .filter(left)
                .cloned()
                .collect();
            nodes
                .into_iter()
                .map(|node| {
                    let learned = Learned {
                        dropped: ledger.forget(&node),
                        ..Learned::default()
                    };
                    self.store.learn_binding(node, learned)
                })
                .collect()
        };
        for written in written {
            written.await?;
        }
        Ok(())
    }

    /// Takes note that a node's disks were wiped at this time, and bound since.
    pub(crate) async fn node_wiped(&self, node: &Node, at: Timestamp) -> Result<(), StoreError> {
        let learn = |ledger: &mut faros_unlock::Ledger| ledger.wiped(&node.name, at);
        self.learn(node, None, "installed", learn).await
    }

    /// Takes note that a node depends on a key; on disk when this returns.
    pub(super) async fn saw_binding(&self, node: &Node, key: &str, seen: Seen) -> Result<(), StoreError> {
        let now = self.sightings.now();
        let learn = |ledger: &mut faros_unlock::Ledger| ledger.saw(&node.name, key, seen, now);
        self.learn(node, Some(key), seen.as_str(), learn).await
    }

    /// Has the ledger learn something of a node, and tells what changed by it.
    async fn learn(
        &self,
        node: &Node,
        key: Option<&str>,
        by: &str,
        learn: impl FnOnce(&mut faros_unlock::Ledger) -> Learned,
    ) -> Result<(), StoreError> {
        let (is_new, dropped, written) = {
            let mut ledger = lock(&self.unlock.ledger);
            let learned = learn(&mut ledger);
            let (is_new, dropped) = (learned.is_new, learned.dropped.clone());
            // Under the lock, so that the disk learns things in the order in which the ledger does.
            let written = self.store.learn_binding(node.name.clone(), learned);
            (is_new, dropped, written)
        };
        written.await?;
        if is_new {
            self.tell_of(node, EventKind::UnlockBound, json!({ "key": key }));
        }
        for key in dropped {
            self.tell_of(node, EventKind::UnlockUnbound, json!({ "key": key, "by": by }));
        }
        Ok(())
    }
}

impl Unlock {
    /// The right to change the keys; none while they wait for a passphrase, for which nobody who asks for something
    /// else is to wait.
    fn change(&self) -> Result<MutexGuard<'_, ()>, UnlockError> {
        self.keeper.change().ok_or(UnlockError::Busy)
    }

    fn ring(&self) -> Result<KeyRing, UnlockError> {
        let keys = self.keeper.held().ok_or(UnlockError::Sealed)?;
        Ok(keys.ring.clone())
    }

    fn set_lockdown(&self, lockdown: Option<Lockdown>) {
        *self.lockdown.write().unwrap_or_else(PoisonError::into_inner) = lockdown;
    }
}
