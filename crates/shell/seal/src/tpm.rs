//! Seals to the machine's TPM 2.0, by `systemd-creds`.
//!
//! The TPM holds a key that leaves it only on this machine; `systemd-creds` encrypts the secret with that key
//! (AES-256-GCM) and talks to the TPM in an encrypted session. Why not the tools of the TPM's own project, or a
//! library: `docs/decisions/0006-keys-at-rest.md`.

use std::{io, time::Duration};

use crate::{
    MAX_SECRET, RunError, Secret,
    blob::MAX_SEALED,
    program::{Program, last_line},
};

/// A slow TPM takes a few seconds to make its primary key.
const WITHIN: Duration = Duration::from_mins(1);

/// The name inside the credential; one of another name is refused.
const NAME: &str = "faros-seal";

/// What a secret is bound to, besides the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bound {
    /// Nothing: whatever this machine boots can open it.
    #[default]
    Machine,
    /// The state of Secure Boot (PCR 7): it is lost when keys or settings of the firmware change.
    SecureBoot,
}

impl Bound {
    /// PCR 16 is for debugging and stays zero. systemd 252 cannot open what it sealed to no PCR at all.
    const fn pcr(self) -> &'static str {
        match self {
            Self::Machine => "16",
            Self::SecureBoot => "7",
        }
    }
}

/// A TPM 2.0.
#[derive(Debug, Clone)]
pub struct Tpm {
    device: String,
}

impl Default for Tpm {
    /// The machine's own.
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
        }
    }
}

impl Tpm {
    /// Another than the machine's own, as `systemd-creds --tpm2-device=` takes it: a path, or a driver and its
    /// parameter (`swtpm:path=…`).
    pub fn at(device: &str) -> Self {
        Self {
            device: device.to_owned(),
        }
    }

    pub(crate) async fn seal(&self, secret: &[u8], bound: Bound) -> Result<Vec<u8>, TpmError> {
        let mut program = self.program();
        program
            .command
            .args(["--with-key=tpm2", "--tpm2-pcrs", bound.pcr(), "encrypt", "-", "-"]);
        let ran = program.run(secret, MAX_SEALED, Some(WITHIN)).await?;
        if !ran.status.success() {
            return Err(TpmError::of(&ran.stderr));
        }
        // To a PCR that the firmware leaves at zero, it seals with no more than a remark.
        if bound == Bound::SecureBoot && ran.stderr.contains("unenforced") {
            return Err(TpmError::Unmeasured);
        }
        Ok(ran.stdout.to_vec())
    }

    pub(crate) async fn unseal(&self, body: &[u8]) -> Result<Secret, TpmError> {
        let mut program = self.program();
        program.command.args(["--newline=no", "decrypt", "-", "-"]);
        let ran = program.run(body, MAX_SECRET, Some(WITHIN)).await?;
        if !ran.status.success() {
            return Err(TpmError::of(&ran.stderr));
        }
        Ok(Secret::new(ran.stdout))
    }

    fn program(&self) -> Program {
        let mut program = Program::new("systemd-creds");
        program
            .command
            .args(["--name", NAME, "--tpm2-device", &self.device]);
        program
    }
}

/// Why the TPM does not seal or open.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// The program that talks to it cannot be run.
    #[error("cannot run the program that talks to the TPM")]
    Program(#[from] RunError),
    /// There is none, or it cannot be reached.
    #[error("there is no TPM 2.0 to talk to: {said}")]
    Absent {
        /// What was said.
        said: String,
    },
    /// Another TPM sealed it, or this one was cleared since.
    #[error("this TPM did not seal it, or was cleared since")]
    OtherTpm,
    /// The state of Secure Boot is another than when it was sealed.
    #[error("the state of Secure Boot has changed since it was sealed")]
    Changed,
    /// The firmware does not measure, so that binding to what it measures is no bond.
    #[error("the firmware does not measure the state of Secure Boot")]
    Unmeasured,
    /// Anything else.
    #[error("the TPM refused: {said}")]
    Refused {
        /// What was said.
        said: String,
    },
}

impl TpmError {
    /// systemd has one exit code for all of these; what it and the TPM's library say differs by version.
    fn of(stderr: &str) -> Self {
        let said = last_line(stderr, "nothing was said");
        let has = |texts: &[&str]| texts.iter().any(|text| stderr.contains(text));
        // `ERROR:tcti:FILE:LINE:FUNCTION() WHAT`, by the library that opens the device.
        let unopened = stderr.lines().find_map(|line| line.strip_prefix("ERROR:tcti:"));
        if let Some(line) = unopened {
            let said = line
                .split_once("() ")
                .map_or(line, |(_, what)| what)
                .trim()
                .to_owned();
            Self::Absent { said }
        } else if has(&["TPM2 support", "not installed"]) {
            Self::Absent { said }
        } else if has(&["(0x000001df)", "integrity check failed"]) {
            Self::OtherTpm
        } else if has(&[
            "policy digest does not match",
            "(0x0000099d)",
            "Operation not permitted",
        ]) {
            Self::Changed
        } else {
            Self::Refused { said }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Program(RunError::Start { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                "`systemd-creds` comes with systemd, from version 250"
            }
            Self::Absent { .. } => {
                "enable the TPM in the firmware, or let the daemon open it (group `tss`, where there is one); \
                 `systemd-creds has-tpm2` says what is missing"
            }
            Self::OtherTpm | Self::Changed => "restore the keys from a backup, and seal them anew",
            Self::Unmeasured => "bind to the machine alone, or use a passphrase",
            Self::Program(_) | Self::Refused { .. } => {
                "`systemd-creds has-tpm2` and the kernel's log say more"
            }
        }
    }
}

#[cfg(test)]
mod tests;
