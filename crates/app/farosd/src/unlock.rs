//! The unlock service: Tang's protocol, by the policy of the site, with a memory.
//!
//! Everything a node could come to depend on is on disk before it is told: keys before they are advertised, and
//! a binding before the advertisement that makes it leaves.

mod orders;
mod pages;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use faros_model::{
    api::{Lockdown, UnlockBinding, UnlockKey, UnlockStatus},
    ids::HostName,
    site::SealKeysWith,
};
use faros_store::{Store, StoreError};
use faros_tang::{KeyRing, Standing, Tables, Thumbprint, Usage};
use faros_unlock::{Ledger, Recent, Told};
use jiff::Timestamp;
use rand_core::UnwrapErr;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

pub(crate) use self::{orders::UnlockError, pages::TangPages};
use crate::{
    daemon::{Intent, lock},
    keeper::{Keeper, Keeping, Kept, UnsealBy},
};

/// Recoveries that are computed at a time; each takes a processor for a millisecond.
const AT_ONCE: usize = 2;

/// How long a node that was asked to bind its disks anew may take, the slowest disks included.
const TO_REBIND: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// The keys, opened.
struct Keys {
    ring: KeyRing,
    tables: Arc<Tables>,
}

impl Keys {
    fn of(ring: KeyRing) -> Self {
        let tables = Arc::new(Tables::compile(&ring));
        Self { ring, tables }
    }
}

impl Kept for Keys {
    const WHAT: &'static str = "the unlock keys";
    const FILE: &'static str = "unlock-keys.sealed";

    fn from_secret(text: &str) -> anyhow::Result<Self> {
        Ok(Self::of(KeyRing::from_secret_json(text)?))
    }

    fn to_secret(&self) -> Zeroizing<String> {
        self.ring.to_secret_json()
    }
}

/// What the unlock service remembers.
pub(crate) struct Unlock {
    keeper: Keeper<Keys>,
    ledger: Mutex<Ledger>,
    recent: Mutex<Recent>,
    /// When each node was last asked to bind its disks anew, which takes their old key.
    asked_to_rebind: Mutex<BTreeMap<HostName, Timestamp>>,
    lockdown: RwLock<Option<Lockdown>>,
    told: Mutex<Told>,
    work: Semaphore,
    /// One change of the lockdown at a time.
    locking: tokio::sync::Mutex<()>,
}

impl Unlock {
    /// Reads what is remembered, save the keys, which may have to be unsealed.
    pub(crate) fn open(store: &Store, unseal_by: UnsealBy) -> Result<Self, StoreError> {
        Ok(Self {
            keeper: Keeper::new(store.dir(), unseal_by),
            ledger: Mutex::new(Ledger::of(store.bindings()?)),
            recent: Mutex::default(),
            asked_to_rebind: Mutex::default(),
            lockdown: RwLock::new(store.lockdown()?),
            told: Mutex::default(),
            work: Semaphore::new(AT_ONCE),
            locking: tokio::sync::Mutex::new(()),
        })
    }

    /// Opens the keys, or makes some, and has them on disk as the site file wants it.
    pub(crate) async fn tend(&self, seal_with: SealKeysWith) {
        let make = || {
            let ring = KeyRing::generate(&mut UnwrapErr(getrandom::SysRng), Timestamp::now());
            Ok(Keys::of(ring))
        };
        if self.keeper.tend(seal_with, make).await {
            tracing::info!("unlock keys were made");
        }
    }

    /// Who keeps the keys, and tells whether they are open.
    pub(crate) fn keeper(&self) -> &impl Keeping {
        &self.keeper
    }

    fn tables(&self) -> Option<Arc<Tables>> {
        Some(Arc::clone(&self.keeper.held()?.tables))
    }

    /// Thumbprint of the signing key that new disks are to trust; `None` while the keys are sealed.
    pub(crate) fn thumbprint(&self) -> Option<Thumbprint> {
        newest(&self.keeper.held()?.ring, Usage::Signing).map(faros_tang::Key::thumbprint)
    }

    /// Thumbprint of the exchange key that goes with a signing key.
    fn exchange_key_of(&self, signed_by: &str) -> Option<Thumbprint> {
        let keys = self.keeper.held()?;
        let ring = &keys.ring;
        let signing = ring
            .keys()
            .find(|key| key.thumbprint().to_string() == signed_by)?;
        let same_set = |key: &&faros_tang::Key| key.usage() == Usage::Exchange && key.set() == signing.set();
        ring.keys().find(same_set).map(faros_tang::Key::thumbprint)
    }

    pub(crate) fn lockdown(&self) -> Option<Lockdown> {
        self.lockdown
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a node depends on a key that is not advertised any more, and so has to bind its disks anew. If so, it
    /// is about to be asked to.
    pub(crate) fn has_to_rebind(&self, node: &HostName) -> bool {
        let keys = self.keeper.held();
        let Some(key) = keys.as_ref().and_then(|keys| newest(&keys.ring, Usage::Exchange)) else {
            return false;
        };
        let key = key.thumbprint().to_string();
        let depends = lock(&self.ledger)
            .bindings()
            .any(|binding| binding.node == *node && binding.key != key);
        if depends {
            lock(&self.asked_to_rebind).insert(node.clone(), Timestamp::now());
        }
        depends
    }

    /// Whether a node was asked just now to bind its disks anew.
    fn is_rebinding(&self, node: &HostName, now: Timestamp) -> bool {
        let asked = lock(&self.asked_to_rebind).get(node).copied();
        asked.is_some_and(|asked| now.duration_since(asked) < TO_REBIND)
    }

    /// How unlocking stands; `None` while the keys are sealed.
    pub(crate) fn status(&self, intent: &Intent) -> Option<UnlockStatus> {
        let keys = self.keeper.held()?;
        let ledger = lock(&self.ledger);
        let exchange = keys.ring.keys().filter(|key| key.usage() == Usage::Exchange);
        let mut rows: Vec<UnlockKey> = exchange
            .map(|key| {
                let name = key.thumbprint().to_string();
                let signing = keys
                    .ring
                    .keys()
                    .find(|other| other.usage() == Usage::Signing && other.set() == key.set());
                let nodes = ledger.nodes_of(&name).into_iter().map(|binding| UnlockBinding {
                    node: binding.node.clone(),
                    since: binding.since,
                    last: binding.last,
                    seen: binding.seen.as_str().to_owned(),
                });
                UnlockKey {
                    signed_by: signing
                        .map(|key| key.thumbprint().to_string())
                        .unwrap_or_default(),
                    created_at: key.created(),
                    advertised: key.standing() == Standing::Advertised,
                    nodes: nodes.collect(),
                    key: name,
                }
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_at));
        Some(UnlockStatus {
            url: faros_render::unlock_url(&intent.site),
            policy: intent.site.unlock.policy,
            sealed_with: self.keeper.sealed_with()?.label().to_owned(),
            lockdown: self.lockdown(),
            keys: rows,
        })
    }

    /// The keys as secret text, for a backup.
    pub(crate) fn secret(&self) -> Option<Zeroizing<String>> {
        Some(self.keeper.held()?.to_secret())
    }
}

fn newest(ring: &KeyRing, usage: Usage) -> Option<&faros_tang::Key> {
    let advertised = ring
        .keys()
        .filter(|key| key.usage() == usage && key.standing() == Standing::Advertised);
    advertised.max_by_key(|key| key.set())
}
