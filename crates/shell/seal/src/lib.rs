//! Keeps a secret at rest.
//!
//! Whoever carries off the bastion's disk must not have the keys that unlock every node of the site, unless the
//! operator chose so. A sealed secret is one file that says how it is sealed (see [`Sealing`]), so that opening it
//! needs to know nothing but where to ask: the machine's TPM, or a person.
//!
//! The cryptography is age's and systemd's, and the format of the file is only one line in front of theirs: with
//! that line cut off (`tail -n +2`), `age --decrypt` and `systemd-creds decrypt` open the rest without Faros.
//!
//! What the secret is, and when to seal it anew, is the caller's. Sealing anew does not wipe the old file's blocks
//! off the disk; a secret that ever lay there in the clear has to be replaced.

mod age_file;
mod ask;
mod backup;
mod blob;
mod file;
mod program;
mod secret;
mod stream;
mod systemd;
mod tpm;

pub use age_file::Work;
pub use ask::{AskError, AskPassphrase, Question, choose_passphrase};
pub use backup::{
    BackupError, Identities, IdentityError, Recipient, RecipientError, RestoreError, backup_to_age,
    restore_from_age,
};
pub use blob::{FormatError, MAX_SECRET, Sealing, mode_of};
pub use file::{FileError, read_sealed, write_sealed};
pub use program::RunError;
pub use secret::{Passphrase, Secret};
pub use stream::{Opened, Sealed, open_stream, seal_stream};
pub use systemd::{CREDENTIAL, SystemdAsk};
pub use tpm::{Bound, Tpm, TpmError};

use std::{future, io, panic};

use age::DecryptError;

/// How to seal.
#[derive(Debug, Clone, Copy)]
pub enum SealWith<'a> {
    /// In the clear: whoever has the file has the secret.
    Nothing,
    /// To whoever knows a passphrase.
    Passphrase {
        /// The passphrase.
        passphrase: &'a Passphrase,
        /// How much work it is to try one passphrase.
        work: Work,
    },
    /// To this machine's TPM 2.0.
    Tpm2 {
        /// The TPM.
        tpm: &'a Tpm,
        /// What else than the machine it is bound to.
        bound: Bound,
    },
}

/// Seals a secret. The result is what [`write_sealed`] keeps and [`unseal`] opens.
pub async fn seal(secret: &[u8], with: &SealWith<'_>) -> Result<Vec<u8>, SealError> {
    if secret.len() > MAX_SECRET {
        return Err(SealError::TooLarge {
            n_bytes: secret.len(),
        });
    }
    match *with {
        SealWith::Nothing => Ok(blob::join(Sealing::Nothing, secret)),
        SealWith::Passphrase { passphrase, work } => {
            let (secret, passphrase) = (Secret::new(secret.to_vec()), passphrase.clone());
            let body = apart(move || age_file::to_passphrase(&secret, &passphrase, work))
                .await
                .map_err(SealError::Age)?;
            Ok(blob::join(Sealing::Passphrase, &body))
        }
        SealWith::Tpm2 { tpm, bound } => {
            let body = tpm.seal(secret, bound).await?;
            Ok(blob::join(Sealing::Tpm2, &body))
        }
    }
}

/// Opens what [`seal`] made. A wrong passphrase is asked for again, without end: stop by dropping the future.
pub async fn unseal(sealed: &[u8], tpm: &Tpm, ask: &mut impl AskPassphrase) -> Result<Secret, UnsealError> {
    let (mode, body) = blob::split(sealed)?;
    match mode {
        Sealing::Nothing => Ok(Secret::new(body.to_vec())),
        Sealing::Tpm2 => Ok(tpm.unseal(body).await?),
        Sealing::Passphrase => {
            let mut question = Question::Open;
            loop {
                let passphrase = ask.ask(question).await?;
                let body = body.to_vec();
                match apart(move || age_file::with_passphrase(&body, &passphrase)).await {
                    Ok(secret) => return Ok(secret),
                    Err(error) if age_file::is_wrong_key(&error) => question = Question::OpenAgain,
                    Err(DecryptError::ExcessiveWork { .. }) => return Err(UnsealError::TooMuchWork),
                    Err(error) => return Err(UnsealError::Age(error)),
                }
            }
        }
    }
}

/// Runs what takes a processor for a second where it holds up nobody.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down, and this future with it.
        Err(_) => future::pending().await,
    }
}

/// Why a secret cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// It is larger than what [`unseal`] would read.
    #[error("a secret of {n_bytes} bytes is larger than the {MAX_SECRET} that can be sealed")]
    TooLarge {
        /// Its size.
        n_bytes: usize,
    },
    /// age cannot write it.
    #[error("cannot encrypt with a passphrase")]
    Age(#[source] io::Error),
    /// The TPM does not take it.
    #[error("cannot seal to the TPM")]
    Tpm(#[from] TpmError),
}

/// Why a sealed secret cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// It is not a sealed secret, or not as it was written.
    #[error("cannot read the sealed secret")]
    Format(#[from] FormatError),
    /// Nobody gives a passphrase.
    #[error("cannot get the passphrase")]
    Ask(#[from] AskError),
    /// It says that opening it takes more work, and memory, than any that was sealed here.
    #[error("to try a passphrase on the sealed secret takes more work than is allowed")]
    TooMuchWork,
    /// It was changed, along with its digest.
    #[error("cannot decrypt the sealed secret")]
    Age(#[source] DecryptError),
    /// The TPM does not open it.
    #[error("cannot open with the TPM")]
    Tpm(#[from] TpmError),
}

impl SealError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Tpm(error) => Some(error.hint()),
            Self::TooLarge { .. } | Self::Age(_) => None,
        }
    }
}

impl UnsealError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Format(error) => error.hint(),
            Self::Ask(error) => error.hint(),
            Self::TooMuchWork | Self::Age(_) => "someone changed it; restore it from a backup",
            Self::Tpm(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests;
