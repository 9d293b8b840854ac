//! The unlock service: Tang's protocol, by the policy of the site, with a memory.
//!
//! Everything a node could come to depend on is on disk before it is told: keys before they are advertised, and
//! a binding before the advertisement that makes it leaves.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context as _;
use faros_http::Method;
use faros_model::{
    api::{Lockdown, UnlockBinding, UnlockKey, UnlockStatus},
    event::EventKind,
    ids::{HostName, MacAddr},
    plan::Service,
    sighting::Sighting,
    site::{Node, SealKeysWith, Site, UnlockPolicy},
};
use faros_net::pages::{Ask, Page, Pages, Soon};
use faros_seal::{
    AskError, AskPassphrase, Bound, Passphrase, Question, SealWith, Sealing, SystemdAsk, Tpm, Work,
};
use faros_store::{Store, StoreError};
use faros_tang::{KeyRing, Route, Standing, Tables, Thumbprint, Usage};
use faros_unlock::{Booting, Facts, Learned, Ledger, Recent, Refusal, Seen, decide};
use jiff::Timestamp;
use rand_core::UnwrapErr;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, watch};

use crate::daemon::{Intent, Shared, lock};

/// An equal refusal within this time is counted and not told again: clevis asks twice a second.
const TELL_AGAIN: Duration = Duration::from_mins(1);

/// Recoveries that are computed at a time; each takes a processor for a millisecond.
const AT_ONCE: usize = 2;

/// The keys, opened.
struct Keys {
    ring: KeyRing,
    tables: Arc<Tables>,
    sealed_with: Sealing,
    /// What they were opened with, so that a rotation need not ask for it.
    passphrase: Option<Passphrase>,
}

/// Whether the keys are open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keyhole {
    /// Nobody has tried.
    Untried,
    /// They are being made or unsealed, which may wait for a passphrase.
    Opening,
    /// They are open.
    Open,
    /// They cannot be opened, and why.
    Failed(String),
}

/// What the unlock service remembers.
pub(crate) struct Unlock {
    pub(crate) keyhole: watch::Sender<Keyhole>,
    path: PathBuf,
    /// `None` until they are made or unsealed.
    keys: RwLock<Option<Keys>>,
    ledger: Mutex<Ledger>,
    recent: Mutex<Recent>,
    lockdown: RwLock<Option<Lockdown>>,
    told: Mutex<BTreeMap<(Ipv4Addr, Refusal), Told>>,
    work: Semaphore,
    /// One change of the keys at a time.
    changing: tokio::sync::Mutex<()>,
}

/// A refusal that was told, and how often it was repeated since.
struct Told {
    at: Timestamp,
    repeated: u64,
}

