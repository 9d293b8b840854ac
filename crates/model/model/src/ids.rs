//! Identifiers, one type each, valid by construction.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::net::serde_as_text;

/// A DNS label that may name a host (RFC 1123 section 2.1).
///
/// Invariant: 1 to 63 of `a-z`, `0-9`, `-`, with no `-` at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostName(Box<str>);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HostName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_the_alphabet = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match text.len() {
            0 => return Err("is empty"),
            1..=63 => (),
            _ => return Err("has more than 63 characters"),
        }
        if !text.bytes().all(of_the_alphabet) {
            return Err("has characters other than a-z, 0-9 and `-`");
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err("starts or ends with `-`");
        }
        Ok(Self(text.into()))
    }
}

/// A DNS domain of host labels, such as `edge.example.com`.
///
/// Invariant: at least one label, each a valid [`HostName`]; at most 253 characters; no dot at the end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(Box<str>);

impl DomainName {
    /// The domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `label` in this domain. The caller keeps the whole under 254 characters.
    pub fn child(&self, label: &HostName) -> Self {
        Self(format!("{label}.{self}").into())
    }
}

impl FromStr for DomainName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 253 {
            return Err("has more than 253 characters");
        }
        for label in text.split('.') {
            label.parse::<HostName>().map_err(|why| match why {
                "is empty" => "has an empty label",
                _ => "has a label that is no host name (a-z, 0-9, `-` inside, at most 63 characters)",
            })?;
        }
        Ok(Self(text.into()))
    }
}

/// A secret that is good for one thing, once: 128 random bits, as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Nonce(Box<str>);

impl Nonce {
    /// The nonce of these bits.
    pub fn of(bits: [u8; 16]) -> Self {
        Self(bits.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err("is not 32 hexadecimal digits");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

/// An Ethernet address. Displayed with lower-case hexadecimal digits and colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Whether it names one station: the group bit (IEEE 802) is not set.
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0
    }

    /// Whether all octets are zero.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// The form that network boot programs use in file names: digits joined by `-`.
    pub fn hyphenated(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every packet has one that is told, so it is put together by hand.
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        let mut text = [b':'; 17];
        for (octet, at) in self.0.into_iter().zip((0..).step_by(3)) {
            [text[at], text[at + 1]] = [digit(octet >> 4), digit(octet & 0xf)];
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for MacAddr {
    type Err = &'static str;

    /// Takes six two-digit octets joined by `:` or by `-`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "is not a MAC address of six octets, such as 52:54:00:08:00:01";
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut parts = text.split(separator);
        for octet in &mut octets {
            let part = parts.next().ok_or(WHY)?;
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(WHY);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| WHY)?;
        }
        if parts.next().is_some() {
            Err(WHY)
        } else {
            Ok(Self(octets))
        }
    }
}

/// The SHA-256 digest of some content, displayed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "is not a SHA-256 digest of 64 hexadecimal digits";
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(WHY);
        }
        let mut bytes = [0; 32];
        for (byte, idx) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[idx..idx + 2], 16).map_err(|_| WHY)?;
        }
        Ok(Self(bytes))
    }
}

/// The number of an accepted intent. It only grows; the first is 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One boot session of one machine, unique within a site; displayed as `boot-17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "boot-{}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix("boot-").and_then(|n| n.parse().ok());
        number.map(Self).ok_or("is not a boot session, such as boot-17")
    }
}

/// A name in the content store, such as `debian-13` or `loader/uefi-x86_64`.
///
/// Invariant: 1 to 384 characters, which the parts of container images need; segments of `a-z`, `0-9`, `.`, `_`,
/// `-` joined by `/`; no segment starts with `.`, so that no name can leave a folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentName(Box<str>);

impl ContentName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name whose parts were checked by whoever made it.
    pub(crate) fn of_checked(text: String) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "`{text}` is no content name");
        Self(text.into())
    }
}

impl FromStr for ContentName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let of_the_alphabet =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > 384 {
            return Err("has no or more than 384 characters");
        }
        for segment in text.split('/') {
            if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(of_the_alphabet) {
                return Err("is not a content name: words of a-z, 0-9, `.`, `_`, `-`, joined by `/`");
            }
        }
        Ok(Self(text.into()))
    }
}

macro_rules! display_as_text {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

display_as_text!(HostName, DomainName, ContentName);
serde_as_text!(HostName, DomainName, MacAddr, Digest, SessionId, ContentName);
