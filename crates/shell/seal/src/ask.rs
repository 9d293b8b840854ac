//! Where a passphrase comes from, seen from those who need one.

use std::{future::Future, io, path::PathBuf};

use crate::{Passphrase, RunError};

/// Someone who can be asked for a passphrase.
pub trait AskPassphrase: Send {
    /// Asks, and waits as long as it takes.
    fn ask(&mut self, question: Question) -> impl Future<Output = Result<Passphrase, AskError>> + Send;
}

/// What the passphrase is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// To open what is sealed.
    Open,
    /// The same; the answer before this was wrong.
    OpenAgain,
    /// To seal something with it from now on.
    Choose,
    /// The same once more, to be sure.
    Repeat,
    /// The two answers before this differed.
    ChooseAgain,
}

/// Asks for a passphrase to seal with, until it is given twice alike.
pub async fn choose_passphrase(ask: &mut impl AskPassphrase) -> Result<Passphrase, AskError> {
    let mut question = Question::Choose;
    loop {
        let first = ask.ask(question).await?;
        if ask.ask(Question::Repeat).await? == first {
            return Ok(first);
        }
        question = Question::ChooseAgain;
    }
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The credential cannot be read.
    #[error("cannot read the credential {}", path.display())]
    Credential {
        /// Its file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The credential is empty, too large, or no text.
    #[error("the credential {} is not a passphrase", path.display())]
    NotPassphrase {
        /// Its file.
        path: PathBuf,
    },
    /// The program that asks cannot be run.
    #[error("cannot ask for a passphrase")]
    Program(#[from] RunError),
    /// The program that asks ended without an answer.
    #[error("nobody answered: {said}")]
    NoAnswer {
        /// Its last words.
        said: String,
    },
}

impl AskError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Credential { .. } | Self::NotPassphrase { .. } => {
                "see `LoadCredential=` in systemd.exec(5); without it, a person is asked"
            }
            Self::Program(_) | Self::NoAnswer { .. } => {
                "a passphrase needs systemd-ask-password and an agent, or the credential `faros-passphrase`"
            }
        }
    }
}