impl Unlock {
    /// Reads what is remembered, save the keys, which may have to be unsealed.
    pub(crate) fn open(store: &Store) -> Result<Self, StoreError> {
        Ok(Self {
            keyhole: watch::Sender::new(Keyhole::Untried),
            path: store.dir().join("unlock-keys.sealed"),
            keys: RwLock::new(None),
            ledger: Mutex::new(Ledger::of(store.bindings()?)),
            recent: Mutex::default(),
            lockdown: RwLock::new(store.lockdown()?),
            told: Mutex::default(),
            work: Semaphore::new(AT_ONCE),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// Opens the keys, and tells of it at the keyhole.
    pub(crate) async fn try_keys(&self, seal_with: SealKeysWith) {
        self.keyhole.send_replace(Keyhole::Opening);
        let opened = match self.open_keys(seal_with).await {
            Ok(()) => Keyhole::Open,
            Err(error) => {
                let why = format!("the unlock keys cannot be opened: {error:#}");
                tracing::error!("{why}");
                Keyhole::Failed(why)
            }
        };
        self.keyhole.send_replace(opened);
    }

    /// Opens the keys, or makes some: the service is ready only then. Asks for the passphrase if they are sealed
    /// with one, for as long as it takes.
    async fn open_keys(&self, seal_with: SealKeysWith) -> anyhow::Result<()> {
        let _changing = self.changing.lock().await;
        if self.read().is_some() {
            return Ok(());
        }
        let path = self.path.clone();
        let sealed = tokio::task::spawn_blocking(move || faros_seal::read_sealed(&path)).await??;
        let Some(sealed) = sealed else {
            let ring = KeyRing::generate(&mut UnwrapErr(getrandom::SysRng), Timestamp::now());
            return self.put(ring, seal_with, None).await;
        };
        let sealed_with = faros_seal::mode_of(&sealed)?;
        let mut asker = Remembering::default();
        let secret = faros_seal::unseal(&sealed, &Tpm::default(), &mut asker).await?;
        let text = std::str::from_utf8(secret.expose()).context("the unlock keys are no text")?;
        let ring = KeyRing::from_secret_json(text).context("the unlock keys cannot be read")?;
        if wanted(seal_with) != sealed_with {
            // The site file asks for another seal than the one they have.
            return self.put(ring, seal_with, asker.answer).await;
        }
        let tables = Arc::new(Tables::compile(&ring));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Keys {
            ring,
            tables,
            sealed_with,
            passphrase: asker.answer,
        });
        Ok(())
    }

    /// Seals keys anew, as the site file has it now.
    pub(crate) async fn seal_with(&self, seal_with: SealKeysWith) -> anyhow::Result<()> {
        let _changing = self.changing.lock().await;
        let (ring, known) = match &*self.read() {
            Some(keys) if keys.sealed_with != wanted(seal_with) => {
                (keys.ring.clone(), keys.passphrase.clone())
            }
            Some(_) | None => return Ok(()),
        };
        self.put(ring, seal_with, known).await
    }

    /// Writes keys to the disk, and only then uses them. A passphrase that is not known is asked for.
    async fn put(
        &self,
        ring: KeyRing,
        seal_with: SealKeysWith,
        known: Option<Passphrase>,
    ) -> anyhow::Result<()> {
        let text = ring.to_secret_json();
        let tpm = Tpm::default();
        let passphrase = match (seal_with, known) {
            (SealKeysWith::Passphrase, None) => Some(faros_seal::choose_passphrase(&mut ask()).await?),
            (SealKeysWith::Passphrase, known) => known,
            (SealKeysWith::Nothing | SealKeysWith::Tpm2, _) => None,
        };
        let with = match (seal_with, &passphrase) {
            (SealKeysWith::Tpm2, _) => SealWith::Tpm2 {
                tpm: &tpm,
                bound: Bound::Machine,
            },
            (_, Some(passphrase)) => SealWith::Passphrase {
                passphrase,
                work: Work::default(),
            },
            (_, None) => SealWith::Nothing,
        };
        let sealed = faros_seal::seal(text.as_bytes(), &with).await?;
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || faros_seal::write_sealed(&path, &sealed)).await??;
        let tables = Arc::new(Tables::compile(&ring));
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Keys {
            ring,
            tables,
            sealed_with: wanted(seal_with),
            passphrase,
        });
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Keys>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tables(&self) -> Option<Arc<Tables>> {
        self.read().as_ref().map(|keys| Arc::clone(&keys.tables))
    }

    /// Thumbprint of the signing key that new disks are to trust; `None` while the keys are sealed.
    pub(crate) fn thumbprint(&self) -> Option<Thumbprint> {
        let keys = self.read();
        newest(&keys.as_ref()?.ring, Usage::Signing).map(faros_tang::Key::thumbprint)
    }

    /// Thumbprint of the exchange key that goes with a signing key.
    fn exchange_key_of(&self, signed_by: &str) -> Option<Thumbprint> {
        let keys = self.read();
        let ring = &keys.as_ref()?.ring;
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

    /// How unlocking stands; `None` while the keys are sealed.
    pub(crate) fn status(&self, intent: &Intent) -> Option<UnlockStatus> {
        let keys = self.read();
        let keys = keys.as_ref()?;
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
            sealed_with: keys.sealed_with.label().to_owned(),
            lockdown: self.lockdown(),
            keys: rows,
        })
    }

    /// The keys as secret text, for a backup.
    pub(crate) fn secret(&self) -> Option<zeroize::Zeroizing<String>> {
        Some(self.read().as_ref()?.ring.to_secret_json())
    }
}

fn wanted(seal_with: SealKeysWith) -> Sealing {
    match seal_with {
        SealKeysWith::Nothing => Sealing::Nothing,
        SealKeysWith::Passphrase => Sealing::Passphrase,
        SealKeysWith::Tpm2 => Sealing::Tpm2,
    }
}

fn ask() -> SystemdAsk {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    SystemdAsk::new(
        "the unlock keys of this site",
        "faros-unlock",
        credentials.as_deref(),
    )
}

