//! Thumbprints: names of keys, made from what is public in them (RFC 7638).
//!
//! Keys go by their SHA-256 thumbprint here. Clients may know them by another hash (older ones pinned SHA-1),
//! so every key is found by all of those that `jose` knows.

use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use sha2::Digest as _;

use crate::curve::Point;
use crate::jwk;

/// A key's SHA-256 thumbprint; written in base64url without padding, 43 characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Thumbprint([u8; 32]);

/// The hashes by which a key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1, by which clevis before version 18 named keys.
    Sha1,
    /// SHA-224.
    Sha224,
    /// SHA-256, by which clients name keys.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in `jose jwk thp -a`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "S1",
            Self::Sha224 => "S224",
            Self::Sha256 => "S256",
            Self::Sha384 => "S384",
            Self::Sha512 => "S512",
        }
    }

    /// The thumbprint of a key under this hash, in base64url.
    pub(crate) fn thumbprint(self, point: &Point) -> String {
        let canonical = jwk::thumbprint_input(point);
        match self {
            Self::Sha1 => BASE64_URL_SAFE_NO_PAD.encode(sha1::Sha1::digest(canonical)),
            Self::Sha224 => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha224::digest(canonical)),
            Self::Sha256 => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(canonical)),
            Self::Sha384 => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha384::digest(canonical)),
            Self::Sha512 => BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha512::digest(canonical)),
        }
    }
}

impl Thumbprint {
    pub(crate) fn of(point: &Point) -> Self {
        Self(sha2::Sha256::digest(jwk::thumbprint_input(point)).into())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Thumbprint {
    type Err = BadThumbprint;

    fn from_str(text: &str) -> Result<Self, BadThumbprint> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| BadThumbprint)?;
        bytes.try_into().map(Self).map_err(|_| BadThumbprint)
    }
}

/// Text that is no thumbprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key's thumbprint is 43 characters of base64url")]
pub struct BadThumbprint;
