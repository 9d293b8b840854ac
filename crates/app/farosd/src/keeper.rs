//! Keeps a secret of the bastion: made once, on disk sealed as the site file wants it, opened at start.
//!
//! There are several secrets, one file each, and one way to open and to seal them all: whoever gives a passphrase
//! for one is not asked for the others. What a secret is, and when it changes, is its owner's.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use anyhow::Context as _;
use faros_model::{api::ServiceState, site::SealKeysWith};
use faros_seal::{
    AskError, AskPassphrase, Bound, Passphrase, Question, SealWith, Sealing, SystemdAsk, Tpm, Work,
};
use tokio::sync::{MutexGuard, watch};
use zeroize::Zeroizing;

use crate::daemon::lock;

/// A secret that is kept.
pub(crate) trait Kept: Sized + Send + Sync + 'static {
    /// What it is, for people.
    const WHAT: &'static str;
    /// The name of its file.
    const FILE: &'static str;

    /// Reads what [`to_secret`](Self::to_secret) wrote.
    fn from_secret(text: &str) -> anyhow::Result<Self>;
    /// All of it, as text.
    fn to_secret(&self) -> Zeroizing<String>;
}

/// Whether a secret is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keyhole {
    /// Nobody has tried.
    Untried,
    /// It is being made or unsealed, which may wait for a passphrase.
    Opening,
    /// It is open, and on disk as the site file wants it.
    Open,
    /// It is open, and on disk it is not sealed as the site file wants it; and why.
    Unsealed(String),
    /// It cannot be opened, and why.
    Failed(String),
}

/// What opens what is sealed, besides a person. Clones share what was learned.
#[derive(Debug, Clone)]
pub(crate) struct UnsealBy {
    tpm: Tpm,
    /// The folder of systemd's credentials.
    credentials: Option<PathBuf>,
    /// The passphrase that something is sealed with, so that nobody is asked for it twice.
    known: Arc<Mutex<Option<Passphrase>>>,
}

impl UnsealBy {
    pub(crate) fn new(tpm: Tpm, credentials: Option<PathBuf>) -> Self {
        Self {
            tpm,
            credentials,
            known: Arc::default(),
        }
    }

    fn ask(&self, what: &str) -> SystemdAsk {
        let subject = format!("{what} of this site");
        SystemdAsk::new(&subject, "faros-unlock", self.credentials.as_deref())
    }
}

/// A secret's keeper.
pub(crate) struct Keeper<T> {
    unseal_by: UnsealBy,
    keyhole: watch::Sender<Keyhole>,
    path: PathBuf,
    /// `None` until it is made or unsealed.
    held: RwLock<Option<(Arc<T>, Sealing)>>,
    /// One change at a time; taken before `held`.
    changing: tokio::sync::Mutex<()>,
}

/// What there is to say of a keeper, whatever it keeps.
pub(crate) trait Keeping {
    /// Tells whether the secret is open.
    fn keyhole(&self) -> &watch::Sender<Keyhole>;
    /// What keeps it closed, as the state of a service that needs it.
    fn closed(&self) -> Option<(ServiceState, String)>;
    /// Why it is not sealed as the site file wants it, though it is open.
    fn unsealed(&self) -> Option<String>;
    /// Whether it is open, and on disk as the site file wants it.
    fn is_settled(&self, seal_with: SealKeysWith) -> bool;
}

impl<T: Kept> Keeping for Keeper<T> {
    fn keyhole(&self) -> &watch::Sender<Keyhole> {
        &self.keyhole
    }

    fn closed(&self) -> Option<(ServiceState, String)> {
        let what = T::WHAT;
        match &*self.keyhole.borrow() {
            Keyhole::Open | Keyhole::Unsealed(_) => None,
            Keyhole::Untried | Keyhole::Opening => Some((
                ServiceState::Waiting,
                format!(
                    "{what} are being opened; if they are sealed with a passphrase, answer \
                     `systemd-tty-ask-password-agent`"
                ),
            )),
            Keyhole::Failed(why) => Some((ServiceState::Failed, why.clone())),
        }
    }

    fn unsealed(&self) -> Option<String> {
        match &*self.keyhole.borrow() {
            Keyhole::Unsealed(why) => Some(why.clone()),
            _ => None,
        }
    }

    fn is_settled(&self, seal_with: SealKeysWith) -> bool {
        *self.keyhole.borrow() == Keyhole::Open && self.is_sealed_with(seal_with)
    }
}

impl<T: Kept> Keeper<T> {
    /// Keeps a secret in this folder. It is opened by [`tend`](Self::tend).
    pub(crate) fn new(folder: &Path, unseal_by: UnsealBy) -> Self {
        Self {
            unseal_by,
            keyhole: watch::Sender::new(Keyhole::Untried),
            path: folder.join(T::FILE),
            held: RwLock::new(None),
            changing: tokio::sync::Mutex::new(()),
        }
    }

    /// Opens the secret, or makes it, and has it on disk as the site file wants it; tells of it at the keyhole.
    /// Whether it was made. May be stopped at any time, and begun anew.
    pub(crate) async fn tend(
        &self,
        seal_with: SealKeysWith,
        make: impl FnOnce() -> anyhow::Result<T>,
    ) -> bool {
        let what = T::WHAT;
        let mut is_new = false;
        if self.held().is_none() {
            self.keyhole.send_replace(Keyhole::Opening);
            match self.open(seal_with, make).await {
                Ok(new) => is_new = new,
                Err(error) => {
                    let why = format!("{what} cannot be opened: {error:#}");
                    tracing::error!("{why}");
                    self.keyhole.send_replace(Keyhole::Failed(why));
                    return false;
                }
            }
        }
        if !self.is_sealed_with(seal_with) {
            self.tell_unsealed(&format!(
                "{what} are being sealed with {}; if that is a passphrase, answer \
                 `systemd-tty-ask-password-agent`",
                wanted(seal_with).label()
            ));
            if let Err(error) = self.seal_anew(seal_with).await {
                let why = format!("{what} are not sealed as the site file wants it: {error:#}");
                tracing::error!("{why}");
                self.tell_unsealed(&why);
                return is_new;
            }
        }
        self.keyhole.send_replace(Keyhole::Open);
        is_new
    }