/// Asks, and remembers what was answered last.
#[derive(Default)]
struct Remembering {
    answer: Option<Passphrase>,
}

impl AskPassphrase for Remembering {
    async fn ask(&mut self, question: Question) -> Result<Passphrase, AskError> {
        let answer = ask().ask(question).await?;
        self.answer = Some(answer.clone());
        Ok(answer)
    }
}

fn newest(ring: &KeyRing, usage: Usage) -> Option<&faros_tang::Key> {
    let advertised = ring
        .keys()
        .filter(|key| key.usage() == usage && key.standing() == Standing::Advertised);
    advertised.max_by_key(|key| key.set())
}

/// Why an order about unlocking was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnlockError {
    /// The keys are sealed.
    #[error("the unlock keys are not open yet")]
    Sealed,
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
        let seal_with = self
            .intent()
            .ok_or(UnlockError::NoSite)?
            .site
            .unlock
            .seal_keys_with;
        let unlock = &self.unlock;
        let _changing = unlock.changing.lock().await;
        let (mut ring, before, known) = {
            let keys = unlock.read();
            let keys = keys.as_ref().ok_or(UnlockError::Sealed)?;
            let before = newest(&keys.ring, Usage::Exchange).map(|key| key.thumbprint().to_string());
            (keys.ring.clone(), before, keys.passphrase.clone())
        };
        ring.rotate(&mut UnwrapErr(getrandom::SysRng), Timestamp::now());
        let key = newest(&ring, Usage::Exchange)
            .map(|key| key.thumbprint().to_string())
            .unwrap_or_default();
        unlock.put(ring, seal_with, known).await?;
        self.tell(
            EventKind::UnlockRotated,
            json!({ "key": key, "rotated": before, "by": by }),
        );
        Ok(key)
    }

    /// Destroys a rotated key, unless a node depends on it.
    pub(crate) async fn retire_unlock_key(
        &self,
        key: &str,
        force: bool,
        by: &str,
    ) -> Result<(), UnlockError> {
        let seal_with = self
            .intent()
            .ok_or(UnlockError::NoSite)?
            .site
            .unlock
            .seal_keys_with;
        let name: Thumbprint = key
            .parse()
            .map_err(|_| UnlockError::NoThumbprint(key.to_owned()))?;
        let unlock = &self.unlock;
        let _changing = unlock.changing.lock().await;
        let (mut ring, known) = match &*unlock.read() {
            Some(keys) => (keys.ring.clone(), keys.passphrase.clone()),
            None => return Err(UnlockError::Sealed),
        };
        ring.retire(&name)?;
        let names: Vec<String> = lock(&unlock.ledger)
            .nodes_of(key)
            .into_iter()
            .map(|binding| binding.node.to_string())
            .collect();
        if !names.is_empty() && !force {
            return Err(UnlockError::InUse { names });
        }
        unlock.put(ring, seal_with, known).await?;
        self.tell(EventKind::UnlockRetired, json!({ "key": key, "by": by }));
        Ok(())
    }

    /// Stops all unlocking, at once and until it is lifted; on disk when this returns.
    pub(crate) async fn lock_down(&self, reason: String, by: &str) -> Result<Lockdown, UnlockError> {
        let lockdown = Lockdown {
            since: Timestamp::now(),
            by: by.to_owned(),
            reason,
        };
        // Before it is on disk: nobody is helped while the disk is slow.
        *self
            .unlock
            .lockdown
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(lockdown.clone());
        self.store.set_lockdown(Some(lockdown.clone())).await?;
        let detail = json!({ "by": lockdown.by, "reason": lockdown.reason });
        self.tell(EventKind::UnlockLockdown, detail);
        Ok(lockdown)
    }

    /// Allows unlocking again; whether it was stopped.
    pub(crate) async fn lift_lockdown(&self, by: &str) -> Result<bool, UnlockError> {
        let was = self.unlock.lockdown().is_some();
        self.store.set_lockdown(None).await?;
        *self
            .unlock
            .lockdown
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
        if was {
            self.tell(EventKind::UnlockLockdownLifted, json!({ "by": by }));
        }
        Ok(was)
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
        let gone: Vec<(HostName, Vec<String>)> = {
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
                .map(|node| (node.clone(), ledger.forget(&node)))
                .collect()
        };
        for (node, dropped) in gone {
            let learned = Learned {
                dropped,
                ..Learned::default()
            };
            self.store.learn_binding(node, learned).await?;
        }
        Ok(())
    }

    /// Takes note that a node depends on a key; on disk when this returns.
    async fn saw_binding(&self, node: &Node, key: &str, seen: Seen) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let learned = lock(&self.unlock.ledger).saw(&node.name, key, seen, now);
        let (is_new, dropped) = (learned.is_new, learned.dropped.clone());
        self.store.learn_binding(node.name.clone(), learned).await?;
        let tell = |kind, detail: Value| {
            let detail = if let Value::Object(detail) = detail {
                detail
            } else {
                Map::new()
            };
            self.tell_of(node, kind, detail);
        };
        if is_new {
            tell(EventKind::UnlockBound, json!({ "key": key }));
        }
        for key in dropped {
            tell(
                EventKind::UnlockUnbound,
                json!({ "key": key, "by": seen.as_str() }),
            );
        }
        Ok(())
    }
}

