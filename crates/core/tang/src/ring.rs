//! The keys of a server, and how they come and go.
//!
//! Keys are made in pairs, one that signs and one that exchanges. A rotation makes a new pair and hides the
//! others: hidden keys are no longer advertised, so nothing new is bound to them, and go on to recover what is.
//! Only [`KeyRing::retire`] ends that, and it cannot be undone: what was bound to the key alone is lost.

use std::sync::Arc;

use jiff::Timestamp;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::curve::{Curve, Point, Secret};
use crate::jwk::{self, BadJwk, Usage, WireJwk};
use crate::thumbprint::{Hash, Thumbprint};

/// Whether a key is in the advertisement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It is: new bindings use it.
    Advertised,
    /// It was rotated out: it recovers, and signs for those who ask for it by name.
    Hidden,
}

/// A secret key and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// In one place of the memory, however often the key is cloned or moved.
    pub(crate) secret: Arc<Secret>,
    pub(crate) point: Point,
    thumbprint: Thumbprint,
    usage: Usage,
    standing: Standing,
    created: Timestamp,
    set: u32,
}

impl Key {
    pub(crate) fn new(
        usage: Usage,
        secret: Secret,
        standing: Standing,
        created: Timestamp,
        set: u32,
    ) -> Self {
        let point = secret.public();
        let thumbprint = Thumbprint::of(&point);
        Self {
            secret: Arc::new(secret),
            point,
            thumbprint,
            usage,
            standing,
            created,
            set,
        }
    }

    /// Its name.
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Its name under another hash, in base64url.
    pub fn thumbprint_by(&self, hash: Hash) -> String {
        hash.thumbprint(&self.point)
    }

    /// What it is for.
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether it is advertised.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// When it was made or imported.
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// Keys that were made or imported together have the same number; later ones have higher numbers.
    pub const fn set(&self) -> u32 {
        self.set
    }

    /// The curve it is on.
    pub const fn curve(&self) -> Curve {
        self.point.curve
    }
}

/// All keys of a server, oldest first. The empty ring is the default; it advertises nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Key>,
}

/// A file of a key folder of `tangd`.
pub struct KeyFile {
    /// Its name: the key's thumbprint and `.jwk`; hidden keys have a dot before.
    pub name: String,
    /// Its content.
    pub text: Zeroizing<String>,
}

/// Why a key folder was not imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key file {file} cannot be used")]
pub struct ImportError {
    /// Name of the first file that cannot be used.
    pub file: String,
    /// What is wrong with it.
    #[source]
    pub why: BadJwk,
}

/// Why a key was not retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RetireError {
    /// There is no such key.
    #[error("there is no key {0}")]
    Unknown(Thumbprint),
    /// It is advertised: rotate first.
    #[error("the key {0} is still advertised")]
    Advertised(Thumbprint),
    /// It signs; signing keys leave with the exchange key they were made with.
    #[error("the key {0} is a signing key, which leaves with its exchange key")]
    Signing(Thumbprint),
}

impl KeyRing {
    /// A ring with one new pair of keys.
    pub fn generate(rng: &mut impl CryptoRng, now: Timestamp) -> Self {
        let mut made = Self::default();
        made.rotate(rng, now);
        made
    }

    /// Makes a new pair of keys, which is advertised, and hides all others.
    pub fn rotate(&mut self, rng: &mut impl CryptoRng, now: Timestamp) {
        for key in &mut self.keys {
            key.standing = Standing::Hidden;
        }
        let set = self.next_set();
        for usage in [Usage::Signing, Usage::Exchange] {
            let secret = Secret::generate(rng);
            self.keys
                .push(Key::new(usage, secret, Standing::Advertised, now, set));
        }
    }

