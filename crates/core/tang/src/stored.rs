//! The form in which a ring is kept: JSON with a version, secrets in clear. Sealing it is the caller's part.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::jwk::{self, BadJwk, WireJwk};
use crate::ring::{Key, KeyRing, Standing};

const FORMAT: &str = "faros-tang-keys";
const VERSION: u32 = 1;

/// Why stored keys cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStore {
    /// It is not the JSON of stored keys.
    #[error("this is not a store of Tang keys")]
    NotStore,
    /// A version that is not known here.
    #[error("the Tang keys are stored in version {0} of their form, which is not known here")]
    Version(u32),
    /// A key cannot be used.
    #[error("key {number} of the stored Tang keys cannot be used")]
    Key {
        /// Which one, counted from 1.
        number: usize,
        /// What is wrong with it.
        source: BadJwk,
    },
    /// A key is stored twice.
    #[error("key {number} of the stored Tang keys is there twice")]
    Twice {
        /// Which one, counted from 1.
        number: usize,
    },
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Store {
    keys: Vec<StoredKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredKey {
    set: u32,
    created: Timestamp,
    standing: StoredStanding,
    jwk: WireJwk,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredStanding {
    Advertised,
    Hidden,
}

impl KeyRing {
    /// The ring, secrets and all, for storing.
    pub fn to_secret_json(&self) -> Zeroizing<String> {
        // Enough for all, so that the text never moves and leaves a copy behind.
        let capacity = 64 + self.keys().count() * (jwk::MAX_SECRET_TEXT + 160);
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        // Writing to a `String` cannot fail.
        let _ = write!(text, r#"{{"format":"{FORMAT}","version":{VERSION},"keys":["#);
        for (idx, key) in self.keys().enumerate() {
            let comma = if idx == 0 { "" } else { "," };
            let standing = match key.standing() {
                Standing::Advertised => "advertised",
                Standing::Hidden => "hidden",
            };
            let (set, created) = (key.set(), key.created());
            let _ = write!(
                text,
                r#"{comma}{{"set":{set},"created":"{created}","standing":"{standing}","jwk":"#
            );
            jwk::secret(&mut text, key);
            text.push('}');
        }
        text.push_str("]}");
        text
    }

    /// The ring that was stored.
    ///
    /// # Errors
    /// If it is not in that form, or any key in it cannot be used.
    pub fn from_secret_json(text: &str) -> Result<Self, BadStore> {
        let head: Head = serde_json::from_str(text).map_err(|_| BadStore::NotStore)?;
        if head.format != FORMAT {
            return Err(BadStore::NotStore);
        }
        if head.version != VERSION {
            return Err(BadStore::Version(head.version));
        }
        let store: Store = serde_json::from_str(text).map_err(|_| BadStore::NotStore)?;
        let mut keys: Vec<Key> = Vec::with_capacity(store.keys.len());
        for (idx, stored) in store.keys.iter().enumerate() {
            let number = idx + 1;
            let (usage, secret) = stored
                .jwk
                .secret()
                .map_err(|source| BadStore::Key { number, source })?;
            let standing = match stored.standing {
                StoredStanding::Advertised => Standing::Advertised,
                StoredStanding::Hidden => Standing::Hidden,
            };
            let key = Key::new(usage, secret, standing, stored.created, stored.set);
            if keys.iter().any(|it| it.thumbprint() == key.thumbprint()) {
                return Err(BadStore::Twice { number });
            }
            keys.push(key);
        }
        Ok(Self::from_keys(keys))
    }
}