/// Answers as Tang.
pub(crate) struct TangPages(pub(crate) Arc<Shared>);

impl TangPages {
    fn intent(&self) -> Option<Arc<Intent>> {
        let served = self.0.served.borrow();
        let intent = served.get(&Service::Unlock)?;
        intent.site.runs(Service::Unlock).then(|| Arc::clone(intent))
    }

    fn count(&self, label: &'static str) {
        if let Some(health) = self.0.counted.get(&Service::Unlock) {
            health.counter(label).add(1);
        }
    }

    fn saw(&self, from: Ipv4Addr, mac: Option<MacAddr>, kind: EventKind, detail: Value) {
        let detail = if let Value::Object(detail) = detail {
            detail
        } else {
            Map::new()
        };
        self.0.sightings.send(Sighting {
            at: Timestamp::now(),
            mac,
            address: Some(from),
            kind,
            detail,
        });
    }

    /// Answers with the advertisement. A node that installs itself is about to bind its disks to what it says.
    async fn advertise(&self, from: Ipv4Addr, asked: Option<&str>) -> Page {
        let unlock = &self.0.unlock;
        let (Some(intent), Some(tables)) = (self.intent(), unlock.tables()) else {
            return Page::Status(503);
        };
        let Some(text) = tables.advertisement(asked).map(str::to_owned) else {
            return Page::Status(404);
        };
        self.count("advertisements");
        let node = intent.site.nodes.values().find(|node| node.address == from);
        let binds = node.filter(|node| self.0.is_armed(&node.name));
        if let (Some(node), Some(key)) = (binds, self.advertised())
            && let Err(error) = self.0.saw_binding(node, &key, Seen::Advertised).await
        {
            // Rather no disk than one whose key is retired because nobody remembers it.
            tracing::error!("{:#}", anyhow::Error::new(error));
            return Page::Status(503);
        }
        if node.is_some() {
            let detail = json!({ "keys": self.advertised(), "address": from });
            self.saw(
                from,
                node.map(|node| node.boot_mac),
                EventKind::UnlockAdvertised,
                detail,
            );
        }
        Page::Text {
            content_type: faros_tang::ADVERTISEMENT_TYPE,
            text,
        }
    }

    fn advertised(&self) -> Option<String> {
        let keys = self.0.unlock.read();
        Some(
            newest(&keys.as_ref()?.ring, Usage::Exchange)?
                .thumbprint()
                .to_string(),
        )
    }