    /// Removes a hidden exchange key for good, and with the last one of its set the hidden signing keys of that
    /// set; gives the names of all that were removed.
    ///
    /// # Errors
    /// If it is no hidden exchange key; nothing is removed then.
    pub fn retire(&mut self, name: &Thumbprint) -> Result<Vec<Thumbprint>, RetireError> {
        let key = self.keys.iter().find(|key| key.thumbprint == *name);
        let set = match key.map(|key| (key.usage, key.standing, key.set)) {
            None => return Err(RetireError::Unknown(*name)),
            Some((Usage::Signing, ..)) => return Err(RetireError::Signing(*name)),
            Some((Usage::Exchange, Standing::Advertised, _)) => return Err(RetireError::Advertised(*name)),
            Some((Usage::Exchange, Standing::Hidden, set)) => set,
        };
        let last = !self
            .keys
            .iter()
            .any(|key| key.set == set && key.usage == Usage::Exchange && key.thumbprint != *name);
        let leaves = |key: &Key| match key.usage {
            Usage::Exchange => key.thumbprint == *name,
            Usage::Signing => last && key.set == set && key.standing == Standing::Hidden,
        };
        let (gone, kept) = std::mem::take(&mut self.keys).into_iter().partition(leaves);
        self.keys = kept;
        Ok(Vec::<Key>::into_iter(gone).map(|key| key.thumbprint).collect())
    }

    /// Adds the keys of a key folder of `tangd`, given as names and contents of its files; gives how many were
    /// new. As in `tangd`, a key is hidden if its file's name begins with a dot, and files with other endings
    /// than `.jwk` are passed over.
    ///
    /// # Errors
    /// If a file holds no key that can be used; nothing is added then.
    pub fn import<'a>(
        &mut self,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
        now: Timestamp,
    ) -> Result<usize, ImportError> {
        let set = self.next_set();
        let mut added: Vec<Key> = Vec::new();
        for (name, text) in files.into_iter().filter(|(name, _)| is_key_file(name)) {
            let refused = |why| ImportError {
                file: name.to_owned(),
                why,
            };
            let wire = WireJwk::read(text.as_bytes()).ok_or(BadJwk::NotJwk);
            let (usage, secret) = wire.and_then(|wire| wire.secret()).map_err(refused)?;
            // Hidden ones in a set before that of the others, since they were made before them.
            let (standing, set) = if name.starts_with('.') {
                (Standing::Hidden, set)
            } else {
                (Standing::Advertised, set.saturating_add(1))
            };
            let key = Key::new(usage, secret, standing, now, set);
            let known = |it: &Key| it.thumbprint == key.thumbprint;
            if !self.keys.iter().chain(&added).any(known) {
                added.push(key);
            }
        }
        added.sort_by_key(|key| key.set);
        let n_added = added.len();
        self.keys.append(&mut added);
        Ok(n_added)
    }

    /// Adds the keys of another ring, hidden: they unlock what was bound to them, and nothing is bound to them
    /// again. Gives those that were not known.
    pub fn restore(&mut self, other: Self) -> Vec<Thumbprint> {
        let last = self.next_set().saturating_sub(1);
        let is_new = |key: &Key| self.keys.iter().all(|own| own.thumbprint != key.thumbprint);
        let mut added: Vec<Key> = other.keys.into_iter().filter(is_new).collect();
        for key in &mut added {
            key.standing = Standing::Hidden;
            // Keys that were made together stay together.
            key.set = key.set.saturating_add(last);
        }
        let names = added.iter().map(|key| key.thumbprint).collect();
        self.keys.append(&mut added);
        names
    }

    /// The ring as a key folder that `tangd` can serve.
    pub fn export(&self) -> impl Iterator<Item = KeyFile> {
        self.keys.iter().map(|key| {
            let dot = match key.standing {
                Standing::Advertised => "",
                Standing::Hidden => ".",
            };
            let mut text = Zeroizing::new(String::with_capacity(jwk::MAX_SECRET_TEXT));
            jwk::secret(&mut text, key);
            let name = format!("{dot}{}.jwk", key.thumbprint);
            KeyFile { name, text }
        })
    }

    /// All keys, oldest first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    pub(crate) fn from_keys(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    fn next_set(&self) -> u32 {
        let last = self.keys.iter().map(|key| key.set).max();
        last.map_or(1, |set| set.saturating_add(1))
    }
}

fn is_key_file(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, ending)| ending == "jwk")
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyFile")
            .field("name", &self.name)
            .field("text", &"[hidden]")
            .finish()
    }
}
