//! The file of a sealed secret: one line that says how it is sealed, then what age or systemd made.
//!
//! ```text
//! faros-sealed 1 passphrase 298 9f86d081884c7d65…
//! age-encryption.org/v1
//! …
//! ```
//!
//! The words are the format's name, its version, the mode, and the length and SHA-256 of all that follows the
//! line. The digest keeps nobody out: it tells a torn or rotten file from a wrong passphrase, which to age look
//! the same, so that a person is not asked for ever for a passphrase that cannot be right.

use std::fmt;

use sha2::{Digest, Sha256};

/// The largest secret that is sealed, in bytes. A site's keys take some thousands.
pub const MAX_SECRET: usize = 256 * 1024;

/// Base64, and what age and systemd add.
pub(crate) const MAX_SEALED: usize = 2 * MAX_SECRET;

const NAME: &str = "faros-sealed";
const VERSION: u32 = 1;

/// Far longer than the line is in any version of the format.
const MAX_LINE: usize = 256;

/// How a secret is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sealing {
    /// Not at all: it lies in the clear, in a file that only its owner may read.
    Nothing,
    /// With a passphrase, which a person gives at each start.
    Passphrase,
    /// With this machine's TPM 2.0, which opens it with nobody present.
    Tpm2,
}

impl Sealing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Passphrase, Self::Tpm2];

    /// Its word in the file.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Passphrase => "passphrase",
            Self::Tpm2 => "tpm2",
        }
    }
}

impl fmt::Display for Sealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How a secret is sealed. Says so only of what is whole.
pub fn mode_of(sealed: &[u8]) -> Result<Sealing, FormatError> {
    split(sealed).map(|(mode, _)| mode)
}

pub(crate) fn join(mode: Sealing, body: &[u8]) -> Vec<u8> {
    let mut sealed = line(mode, body).into_bytes();
    sealed.extend(body);
    sealed
}

pub(crate) fn split(sealed: &[u8]) -> Result<(Sealing, &[u8]), FormatError> {
    if sealed.is_empty() {
        return Err(FormatError::Empty);
    }
    if sealed.len() > MAX_SEALED {
        return Err(FormatError::TooLarge);
    }
    let head = &sealed[..sealed.len().min(MAX_LINE)];
    let end = head.iter().position(|byte| *byte == b'\n');
    let first = end.map_or(head, |end| &head[..end]);
    let first = str::from_utf8(first).map_err(|_| FormatError::NotSealed)?;
    let mut words = first.split(' ');
    if words.next() != Some(NAME) {
        return Err(FormatError::NotSealed);
    }
    let Some(end) = end else {
        return Err(FormatError::Truncated);
    };
    let body = &sealed[end + 1..];

    let version = words.next().and_then(|word| word.parse().ok());
    let version: u32 = version.ok_or(FormatError::NotSealed)?;
    if version != VERSION {
        return Err(FormatError::Version { found: version });
    }
    let word = words.next().unwrap_or_default();
    let mode = Sealing::ALL.into_iter().find(|mode| mode.label() == word);
    let mode = mode.ok_or(FormatError::Mode)?;
    let length = words.next().and_then(|word| word.parse::<usize>().ok());
    if length.is_some_and(|length| length > body.len()) {
        return Err(FormatError::Truncated);
    }
    // There is one way to write the line, so whatever differs is damage.
    if &sealed[..=end] != line(mode, body).as_bytes() {
        return Err(FormatError::Damaged);
    }
    Ok((mode, body))
}

fn line(mode: Sealing, body: &[u8]) -> String {
    use fmt::Write as _;
    let mut line = format!("{NAME} {VERSION} {mode} {} ", body.len());
    for byte in Sha256::digest(body) {
        // Writing to a string does not fail.
        let _ = write!(line, "{byte:02x}");
    }
    line.push('\n');
    line
}

/// Why bytes are not a sealed secret that can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It is something else.
    #[error("it is not a sealed secret")]
    NotSealed,
    /// A newer program wrote it.
    #[error("it is of version {found}, and this program knows version {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// It is sealed in a way that there is not.
    #[error("it is sealed in an unknown way")]
    Mode,
    /// Its end is missing.
    #[error("its end is missing")]
    Truncated,
    /// It is larger than any that can be sealed.
    #[error("it is larger than a sealed secret can be")]
    TooLarge,
    /// It is not as it was written.
    #[error("it is not as it was written")]
    Damaged,
}

impl FormatError {
    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Version { .. } => "use the program that wrote it, or a newer one",
            Self::Empty | Self::NotSealed | Self::Mode | Self::Truncated | Self::TooLarge | Self::Damaged => {
                "restore it from a backup"
            }
        }
    }
}

#[cfg(test)]
mod tests;
