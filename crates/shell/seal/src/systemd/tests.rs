use super::*;

#[test]
fn a_question_says_why_it_is_asked_again() {
    let mut ask = SystemdAsk::new("the unlock keys", "faros", None);
    let check = |ask: &SystemdAsk, question, empty, expected| {
        assert_eq!(ask.message(question, empty), expected);
    };
    check(&ask, Question::Open, false, "Passphrase for the unlock keys:");
    check(
        &ask,
        Question::Open,
        true,
        "It may not be empty. Passphrase for the unlock keys:",
    );
    check(
        &ask,
        Question::OpenAgain,
        false,
        "That was wrong. Passphrase for the unlock keys:",
    );
    check(
        &ask,
        Question::Choose,
        false,
        "New passphrase for the unlock keys:",
    );
    check(
        &ask,
        Question::Repeat,
        false,
        "New passphrase for the unlock keys, once more:",
    );
    check(
        &ask,
        Question::ChooseAgain,
        false,
        "The two differed. New passphrase for the unlock keys:",
    );
    ask.from_credential = true;
    let expected = "The one in the credential is wrong. Passphrase for the unlock keys:";
    check(&ask, Question::OpenAgain, false, expected);
}

#[tokio::test]
async fn a_credential_answers_first() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut ask = SystemdAsk::new("the keys", "faros", Some(folder.path()));
    for (content, expected) in [
        ("a b", Some("a b")),
        ("a\n", Some("a")),
        ("a\n\n", Some("a\n")),
        ("", None),
        ("\n", None),
    ] {
        std::fs::write(folder.path().join(CREDENTIAL), content)?;
        let got = ask.ask(Question::Open).await;
        match expected {
            Some(expected) => assert!(Some(got?) == Passphrase::new(expected), "{content:?}"),
            None => assert!(matches!(got, Err(AskError::NotPassphrase { .. })), "{content:?}"),
        }
    }
    for content in [&[0xff][..], &[b'x'; MAX_PASSPHRASE + 1]] {
        std::fs::write(folder.path().join(CREDENTIAL), content)?;
        let got = ask.ask(Question::Open).await;
        assert!(matches!(got, Err(AskError::NotPassphrase { .. })));
    }
    Ok(())
}
