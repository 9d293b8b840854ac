use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Answers from a list, and notes what was asked.
#[derive(Default)]
struct Script {
    answers: VecDeque<&'static str>,
    asked: Vec<Question>,
}

impl Script {
    fn of(answers: &[&'static str]) -> Self {
        Self {
            answers: answers.iter().copied().collect(),
            asked: Vec::new(),
        }
    }
}

impl AskPassphrase for Script {
    async fn ask(&mut self, question: Question) -> Result<Passphrase, AskError> {
        self.asked.push(question);
        let answer = self.answers.pop_front().and_then(Passphrase::new);
        answer.ok_or_else(|| AskError::NoAnswer {
            said: "gone".to_owned(),
        })
    }
}

async fn with_passphrase(secret: &[u8], passphrase: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let passphrase = Passphrase::new(passphrase).ok_or("empty")?;
    let with = SealWith::Passphrase {
        passphrase: &passphrase,
        work: Work::LIGHT,
    };
    Ok(seal(secret, &with).await?)
}

#[tokio::test]
async fn what_lies_in_the_clear_needs_no_answer() -> Outcome {
    let sealed = seal(b"keys", &SealWith::Nothing).await?;
    let opened = unseal(&sealed, &Tpm::default(), &mut Script::default()).await?;
    assert_eq!(opened.expose(), b"keys");
    Ok(())
}

#[tokio::test]
async fn a_wrong_passphrase_is_asked_for_again() -> Outcome {
    let sealed = with_passphrase(b"keys", "right").await?;
    let mut script = Script::of(&["wrong", "Right", "right"]);
    let opened = unseal(&sealed, &Tpm::default(), &mut script).await?;
    assert_eq!(opened.expose(), b"keys");
    assert_eq!(
        script.asked,
        [Question::Open, Question::OpenAgain, Question::OpenAgain]
    );
    Ok(())
}

#[tokio::test]
async fn nobody_there_is_an_error_and_not_a_loop() -> Outcome {
    let sealed = with_passphrase(b"keys", "right").await?;
    let opened = unseal(&sealed, &Tpm::default(), &mut Script::of(&["wrong"])).await;
    assert!(matches!(opened, Err(UnsealError::Ask(AskError::NoAnswer { .. }))));
    Ok(())
}

#[tokio::test]
async fn a_new_passphrase_is_given_twice_alike() -> Outcome {
    let mut script = Script::of(&["one", "two", "three", "three"]);
    let chosen = choose_passphrase(&mut script).await?;
    assert!(Passphrase::new("three").as_ref() == Some(&chosen));
    let asked = [
        Question::Choose,
        Question::Repeat,
        Question::ChooseAgain,
        Question::Repeat,
    ];
    assert_eq!(script.asked, asked);
    Ok(())
}

#[tokio::test]
async fn the_default_work_takes_a_while_and_opens() -> Outcome {
    let passphrase = Passphrase::new("right").ok_or("empty")?;
    let with = SealWith::Passphrase {
        passphrase: &passphrase,
        work: Work::default(),
    };
    let sealed = seal(b"keys", &with).await?;
    assert!(sealed.windows(4).any(|bytes| bytes == b" 17\n"));
    let opened = unseal(&sealed, &Tpm::default(), &mut Script::of(&["right"])).await?;
    assert_eq!(opened.expose(), b"keys");
    Ok(())
}

#[tokio::test]
async fn a_file_that_asks_for_a_gigantic_amount_of_work_is_refused() -> Outcome {
    let sealed = with_passphrase(b"keys", "right").await?;
    let (_, body) = blob::split(&sealed)?;
    let end = body
        .windows(3)
        .position(|bytes| bytes == b" 4\n")
        .ok_or("no work factor")?;
    let body = [&body[..end], b" 40\n", &body[end + 3..]].concat();
    let sealed = blob::join(Sealing::Passphrase, &body);
    let opened = unseal(&sealed, &Tpm::default(), &mut Script::of(&["right"])).await;
    assert!(matches!(opened, Err(UnsealError::TooMuchWork)), "{opened:?}");
    Ok(())
}

#[tokio::test]
async fn the_largest_secret_is_sealed_and_a_larger_one_is_not() -> Outcome {
    let largest = vec![7; MAX_SECRET];
    let sealed = with_passphrase(&largest, "right").await?;
    let opened = unseal(&sealed, &Tpm::default(), &mut Script::of(&["right"])).await?;
    assert!(opened.expose() == largest);
    let larger = vec![7; MAX_SECRET + 1];
    let refused = seal(&larger, &SealWith::Nothing).await;
    assert!(matches!(refused, Err(SealError::TooLarge { n_bytes }) if n_bytes == larger.len()));
    Ok(())
}

#[test]
fn a_secret_prints_nothing() -> Outcome {
    let secret = Secret::new(b"hunter2".to_vec());
    let passphrase = Passphrase::new("hunter2").ok_or("empty")?;
    let with = SealWith::Passphrase {
        passphrase: &passphrase,
        work: Work::LIGHT,
    };
    let identity = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
    let identities: Identities = identity.parse()?;
    let printed = format!("{secret:?} {passphrase:?} {with:?} {identities:?}");
    assert!(
        !printed.contains("hunter2") && !printed.contains("GFPYY"),
        "{printed}"
    );
    assert_eq!(printed.matches("[hidden]").count(), 4);
    let wrong = format!("{identity}X")
        .parse::<Identities>()
        .err()
        .ok_or("it was taken")?;
    assert!(!format!("{wrong} {wrong:?}").contains("GFPYY"));
    Ok(())
}

#[test]
fn a_recipient_that_is_none_is_told_what_it_is() {
    let hint = |text: &str| text.parse::<Recipient>().err().map(|error| error.hint());
    assert!(hint("ssh-ed25519 AAAA").is_some_and(|hint| hint.contains("SSH")));
    assert!(hint("AGE-SECRET-KEY-1ABC").is_some_and(|hint| hint.contains("secret")));
    assert!(hint("age1abc").is_some_and(|hint| hint.contains("age-keygen")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever changes a sealed file can make its digest right again: then age itself must see it.
    #[test]
    fn a_changed_file_with_a_right_digest_never_opens(at: prop::sample::Index, bit in 0..8_u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        runtime.block_on(async {
            let sealed = with_passphrase(b"keys", "right").await.map_err(|error| TestCaseError::fail(error.to_string()))?;
            let (_, body) = blob::split(&sealed).map_err(|error| TestCaseError::fail(error.to_string()))?;
            let mut body = body.to_vec();
            let at = at.index(body.len());
            body[at] ^= 1_u8 << bit;
            let changed = blob::join(Sealing::Passphrase, &body);
            let opened = unseal(&changed, &Tpm::default(), &mut Script::of(&["right"])).await;
            prop_assert!(opened.is_err());
            Ok(())
        })?;
    }
}
