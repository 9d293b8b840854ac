//! Encrypts and decrypts with the age format, version 1 (<https://age-encryption.org/v1>), as a whole and in memory.

use std::{
    io::{self, Read, Write},
    iter,
};

use age::{DecryptError, Decryptor, EncryptError, Encryptor, Identity, Recipient};
use zeroize::Zeroizing;

use crate::{MAX_SECRET, Passphrase, Secret};

/// How much work it is to try one passphrase: scrypt with N = 2 to the power of this, r = 8, p = 1, so 2 to the
/// power of this KiB of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work(u8);

impl Work {
    /// The most that is opened: 1 GiB of memory, some seconds.
    const MAX: u8 = 20;

    /// Nothing that is worth guessing at: for tests.
    pub const LIGHT: Self = Self(4);
}

impl Default for Work {
    /// 128 MiB, and half a second of a small machine.
    fn default() -> Self {
        Self(17)
    }
}

pub(crate) fn to_passphrase(secret: &Secret, passphrase: &Passphrase, work: Work) -> io::Result<Vec<u8>> {
    let mut recipient = age::scrypt::Recipient::new(passphrase.text().clone());
    recipient.set_work_factor(work.0);
    encrypt(secret.expose(), iter::once(&recipient as _), Vec::new()).map_err(io::Error::other)?
}

pub(crate) fn with_passphrase(body: &[u8], passphrase: &Passphrase) -> Result<Secret, DecryptError> {
    let mut identity = age::scrypt::Identity::new(passphrase.text().clone());
    identity.set_max_work_factor(Work::MAX);
    decrypt(body, iter::once(&identity as _))
}

/// Writes an age file to many recipients. The outer error is one of the recipients.
pub(crate) fn encrypt<'a, W: Write>(
    secret: &[u8],
    recipients: impl Iterator<Item = &'a dyn Recipient>,
    to: W,
) -> Result<io::Result<W>, EncryptError> {
    let encryptor = Encryptor::with_recipients(recipients)?;
    let write = || {
        let mut writer = encryptor.wrap_output(to)?;
        writer.write_all(secret)?;
        writer.finish()
    };
    Ok(write())
}

pub(crate) fn decrypt<'a>(
    body: impl io::BufRead,
    identities: impl Iterator<Item = &'a dyn Identity>,
) -> Result<Secret, DecryptError> {
    let reader = Decryptor::new_buffered(body)?.decrypt(identities)?;
    // One allocation, so that no copy is left behind by a move to a larger one.
    let mut secret = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 64));
    let n_bytes = reader.take(MAX_SECRET as u64 + 1).read_to_end(&mut secret)?;
    if n_bytes > MAX_SECRET {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
    }
    Ok(Secret::new(secret))
}

/// Whether it is the key that is wrong, and not the file.
pub(crate) fn is_wrong_key(error: &DecryptError) -> bool {
    matches!(
        error,
        DecryptError::DecryptionFailed | DecryptError::NoMatchingKeys
    )
}
