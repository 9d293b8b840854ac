//! A copy of a secret for a drawer: an age file that no part of the site can open.
//!
//! Only native recipients (`age1…`) are taken. Those of SSH keys would bring RSA and five more crates along, and
//! whoever has an SSH key can make an age key in a second.

use std::{fmt, io, str::FromStr};

use age::{
    DecryptError, EncryptError,
    armor::{ArmoredReader, ArmoredWriter, Format},
    x25519,
};

use bech32::{Bech32, Hrp};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{Secret, age_file};

/// Encrypts a secret to everyone of `recipients`: any one of them opens it. The result is text.
pub fn backup_to_age(secret: &[u8], recipients: &[Recipient]) -> Result<String, BackupError> {
    if recipients.is_empty() {
        return Err(BackupError::Nobody);
    }
    let armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
    let recipients = recipients
        .iter()
        .map(|recipient| &recipient.0 as &dyn age::Recipient);
    let text = age_file::encrypt(secret, recipients, armor)
        .map_err(BackupError::Recipients)??
        .finish()?;
    String::from_utf8(text).map_err(|error| BackupError::Write(io::Error::other(error)))
}

/// Opens what [`backup_to_age`] made, or any age file to the same recipient.
pub fn restore_from_age(text: &str, with: &Identities) -> Result<Secret, RestoreError> {
    let reader = ArmoredReader::new(text.as_bytes());
    let identities = with.0.iter().map(|identity| identity as &dyn age::Identity);
    age_file::decrypt(io::BufReader::new(reader), identities).map_err(|error| {
        if age_file::is_wrong_key(&error) {
            RestoreError::NotForUs
        } else {
            RestoreError::Read(error)
        }
    })
}

/// Someone who can open a backup: `age1…`.
#[derive(Debug, Clone)]
pub struct Recipient(pub(crate) x25519::Recipient);

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        text.parse().map(Self).map_err(|why| RecipientError {
            text: text.to_owned(),
            why,
        })
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The keys that open a backup: what `age-keygen` writes. Invariant: not empty.
pub struct Identities(pub(crate) Vec<x25519::Identity>);

impl Identities {
    /// The key that follows from another secret, for this use of it; the same each time.
    ///
    /// # Panics
    /// Never: 32 bytes are a key of X25519.
    pub fn derived(secret: &[u8; 32], of: &str) -> Self {
        let mut hash = Sha256::new_with_prefix(of.as_bytes());
        hash.update([0]);
        hash.update(secret);
        let bytes = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
        let prefix = Hrp::parse_unchecked("age-secret-key-");
        let text = Zeroizing::new(bech32::encode_upper::<Bech32>(prefix, &*bytes).unwrap_or_default());
        Self(vec![text.parse().expect("32 bytes are a key")])
    }

    /// Those who encrypt for these keys.
    pub fn recipients(&self) -> Vec<Recipient> {
        let own = self.0.iter();
        own.map(|identity| Recipient(identity.to_public())).collect()
    }
}

impl FromStr for Identities {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut identities = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let identity = text.parse().map_err(|why| IdentityError::Line { line, why })?;
            identities.push(identity);
        }
        if identities.is_empty() {
            return Err(IdentityError::None);
        }
        Ok(Self(identities))
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// Why text is not a recipient.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not an age recipient: {why}")]
pub struct RecipientError {
    text: String,
    why: &'static str,
}

impl RecipientError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        if self.text.starts_with("ssh-") {
            "SSH keys are not taken; make an age key with `age-keygen`"
        } else if self.text.starts_with("AGE-SECRET-KEY-") {
            "this is a secret key; `age-keygen -y` says its recipient"
        } else {
            "it starts with `age1`; `age-keygen` prints one"
        }
    }
}

/// Why text is no identity. It does not repeat the text.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There is none in it.
    #[error("there is no age identity in it")]
    None,
    /// A line is something else.
    #[error("line {line} is not an age identity: {why}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// Why a backup cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nobody could open it.
    #[error("a backup needs at least one recipient")]
    Nobody,
    /// age does not take the recipients.
    #[error("cannot encrypt to these recipients")]
    Recipients(#[source] EncryptError),
    /// age cannot write it.
    #[error("cannot write the backup")]
    Write(#[from] io::Error),
}

/// Why a backup cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// It is for other recipients.
    #[error("the backup is not for this identity")]
    NotForUs,
    /// It is not an age file, or not as it was written.
    #[error("cannot read the backup")]
    Read(#[source] DecryptError),
}

impl IdentityError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        "it is the file that `age-keygen` wrote; an identity starts with `AGE-SECRET-KEY-1`"
    }
}

impl BackupError {
    /// What to do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Nobody => Some("name one, as `age-keygen` prints it"),
            Self::Recipients(_) | Self::Write(_) => None,
        }
    }
}

impl RestoreError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotForUs => "use the identity of one of the recipients that it was made for",
            Self::Read(_) => "try another copy of the backup",
        }
    }
}
