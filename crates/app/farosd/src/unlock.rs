//! The unlock service: Tang's protocol, by the policy of the site, with a memory.
//!
//! Everything a node could come to depend on is on disk before it is told: keys before they are advertised, and
//! a binding before the advertisement that makes it leaves.

mod orders;
mod pages;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard},
};

use anyhow::Context as _;
use faros_model::{
    api::{Lockdown, UnlockBinding, UnlockKey, UnlockStatus},
    ids::HostName,
    site::SealKeysWith,
};
use faros_seal::{
    AskError, AskPassphrase, Bound, Passphrase, Question, SealWith, Sealing, SystemdAsk, Tpm, Work,
};
use faros_store::{Store, StoreError};
use faros_tang::{KeyRing, Standing, Tables, Thumbprint, Usage};
use faros_unlock::{Ledger, Recent, Told};
use jiff::Timestamp;
use rand_core::UnwrapErr;
use tokio::sync::{Semaphore, watch};

pub(crate) use self::{orders::UnlockError, pages::TangPages};
use crate::daemon::{Intent, lock};

/// Recoveries that are computed at a time; each takes a processor for a millisecond.
const AT_ONCE: usize = 2;

/// How long a node that was asked to bind its disks anew may take, the slowest disks included.
const TO_REBIND: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

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
    /// They are open, and on disk as the site file wants them.
    Open,
    /// They are open, and on disk they are not sealed as the site file wants it; and why.
    Unsealed(String),
    /// They cannot be opened, and why.
    Failed(String),
}

/// What opens sealed keys, besides a person.
#[derive(Debug, Clone)]
pub(crate) struct UnsealBy {
    /// The TPM.
    pub(crate) tpm: Tpm,
    /// The folder of systemd's credentials.
    pub(crate) credentials: Option<PathBuf>,
}

impl UnsealBy {
    fn ask(&self) -> SystemdAsk {
        let subject = "the unlock keys of this site";
        SystemdAsk::new(subject, "faros-unlock", self.credentials.as_deref())
    }
}

/// What the unlock service remembers.
pub(crate) struct Unlock {
    unseal_by: UnsealBy,
    pub(crate) keyhole: watch::Sender<Keyhole>,
    path: PathBuf,
    /// `None` until they are made or unsealed.
    keys: RwLock<Option<Keys>>,
    ledger: Mutex<Ledger>,
    recent: Mutex<Recent>,
    /// When each node was last asked to bind its disks anew, which takes their old key.
    asked_to_rebind: Mutex<BTreeMap<HostName, Timestamp>>,
    lockdown: RwLock<Option<Lockdown>>,
    told: Mutex<Told>,
    work: Semaphore,
    /// One change of the keys at a time. Taken before `keys`, which is taken before `ledger`.
    changing: tokio::sync::Mutex<()>,
    /// One change of the lockdown at a time.
    locking: tokio::sync::Mutex<()>,
}

impl Unlock {
    /// Reads what is remembered, save the keys, which may have to be unsealed.
    pub(crate) fn open(store: &Store, unseal_by: UnsealBy) -> Result<Self, StoreError> {
        Ok(Self {
            unseal_by,
            keyhole: watch::Sender::new(Keyhole::Untried),
            path: store.dir().join("unlock-keys.sealed"),
            keys: RwLock::new(None),
            ledger: Mutex::new(Ledger::of(store.bindings()?)),
            recent: Mutex::default(),
            asked_to_rebind: Mutex::default(),
            lockdown: RwLock::new(store.lockdown()?),
            told: Mutex::default(),
            work: Semaphore::new(AT_ONCE),
            changing: tokio::sync::Mutex::new(()),
            locking: tokio::sync::Mutex::new(()),
        })
    }

    /// Opens the keys, or makes some, and has them on disk as the site file wants it; tells of it at the keyhole.
    /// May be stopped at any time, and begun anew.
    pub(crate) async fn tend(&self, seal_with: SealKeysWith) {
        if self.read().is_none() {
            self.keyhole.send_replace(Keyhole::Opening);
            if let Err(error) = self.open_keys(seal_with).await {
                let why = format!("the unlock keys cannot be opened: {error:#}");
                tracing::error!("{why}");
                self.keyhole.send_replace(Keyhole::Failed(why));
                return;
            }
        }
        if !self.is_sealed_with(seal_with) {
            self.tell_unsealed(&format!(
                "the unlock keys are being sealed with {}; if that is a passphrase, answer \
                 `systemd-tty-ask-password-agent`",
                wanted(seal_with).label()
            ));
            if let Err(error) = self.seal_with(seal_with).await {
                let why = format!("the unlock keys are not sealed as the site file wants it: {error:#}");
                tracing::error!("{why}");
                self.tell_unsealed(&why);
                return;
            }
        }
        self.keyhole.send_replace(Keyhole::Open);
    }

    fn tell_unsealed(&self, why: &str) {
        self.keyhole.send_replace(Keyhole::Unsealed(why.to_owned()));
    }

    /// Whether the keys are on disk as the site file wants it.
    pub(crate) fn is_sealed_with(&self, seal_with: SealKeysWith) -> bool {
        let keys = self.read();
        keys.as_ref()
            .is_some_and(|keys| keys.sealed_with == wanted(seal_with))
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
        let mut asker = Remembering {
            asks: self.unseal_by.ask(),
            answer: None,
        };
        let secret = faros_seal::unseal(&sealed, &self.unseal_by.tpm, &mut asker).await?;
        let text = std::str::from_utf8(secret.expose()).context("the unlock keys are no text")?;
        let ring = KeyRing::from_secret_json(text).context("the unlock keys cannot be read")?;
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
    async fn seal_with(&self, seal_with: SealKeysWith) -> anyhow::Result<()> {
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
        let tpm = &self.unseal_by.tpm;
        let passphrase = match (seal_with, known) {
            (SealKeysWith::Passphrase, None) => {
                Some(faros_seal::choose_passphrase(&mut self.unseal_by.ask()).await?)
            }
            (SealKeysWith::Passphrase, known) => known,
            (SealKeysWith::Nothing | SealKeysWith::Tpm2, _) => None,
        };
        let with = match (seal_with, &passphrase) {
            (SealKeysWith::Tpm2, _) => SealWith::Tpm2 {
                tpm,
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

    fn read(&self) -> RwLockReadGuard<'_, Option<Keys>> {
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

    /// Whether a node depends on a key that is not advertised any more, and so has to bind its disks anew. If so, it
    /// is about to be asked to.
    pub(crate) fn has_to_rebind(&self, node: &HostName) -> bool {
        let keys = self.read();
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

/// Asks, and remembers what was answered last.
struct Remembering {
    asks: SystemdAsk,
    answer: Option<Passphrase>,
}

impl AskPassphrase for Remembering {
    async fn ask(&mut self, question: Question) -> Result<Passphrase, AskError> {
        let answer = self.asks.ask(question).await?;
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
