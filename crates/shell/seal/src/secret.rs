//! What must not be printed and does not stay in memory.

use std::fmt;

use age::secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// Bytes that are wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes over. Copies that were made before are not its business.
    pub fn new(bytes: impl Into<Zeroizing<Vec<u8>>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// What a person knows. Invariant: not empty.
#[derive(Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// `None` if it is empty.
    pub fn new(text: impl Into<SecretString>) -> Option<Self> {
        let text = text.into();
        (!text.expose_secret().is_empty()).then_some(Self(text))
    }

    pub(crate) fn text(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}
