//! Passphrases by systemd's ways: a credential of the unit, else a question to whoever is at the machine.
//!
//! `systemd-ask-password` hands the question to any agent: the console at boot, the terminal of `systemctl start`,
//! or `systemd-tty-ask-password-agent` over SSH. It is told not to use a terminal itself, so that a daemon started
//! by hand acts as one that is not.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use age::secrecy::SecretString;
use zeroize::Zeroizing;

use crate::{
    AskError, AskPassphrase, Passphrase, Question,
    program::{Program, last_line},
};

/// The name of the credential that holds the passphrase.
pub const CREDENTIAL: &str = "faros-passphrase";

/// More than systemd's agents let anyone type.
const MAX_PASSPHRASE: usize = 4096;

/// Asks for passphrases by systemd's ways.
#[derive(Debug)]
pub struct SystemdAsk {
    subject: String,
    id: String,
    credential: Option<PathBuf>,
    from_credential: bool,
}

impl SystemdAsk {
    /// `subject` is what the passphrase opens, as a person may read it; `id` is for agents to tell questions
    /// apart; `credentials` is `$CREDENTIALS_DIRECTORY`.
    pub fn new(subject: &str, id: &str, credentials: Option<&Path>) -> Self {
        Self {
            subject: subject.to_owned(),
            id: id.to_owned(),
            credential: credentials.map(|folder| folder.join(CREDENTIAL)),
            from_credential: false,
        }
    }

    fn message(&self, question: Question, empty: bool) -> String {
        let subject = &self.subject;
        let before = match question {
            _ if empty => "It may not be empty. ",
            Question::OpenAgain if self.from_credential => "The one in the credential is wrong. ",
            Question::OpenAgain => "That was wrong. ",
            Question::ChooseAgain => "The two differed. ",
            Question::Open | Question::Choose | Question::Repeat => "",
        };
        match question {
            Question::Open | Question::OpenAgain => format!("{before}Passphrase for {subject}:"),
            Question::Choose | Question::ChooseAgain => {
                format!("{before}New passphrase for {subject}:")
            }
            Question::Repeat => format!("{before}New passphrase for {subject}, once more:"),
        }
    }

    async fn ask_a_person(&self, message: &str) -> Result<Option<Passphrase>, AskError> {
        let mut program = Program::new("systemd-ask-password");
        // Another credential, for other programs, would answer in a person's place.
        program.command.env_remove("CREDENTIALS_DIRECTORY");
        program.command.args(["--no-tty", "--timeout=0", "-n"]);
        program
            .command
            .arg(format!("--id={}", self.id))
            .arg("--")
            .arg(message);
        let ran = program.run(&[], MAX_PASSPHRASE, None).await?;
        if !ran.status.success() {
            let said = last_line(&ran.stderr, "systemd-ask-password was stopped");
            return Err(AskError::NoAnswer { said });
        }
        let Ok(text) = str::from_utf8(&ran.stdout) else {
            let said = "the answer is not text".to_owned();
            return Err(AskError::NoAnswer { said });
        };
        Ok(Passphrase::new(SecretString::from(text)))
    }
}

impl AskPassphrase for SystemdAsk {
    async fn ask(&mut self, question: Question) -> Result<Passphrase, AskError> {
        // A credential does not change, so it is not tried on the same thing twice.
        let wanted = match question {
            Question::Open | Question::Choose | Question::Repeat => true,
            Question::OpenAgain | Question::ChooseAgain => false,
        };
        if let Some(path) = self.credential.as_deref().filter(|_| wanted)
            && let Some(passphrase) = read_credential(path)?
        {
            self.from_credential = true;
            return Ok(passphrase);
        }
        let mut message = self.message(question, false);
        self.from_credential = false;
        loop {
            if let Some(passphrase) = self.ask_a_person(&message).await? {
                return Ok(passphrase);
            }
            message = self.message(question, true);
        }
    }
}

/// `None` if there is no such file. One line end is left out, as editors add one.
fn read_credential(path: &Path) -> Result<Option<Passphrase>, AskError> {
    let failed = |source| AskError::Credential {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PASSPHRASE + 64));
    file.take(MAX_PASSPHRASE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let text = str::from_utf8(&bytes)
        .ok()
        .filter(|text| text.len() <= MAX_PASSPHRASE);
    let text = text.map(|text| text.strip_suffix('\n').unwrap_or(text));
    let passphrase = text.and_then(|text| Passphrase::new(SecretString::from(text)));
    passphrase.map(Some).ok_or_else(|| AskError::NotPassphrase {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests;
