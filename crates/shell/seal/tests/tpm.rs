//! Seals to a TPM 2.0 in software (swtpm) with the machine's own `systemd-creds`.

use std::{
    error::Error,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use faros_seal::{
    AskError, AskPassphrase, Bound, FormatError, Passphrase, Question, SealError, SealWith, Sealing, Secret,
    Tpm, TpmError, UnsealError, mode_of, seal, unseal,
};
use tempfile::TempDir;

type Outcome = Result<(), Box<dyn Error>>;

/// A TPM, plugged into nothing. It is off when dropped.
struct Soft {
    folder: TempDir,
    running: Child,
}

impl Soft {
    fn new() -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let set_up = Command::new("swtpm_setup")
            .args(["--tpm2", "--overwrite", "--pcr-banks", "sha256", "--tpmstate"])
            .arg(folder.path())
            .output()?;
        assert!(set_up.status.success(), "swtpm_setup: {set_up:?}");
        let running = power_on(folder.path())?;
        Ok(Self { folder, running })
    }

    fn tcti(&self) -> String {
        format!("swtpm:path={}", self.folder.path().join("socket").display())
    }

    fn tpm(&self) -> Tpm {
        Tpm::at(&self.tcti())
    }

    fn power_cycle(&mut self) -> Outcome {
        self.running.kill()?;
        self.running.wait()?;
        self.running = power_on(self.folder.path())?;
        Ok(())
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Outcome {
        let tool = Command::new(name)
            .args(arguments)
            .env("TPM2TOOLS_TCTI", self.tcti())
            .output()?;
        assert!(tool.status.success(), "{name}: {tool:?}");
        Ok(())
    }

    fn measure(&self, pcr: u8) -> Outcome {
        self.tool("tpm2_pcrextend", &[&format!("{pcr}:sha256={}", "5a".repeat(32))])
    }

    /// What the kernel does behind `/dev/tpmrm0` whenever a program ends: frees what it left in the TPM.
    fn free(&self) -> Outcome {
        self.tool("tpm2_flushcontext", &["--transient-object"])?;
        self.tool("tpm2_flushcontext", &["--loaded-session"])
    }

    async fn seal(&self, secret: &[u8], bound: Bound) -> Result<Vec<u8>, Box<dyn Error>> {
        let sealed = seal(
            secret,
            &SealWith::Tpm2 {
                tpm: &self.tpm(),
                bound,
            },
        )
        .await;
        self.free()?;
        Ok(sealed?)
    }

    async fn unseal(&self, sealed: &[u8]) -> Result<Result<Secret, UnsealError>, Box<dyn Error>> {
        let opened = unseal(sealed, &self.tpm(), &mut Nobody).await;
        self.free()?;
        Ok(opened)
    }
}

impl Drop for Soft {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn power_on(folder: &Path) -> Result<Child, Box<dyn Error>> {
    let socket = folder.join("socket");
    let running = Command::new("swtpm")
        .args(["socket", "--tpm2", "--flags", "startup-clear"])
        .arg("--tpmstate")
        .arg(format!("dir={}", folder.display()))
        .arg("--server")
        .arg(format!("type=unixio,path={}", socket.display()))
        .arg("--ctrl")
        .arg(format!("type=unixio,path={}.ctrl", socket.display()))
        .stderr(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    while !folder.join("socket.ctrl").exists() || !socket.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "swtpm does not start"
        );
        thread::sleep(Duration::from_millis(10));
    }
    Ok(running)
}

struct Nobody;

impl AskPassphrase for Nobody {
    async fn ask(&mut self, _: Question) -> Result<Passphrase, AskError> {
        Err(AskError::NoAnswer {
            said: "a TPM needs nobody".to_owned(),
        })
    }
}

#[tokio::test]
async fn the_machine_opens_what_it_sealed_after_a_power_cut_and_another_boot() -> Outcome {
    let mut soft = Soft::new()?;
    let secret: Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    let sealed = soft.seal(&secret, Bound::Machine).await?;
    assert_eq!(mode_of(&sealed)?, Sealing::Tpm2);
    assert!(!sealed.windows(16).any(|bytes| bytes == &secret[..16]));
    assert_eq!(soft.unseal(&sealed).await??.expose(), secret);

    soft.power_cycle()?;
    for pcr in 0..=9 {
        soft.measure(pcr)?;
    }
    assert_eq!(soft.unseal(&sealed).await??.expose(), secret);
    Ok(())
}

#[tokio::test]
async fn another_machine_does_not_open_it_nor_this_one_after_its_tpm_was_cleared() -> Outcome {
    let (soft, other) = (Soft::new()?, Soft::new()?);
    let sealed = soft.seal(b"keys", Bound::Machine).await?;
    let opened = other.unseal(&sealed).await?;
    assert!(
        matches!(opened, Err(UnsealError::Tpm(TpmError::OtherTpm))),
        "{opened:?}"
    );
    soft.tool("tpm2_clear", &[])?;
    let opened = soft.unseal(&sealed).await?;
    assert!(
        matches!(opened, Err(UnsealError::Tpm(TpmError::OtherTpm))),
        "{opened:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_bound_to_secure_boot_is_lost_when_that_changes() -> Outcome {
    let mut soft = Soft::new()?;
    soft.measure(7)?;
    let sealed = soft.seal(b"keys", Bound::SecureBoot).await?;
    assert_eq!(soft.unseal(&sealed).await??.expose(), b"keys");

    soft.measure(7)?;
    let opened = soft.unseal(&sealed).await?;
    assert!(
        matches!(opened, Err(UnsealError::Tpm(TpmError::Changed))),
        "{opened:?}"
    );

    soft.power_cycle()?;
    soft.measure(7)?;
    assert_eq!(soft.unseal(&sealed).await??.expose(), b"keys");
    Ok(())
}

#[tokio::test]
async fn what_the_firmware_does_not_measure_binds_nothing() -> Outcome {
    let soft = Soft::new()?;
    let sealed = seal(
        b"keys",
        &SealWith::Tpm2 {
            tpm: &soft.tpm(),
            bound: Bound::SecureBoot,
        },
    )
    .await;
    assert!(
        matches!(sealed, Err(SealError::Tpm(TpmError::Unmeasured))),
        "{sealed:?}"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_tpm_there_is_a_reason_and_a_hint() -> Outcome {
    let soft = Soft::new()?;
    let sealed = soft.seal(b"keys", Bound::Machine).await?;
    let nowhere = Tpm::at("swtpm:path=/nowhere");
    let opened = unseal(&sealed, &nowhere, &mut Nobody).await;
    assert!(
        matches!(&opened, Err(UnsealError::Tpm(TpmError::Absent { .. }))),
        "{opened:?}"
    );
    let with = SealWith::Tpm2 {
        tpm: &nowhere,
        bound: Bound::Machine,
    };
    let refused = seal(b"keys", &with).await;
    assert!(
        matches!(&refused, Err(SealError::Tpm(TpmError::Absent { .. }))),
        "{refused:?}"
    );
    assert!(
        refused
            .err()
            .and_then(|error| error.hint())
            .is_some_and(|hint| hint.contains("firmware"))
    );
    Ok(())
}

#[tokio::test]
async fn a_damaged_file_does_not_get_to_the_tpm() -> Outcome {
    let soft = Soft::new()?;
    let mut sealed = soft.seal(b"keys", Bound::Machine).await?;
    let last = sealed.len() - 3;
    sealed[last] ^= 1;
    let opened = soft.unseal(&sealed).await?;
    assert!(
        matches!(opened, Err(UnsealError::Format(FormatError::Damaged))),
        "{opened:?}"
    );
    let opened = soft.unseal(&sealed[..last]).await?;
    assert!(
        matches!(opened, Err(UnsealError::Format(FormatError::Truncated))),
        "{opened:?}"
    );
    Ok(())
}

#[tokio::test]
async fn without_the_first_line_systemd_opens_it_alone() -> Outcome {
    let soft = Soft::new()?;
    let sealed = soft.seal(b"keys", Bound::Machine).await?;
    let file = soft.folder.path().join("sealed");
    std::fs::write(&file, sealed)?;
    let shell = "tail -n +2 \"$1\" | systemd-creds --tpm2-device=\"$2\" --name=faros-seal decrypt - -";
    let opened = Command::new("sh")
        .args(["-c", shell, "-"])
        .arg(&file)
        .arg(soft.tcti())
        .output()?;
    assert_eq!(String::from_utf8_lossy(&opened.stdout), "keys", "{opened:?}");
    Ok(())
}