    async fn recover(&self, from: Ipv4Addr, asked: &str, body: Vec<u8>) -> Page {
        let unlock = &self.0.unlock;
        let (Some(intent), Some(tables)) = (self.intent(), unlock.tables()) else {
            return Page::Status(503);
        };
        let now = Timestamp::now();
        let node = intent.site.nodes.values().find(|node| node.address == from);
        let mac = faros_kernel::neighbors::mac_of(from);
        let booting = node.map_or(Booting::Never, |node| {
            let tracker = lock(&self.0.tracker);
            tracker
                .life(&node.name)
                .map_or(Booting::Never, faros_boot::Life::booting)
        });
        let is_bound = node.is_some_and(|node| {
            let ledger = lock(&unlock.ledger);
            // The ledger has SHA-256 thumbprints; clevis asks by the hash that it was bound with.
            ledger.is_bound(&node.name, asked)
                || self
                    .by_other_hash(asked)
                    .is_some_and(|key| ledger.is_bound(&node.name, &key))
        });
        let recent = node.map_or(0, |node| lock(&unlock.recent).count(&node.name, now));
        let facts = Facts {
            now,
            policy: intent.site.unlock.policy,
            locked_down: unlock.lockdown().is_some(),
            node,
            mac,
            booting,
            is_bound,
            recent,
        };
        if let Err(refusal) = decide(&facts) {
            return self.refuse(from, node, asked, refusal, now);
        }
        let key = asked.to_owned();
        let Ok(_turn) = unlock.work.acquire().await else {
            return Page::Status(503);
        };
        let done = tokio::task::spawn_blocking(move || tables.recover(&key, &body)).await;
        let recovery = match done {
            Ok(Ok(recovery)) => recovery,
            Ok(Err(error)) => {
                self.count(error.label());
                let refusal = match error {
                    faros_tang::RecoverError::UnknownKey => Refusal::UnknownKey,
                    _ => Refusal::Malformed,
                };
                self.refuse(from, node, asked, refusal, now);
                return Page::Status(error.status());
            }
            Err(error) => {
                tracing::error!(%error, "a recovery did not end");
                return Page::Status(500);
            }
        };
        let key = recovery.key.to_string();
        if let Some(node) = node {
            lock(&unlock.recent).answered(&node.name, now);
            if let Err(error) = self.0.saw_binding(node, &key, Seen::Recovered).await {
                // The disk is bound whether or not it is remembered; a node that waits helps nobody.
                tracing::error!("{:#}", anyhow::Error::new(error));
            }
        }
        self.count("recoveries");
        let rotated = recovery.standing == Standing::Hidden;
        let detail = json!({ "key": key, "rotated": rotated, "address": from });
        self.saw(
            from,
            node.map(|node| node.boot_mac),
            EventKind::UnlockRecovered,
            detail,
        );
        Page::Text {
            content_type: faros_tang::RECOVERY_TYPE,
            text: recovery.text,
        }
    }

    /// The SHA-256 thumbprint of the key that has this one under another hash.
    fn by_other_hash(&self, asked: &str) -> Option<String> {
        let keys = self.0.unlock.read();
        let is_it = |key: &&faros_tang::Key| {
            faros_tang::Hash::ALL
                .iter()
                .any(|hash| key.thumbprint_by(*hash) == asked)
        };
        let found = keys.as_ref()?.ring.keys().find(is_it)?;
        Some(found.thumbprint().to_string())
    }

    fn refuse(
        &self,
        from: Ipv4Addr,
        node: Option<&Node>,
        key: &str,
        refusal: Refusal,
        now: Timestamp,
    ) -> Page {
        self.count(refusal.label());
        let mut told = lock(&self.0.unlock.told);
        told.retain(|_, told| {
            now.duration_since(told.at) < TELL_AGAIN.try_into().unwrap_or_default() || told.repeated > 0
        });
        let entry = told.entry((from, refusal));
        let repeated = match entry {
            std::collections::btree_map::Entry::Occupied(mut entry) => {
                let told = entry.get_mut();
                if now.duration_since(told.at) < TELL_AGAIN.try_into().unwrap_or_default() {
                    told.repeated += 1;
                    return Page::Status(refusal.status());
                }
                told.at = now;
                std::mem::take(&mut told.repeated)
            }
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Told { at: now, repeated: 0 });
                0
            }
        };
        drop(told);
        let detail = json!({
            "reason": refusal.as_str(), "message": refusal.message(), "key": key, "address": from, "repeated": repeated,
        });
        self.saw(
            from,
            node.map(|node| node.boot_mac),
            EventKind::UnlockRefused,
            detail,
        );
        Page::Status(refusal.status())
    }
}

impl Pages for TangPages {
    fn serves(&self, from: Ipv4Addr) -> bool {
        let intent = self.0.current();
        intent.is_some_and(|intent| {
            intent.site.lan.subnet.contains(from) && from != intent.site.lan.addresses.bastion
                || intent.site.unlock.policy == UnlockPolicy::Anyone
        })
    }

    fn page(&self, ask: Ask) -> Soon<'_, Page> {
        Box::pin(async move {
            match (faros_tang::route(&ask.path), ask.method) {
                (Route::Advertisement(asked), Method::Get) => self.advertise(ask.from, asked).await,
                (Route::Recovery(asked), Method::Post) => self.recover(ask.from, asked, ask.body).await,
                (Route::Unknown, _) => Page::Status(404),
                (Route::Advertisement(_) | Route::Recovery(_), _) => Page::Status(405),
            }
        })
    }
}