    fn tell_unsealed(&self, why: &str) {
        self.keyhole.send_replace(Keyhole::Unsealed(why.to_owned()));
    }

    fn is_sealed_with(&self, seal_with: SealKeysWith) -> bool {
        self.sealed_with() == Some(wanted(seal_with))
    }

    /// Opens it, or makes it; whether it was made. Asks for the passphrase if it is sealed with one, for as long as
    /// it takes.
    async fn open(
        &self,
        seal_with: SealKeysWith,
        make: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<bool> {
        let _changing = self.changing.lock().await;
        if self.held().is_some() {
            return Ok(false);
        }
        let path = self.path.clone();
        let sealed = tokio::task::spawn_blocking(move || faros_seal::read_sealed(&path)).await??;
        let Some(sealed) = sealed else {
            self.put(make()?, seal_with).await?;
            return Ok(true);
        };
        let sealed_with = faros_seal::mode_of(&sealed)?;
        let mut asker = Remembering {
            asks: self.unseal_by.ask(T::WHAT),
            known: lock(&self.unseal_by.known).clone(),
            tried_known: false,
            answer: None,
        };
        let secret = faros_seal::unseal(&sealed, &self.unseal_by.tpm, &mut asker).await?;
        if let Some(answer) = asker.answer {
            *lock(&self.unseal_by.known) = Some(answer);
        }
        let what = T::WHAT;
        let text = std::str::from_utf8(secret.expose()).with_context(|| format!("{what} are no text"))?;
        let value = T::from_secret(text).with_context(|| format!("{what} cannot be read"))?;
        self.hold(value, sealed_with);
        Ok(false)
    }

    /// Seals it anew, as the site file has it now.
    async fn seal_anew(&self, seal_with: SealKeysWith) -> anyhow::Result<()> {
        let _changing = self.changing.lock().await;
        let Some(value) = self.held().filter(|_| !self.is_sealed_with(seal_with)) else {
            return Ok(());
        };
        let text = value.to_secret();
        self.write(&text, seal_with).await?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some((value, wanted(seal_with)));
        Ok(())
    }

    /// Writes a secret to the disk, and only then uses it. Whoever calls has the right to change it, from
    /// [`change`](Self::change).
    pub(crate) async fn put(&self, value: T, seal_with: SealKeysWith) -> anyhow::Result<()> {
        let text = value.to_secret();
        self.write(&text, seal_with).await?;
        self.hold(value, wanted(seal_with));
        Ok(())
    }

    /// Seals and writes. A passphrase that is not known is asked for.
    async fn write(&self, text: &str, seal_with: SealKeysWith) -> anyhow::Result<()> {
        let known = lock(&self.unseal_by.known).clone();
        let passphrase = match (seal_with, known) {
            (SealKeysWith::Passphrase, None) => {
                Some(faros_seal::choose_passphrase(&mut self.unseal_by.ask(T::WHAT)).await?)
            }
            (SealKeysWith::Passphrase, known) => known,
            (SealKeysWith::Nothing | SealKeysWith::Tpm2, _) => None,
        };
        let with = match (seal_with, &passphrase) {
            (SealKeysWith::Tpm2, _) => SealWith::Tpm2 {
                tpm: &self.unseal_by.tpm,
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
        *lock(&self.unseal_by.known) = passphrase;
        Ok(())
    }

    fn hold(&self, value: T, sealed_with: Sealing) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some((Arc::new(value), sealed_with));
    }

    /// The secret; `None` while it is sealed.
    pub(crate) fn held(&self) -> Option<Arc<T>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|(value, _)| Arc::clone(value))
    }

    /// How it is sealed on disk; `None` until it was opened.
    pub(crate) fn sealed_with(&self) -> Option<Sealing> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|(_, sealed_with)| *sealed_with)
    }

    /// The right to change the secret; none while somebody else does, who may wait for a passphrase.
    pub(crate) fn change(&self) -> Option<MutexGuard<'_, ()>> {
        self.changing.try_lock().ok()
    }
}

fn wanted(seal_with: SealKeysWith) -> Sealing {
    match seal_with {
        SealKeysWith::Nothing => Sealing::Nothing,
        SealKeysWith::Passphrase => Sealing::Passphrase,
        SealKeysWith::Tpm2 => Sealing::Tpm2,
    }
}

/// Answers with the passphrase that opened another secret, or else asks; remembers what was answered last.
struct Remembering {
    asks: SystemdAsk,
    known: Option<Passphrase>,
    /// Whether the last answer was the known one, which nobody is to be blamed for.
    tried_known: bool,
    answer: Option<Passphrase>,
}

impl AskPassphrase for Remembering {
    async fn ask(&mut self, question: Question) -> Result<Passphrase, AskError> {
        if let Some(known) = self.known.take() {
            self.tried_known = true;
            self.answer = Some(known.clone());
            return Ok(known);
        }
        let question = if std::mem::take(&mut self.tried_known) {
            Question::Open
        } else {
            question
        };
        let answer = self.asks.ask(question).await?;
        self.answer = Some(answer.clone());
        Ok(answer)
    }
}
