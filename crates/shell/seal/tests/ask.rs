//! Asks with the real `systemd-ask-password`, and answers as systemd's agents do. Needs root.

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use faros_seal::{
    AskError, AskPassphrase, CREDENTIAL, Passphrase, Question, SealWith, SystemdAsk, Tpm, Work,
    choose_passphrase, seal, unseal,
};
use tokio::time::{sleep, timeout};

type Outcome = Result<(), Box<dyn Error>>;

const REPLY: &str = "/usr/lib/systemd/systemd-reply-password";
const QUESTIONS: &str = "/run/systemd/ask-password";

/// A question that waits for an answer: systemd's "Password Agents" specification.
struct Pending {
    file: PathBuf,
    fields: BTreeMap<String, String>,
}

fn pending(id: &str) -> Option<Pending> {
    let files = fs::read_dir(QUESTIONS).ok()?;
    files
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| {
            file.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ask."))
        })
        .find_map(|file| {
            let text = fs::read_to_string(&file).ok()?;
            let fields = text.lines().filter_map(|line| line.split_once('='));
            let fields: BTreeMap<_, _> = fields.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
            (fields.get("Id").is_some_and(|found| found == id)).then_some(Pending { file, fields })
        })
}

async fn wait_for(id: &str) -> Result<Pending, Box<dyn Error>> {
    for _ in 0..500 {
        if let Some(pending) = pending(id) {
            return Ok(pending);
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err("no question was asked".into())
}

/// Answers the question with this id, and returns its text.
async fn answer(id: &str, answer: &str) -> Result<String, Box<dyn Error>> {
    let pending = wait_for(id).await?;
    let socket = pending.fields.get("Socket").ok_or("no socket")?;
    let mut reply = Command::new(REPLY)
        .args(["1", socket])
        .stdin(Stdio::piped())
        .spawn()?;
    reply
        .stdin
        .take()
        .ok_or("no stdin")?
        .write_all(format!("{answer}\n").as_bytes())?;
    assert!(reply.wait()?.success());
    gone(&pending.file).await?;
    Ok(pending.fields.get("Message").cloned().unwrap_or_default())
}

async fn gone(file: &Path) -> Outcome {
    for _ in 0..500 {
        if !file.exists() {
            return Ok(());
        }
        sleep(Duration::from_millis(10)).await;
    }
    Err("the question is still there".into())
}

async fn sealed() -> Result<Vec<u8>, Box<dyn Error>> {
    let passphrase = Passphrase::new("right = wrong").ok_or("empty")?;
    let with = SealWith::Passphrase {
        passphrase: &passphrase,
        work: Work::LIGHT,
    };
    Ok(seal(b"keys", &with).await?)
}

#[tokio::test]
async fn a_person_is_asked_until_the_passphrase_is_right() -> Outcome {
    let id = "faros-test-right";
    let sealed = sealed().await?;
    let mut ask = SystemdAsk::new("the unlock keys", id, None);
    let tpm = Tpm::default();
    let agent = async {
        let mut asked = Vec::new();
        for text in ["wrong", "", "right = wrong"] {
            asked.push(answer(id, text).await?);
        }
        Ok::<_, Box<dyn Error>>(asked)
    };
    let (opened, asked) = tokio::join!(unseal(&sealed, &tpm, &mut ask), agent);
    assert_eq!(opened?.expose(), b"keys");
    let expected = [
        "Passphrase for the unlock keys:",
        "That was wrong. Passphrase for the unlock keys:",
        "It may not be empty. Passphrase for the unlock keys:",
    ];
    assert_eq!(asked?, expected);
    Ok(())
}

#[tokio::test]
async fn a_question_waits_without_end_and_is_taken_back_when_nobody_needs_it() -> Outcome {
    let id = "faros-test-drop";
    let mut ask = SystemdAsk::new("the unlock keys", id, None);
    let asked = timeout(Duration::from_secs(1), ask.ask(Question::Open));
    let (asked, pending) = tokio::join!(asked, wait_for(id));
    assert!(asked.is_err());
    let pending = pending?;
    assert_eq!(pending.fields.get("NotAfter").map(String::as_str), Some("0"));
    gone(&pending.file).await
}

#[tokio::test]
async fn a_person_is_asked_when_the_credential_is_wrong() -> Outcome {
    let id = "faros-test-credential";
    let sealed = sealed().await?;
    let folder = tempfile::tempdir()?;
    let tpm = Tpm::default();

    fs::write(folder.path().join(CREDENTIAL), "right = wrong\n")?;
    let mut ask = SystemdAsk::new("the unlock keys", id, Some(folder.path()));
    assert_eq!(unseal(&sealed, &tpm, &mut ask).await?.expose(), b"keys");

    fs::write(folder.path().join(CREDENTIAL), "old")?;
    let mut ask = SystemdAsk::new("the unlock keys", id, Some(folder.path()));
    let agent = answer(id, "right = wrong");
    let (opened, asked) = tokio::join!(unseal(&sealed, &tpm, &mut ask), agent);
    assert_eq!(opened?.expose(), b"keys");
    assert_eq!(
        asked?,
        "The one in the credential is wrong. Passphrase for the unlock keys:"
    );
    Ok(())
}

#[tokio::test]
async fn a_new_passphrase_is_asked_for_twice() -> Outcome {
    let id = "faros-test-new";
    let mut ask = SystemdAsk::new("the unlock keys", id, None);
    let agent = async {
        let first = answer(id, "new").await?;
        let second = answer(id, "new").await?;
        Ok::<_, Box<dyn Error>>([first, second])
    };
    let (chosen, asked) = tokio::join!(choose_passphrase(&mut ask), agent);
    assert!(Passphrase::new("new").as_ref() == Some(&chosen?));
    let expected = [
        "New passphrase for the unlock keys:",
        "New passphrase for the unlock keys, once more:",
    ];
    assert_eq!(asked?, expected);
    Ok(())
}

#[tokio::test]
async fn a_question_that_is_refused_is_an_error() -> Outcome {
    let id = "faros-test-refused";
    let mut ask = SystemdAsk::new("the unlock keys", id, None);
    let agent = async {
        let pending = wait_for(id).await?;
        let socket = pending.fields.get("Socket").ok_or("no socket")?;
        let mut reply = Command::new(REPLY)
            .args(["0", socket])
            .stdin(Stdio::null())
            .spawn()?;
        assert!(reply.wait()?.success());
        Ok::<_, Box<dyn Error>>(())
    };
    let (asked, answered) = tokio::join!(ask.ask(Question::Open), agent);
    answered?;
    assert!(matches!(&asked, Err(AskError::NoAnswer { .. })), "{asked:?}");
    Ok(())
}
