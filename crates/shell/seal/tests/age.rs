//! Exchanges files with Debian's `age`, both ways.

use std::{
    error::Error,
    fs,
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use faros_seal::{
    AskError, AskPassphrase, Identities, Passphrase, Question, Recipient, RestoreError, SealWith, Tpm, Work,
    backup_to_age, restore_from_age, seal, unseal,
};

type Outcome = Result<(), Box<dyn Error>>;

const SECRET: &[u8] = b"{\"keys\": [1, 2, 3]}\n\0\xff";

/// The text of a key file and its recipient, both from `age-keygen`.
fn key(folder: &Path, name: &str) -> Result<(String, Recipient), Box<dyn Error>> {
    let path = folder.join(name);
    let made = Command::new("age-keygen").arg("-o").arg(&path).output()?;
    assert!(made.status.success(), "{made:?}");
    let recipient = Command::new("age-keygen").arg("-y").arg(&path).output()?;
    Ok((
        fs::read_to_string(&path)?,
        String::from_utf8(recipient.stdout)?.parse()?,
    ))
}

/// Runs a command line on a terminal of its own, and types answers at its questions.
fn on_a_terminal(folder: &Path, command: &str, answers: &[&str]) -> Outcome {
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (Some(mut keyboard), Some(mut screen)) = (terminal.stdin.take(), terminal.stdout.take()) else {
        return Err("no keyboard or no screen".into());
    };
    let mut shown = Vec::new();
    for answer in answers {
        while !shown.ends_with(b": ") {
            let mut byte = [0];
            screen.read_exact(&mut byte)?;
            shown.extend(byte);
        }
        shown.clear();
        keyboard.write_all(format!("{answer}\n").as_bytes())?;
    }
    screen.read_to_end(&mut shown)?;
    let ended = terminal.wait()?;
    assert!(ended.success(), "{}", String::from_utf8_lossy(&shown));
    Ok(())
}

#[test]
fn age_opens_a_backup_with_any_of_the_keys_and_with_no_other() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (_, one) = key(folder.path(), "one")?;
    let (_, two) = key(folder.path(), "two")?;
    key(folder.path(), "other")?;
    let text = backup_to_age(SECRET, &[one, two])?;
    assert!(text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"), "{text}");
    fs::write(folder.path().join("backup"), &text)?;
    for (identity, opens) in [("one", true), ("two", true), ("other", false)] {
        let opened = Command::new("age")
            .args(["--decrypt", "--identity", identity, "backup"])
            .current_dir(folder.path())
            .output()?;
        assert_eq!(opened.status.success(), opens, "{identity}: {opened:?}");
        assert_eq!(opened.stdout, if opens { SECRET } else { b"" });
    }
    Ok(())
}

#[test]
fn a_backup_is_restored_whoever_made_it() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (mine, recipient) = key(folder.path(), "mine")?;
    let (other, _) = key(folder.path(), "other")?;
    let mine: Identities = mine.parse()?;
    let text = backup_to_age(SECRET, std::slice::from_ref(&recipient))?;
    assert_eq!(restore_from_age(&text, &mine)?.expose(), SECRET);

    fs::write(folder.path().join("secret"), SECRET)?;
    let made = Command::new("age")
        .args(["--armor", "--recipient", &recipient.to_string(), "secret"])
        .current_dir(folder.path())
        .output()?;
    let made = String::from_utf8(made.stdout)?;
    assert_eq!(restore_from_age(&made, &mine)?.expose(), SECRET);

    let refused = restore_from_age(&made, &other.parse()?);
    assert!(matches!(refused, Err(RestoreError::NotForUs)), "{refused:?}");
    for cut in [0, 10, made.len() / 2, made.len() - 30] {
        let refused = restore_from_age(&made[..cut], &mine);
        assert!(
            matches!(refused, Err(RestoreError::Read(_))),
            "{cut}: {refused:?}"
        );
    }
    let read = |name: &str| fs::read_to_string(folder.path().join(name));
    let twice = format!("{}\n# and the new one\n{}", read("other")?, read("mine")?);
    assert_eq!(restore_from_age(&made, &twice.parse()?)?.expose(), SECRET);
    Ok(())
}

#[test]
fn a_backup_for_nobody_is_refused() {
    assert!(backup_to_age(SECRET, &[]).is_err());
}

#[tokio::test]
async fn without_the_first_line_age_opens_it_alone() -> Outcome {
    let folder = tempfile::tempdir()?;
    let passphrase = Passphrase::new("käse und brot").ok_or("empty")?;
    let with = SealWith::Passphrase {
        passphrase: &passphrase,
        work: Work::LIGHT,
    };
    fs::write(folder.path().join("sealed"), seal(SECRET, &with).await?)?;
    let command = "tail -n +2 sealed > body && age --decrypt --output secret body";
    on_a_terminal(folder.path(), command, &["käse und brot"])?;
    assert_eq!(fs::read(folder.path().join("secret"))?, SECRET);
    Ok(())
}

#[tokio::test]
async fn what_age_made_with_a_passphrase_opens_below_our_line() -> Outcome {
    struct Answer;
    impl AskPassphrase for Answer {
        async fn ask(&mut self, _: Question) -> Result<Passphrase, AskError> {
            let gone = || AskError::NoAnswer {
                said: "gone".to_owned(),
            };
            Passphrase::new("right").ok_or_else(gone)
        }
    }
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("secret"), SECRET)?;
    on_a_terminal(
        folder.path(),
        "age --passphrase --output body secret",
        &["right", "right"],
    )?;
    let line = "printf 'faros-sealed 1 passphrase %s %s\\n' $(wc -c < body) $(sha256sum body | cut -c1-64)";
    let made = Command::new("sh")
        .args(["-c", &format!("{line} && cat body")])
        .current_dir(folder.path())
        .output()?;
    let opened = unseal(&made.stdout, &Tpm::default(), &mut Answer).await?;
    assert_eq!(opened.expose(), SECRET);
    Ok(())
}
