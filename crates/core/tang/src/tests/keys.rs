//! Names, rings, and the forms in which they are kept.

use super::*;

/// What `jose jwk thp -a S1|S224|S256|S384|S512` says of the keys in `testdata`.
const THUMBPRINTS: &[(&str, [&str; 5])] = &[
    (
        "P-256",
        [
            "k2flzUBqVRK00jeGrrWfJiGLSmY",
            "VGWbLQS_A8zDENh7fKKH-DDV_coC7ppnGX-qGA",
            "8g1eq9XxZ7SOwJmsKad5ouh8iE6iyjPA-243S9Kf_S4",
            "tmOiwvSLJo4LDNRgQJTGjRd3n1O34EdZxvDb2hMeK6mIAjuj7dPh8JaXnXzlJCfv",
            "x_RhmUBL1gpiZw8z9GJRiqA51ZTaUuPlXE60MxVatvrQRf1gUeTgSwxanQEY5FvLVD686VXXhNobxEBB1MfP3Q",
        ],
    ),
    (
        "P-384",
        [
            "x74pkIcWl9mQZ38_BdVD9a0c3U0",
            "l_Ipd7rCGVPfs1vyxTGtw2nDLGF2jjSJoWQp8A",
            "EV3VHqr4vvBf6w8m4rm_3sBr1S0F2PWoTexGLNdTMK8",
            "vhGT0F6joTq8e0xxiSyncogEheIW85FrJ2A9LDvKDTXR22JAYv10mPmBoBJBeQMy",
            "ZL1bAJQs8gNukB6OtvbxEwDYRdndu8TOO9q21hy-y_ChLWyy6b-InBwMhmUSQuCSVRQne6HwFX-NOlcOhcWxRw",
        ],
    ),
    (
        "P-521",
        [
            "u8Ue-8e6wo-C-w59kxRORzWkfX8",
            "vSZGfHYsH_rttG7m39Q_Vngnr5Yp46VqyZjZZQ",
            "i3o4wxIEY4hL98kw48SOXgJ0WXj0jrBS-la5EQwyWFU",
            "rRdkXczqlXwu71TbgPRSGXz5LtRKaKKFAe0De02o1TlW8OBdtRLHcRfNXojrQC4Y",
            "89vu3vLlUi5pHaC7sM9xnQHa8Y9Vya01rYYFrQJtF0YKpOaTCZ9MI_aVOtmJVKe68h2PGpYCb4St5ymtGn-rLA",
        ],
    ),
];

#[test]
fn keys_have_the_names_that_jose_gives_them() {
    let ring = folder();
    for (curve, names) in THUMBPRINTS {
        let exchange = |key: &&Key| key.usage() == Usage::Exchange && key.curve().name() == *curve;
        let key = ring.keys().find(exchange).unwrap();
        assert_eq!(Hash::ALL.map(|hash| key.thumbprint_by(hash)), *names);
        assert_eq!(key.thumbprint().to_string(), names[2]);
        assert_eq!(names[2].parse(), Ok(key.thumbprint()));
    }
    for bad in [
        "",
        "AA",
        "u8Ue-8e6wo-C-w59kxRORzWkfX8",
        "i3o4wxIEY4hL98kw48SOXgJ0WXj0jrBS-la5EQwyWF=",
    ] {
        assert_eq!(bad.parse::<Thumbprint>(), Err(BadThumbprint));
    }
}

/// Carries out `script` and tells what becomes of a ring; `retire 2` is of the exchange key of set 2.
fn check(script: &str, expected: &str) {
    let mut dice = Dice(1);
    let mut ring = KeyRing::default();
    let mut backup = KeyRing::default();
    let mut told = String::new();
    for (second, line) in script.lines().map(str::trim).enumerate() {
        let now = at(i64::try_from(second).unwrap());
        let named = |ring: &KeyRing, usage, set: &str| {
            let mut keys = ring.keys();
            let key = keys.find(|key| key.usage() == usage && key.set().to_string() == set);
            key.map_or(
                Thumbprint::of(&Secret::generate(&mut Dice(9)).public()),
                Key::thumbprint,
            )
        };
        let said = match line.split(' ').collect::<Vec<_>>()[..] {
            ["rotate"] => {
                ring.rotate(&mut dice, now);
                "rotated".to_owned()
            }
            ["import"] => match ring.import(FOLDER.iter().copied(), now) {
                Ok(n_new) => format!("{n_new} new"),
                Err(why) => why.to_string(),
            },
            ["back", "up"] => {
                backup = ring.clone();
                "copied".to_owned()
            }
            ["lose"] => {
                ring = KeyRing::default();
                "lost".to_owned()
            }
            ["restore"] => format!("{} back", ring.restore(backup.clone()).len()),
            ["retire", what, set] => {
                let usage = if what == "signing" {
                    Usage::Signing
                } else {
                    Usage::Exchange
                };
                match ring.retire(&named(&ring, usage, set)) {
                    Ok(gone) => format!("{} gone", gone.len()),
                    Err(RetireError::Unknown(_)) => "unknown".to_owned(),
                    Err(RetireError::Advertised(_)) => "advertised".to_owned(),
                    Err(RetireError::Signing(_)) => "signing".to_owned(),
                }
            }
            _ => panic!("what is {line}?"),
        };
        let keys: Vec<String> = ring.keys().map(letters).collect();
        writeln!(told, "{}", format!("{line} -> {said}: {}", keys.join(" ")).trim()).unwrap();
        let stored = ring.to_secret_json();
        assert_eq!(KeyRing::from_secret_json(&stored).as_ref(), Ok(&ring));
    }
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{told}");
}

/// `S1` is an advertised signing key of set 1, `(X2)` a hidden exchange key of set 2.
fn letters(key: &Key) -> String {
    let set = key.set();
    let name = match key.usage() {
        Usage::Signing => format!("S{set}"),
        Usage::Exchange => format!("X{set}"),
    };
    match key.standing() {
        Standing::Advertised => name,
        Standing::Hidden => format!("({name})"),
    }
}

#[test]
fn a_rotation_hides_the_old_keys_and_only_hidden_ones_retire() {
    check(
        "rotate
         retire exchange 1
         rotate
         rotate
         retire signing 1
         retire exchange 1
         retire exchange 1
         retire exchange 2
         retire exchange 3",
        "rotate -> rotated: S1 X1
         retire exchange 1 -> advertised: S1 X1
         rotate -> rotated: (S1) (X1) S2 X2
         rotate -> rotated: (S1) (X1) (S2) (X2) S3 X3
         retire signing 1 -> signing: (S1) (X1) (S2) (X2) S3 X3
         retire exchange 1 -> 2 gone: (S2) (X2) S3 X3
         retire exchange 1 -> unknown: (S2) (X2) S3 X3
         retire exchange 2 -> 2 gone: S3 X3
         retire exchange 3 -> advertised: S3 X3",
    );
}

#[test]
fn keys_come_back_from_a_backup_hidden_and_once() {
    check(
        "rotate
         rotate
         back up
         restore
         lose
         rotate
         restore
         restore
         rotate
         retire exchange 2",
        "rotate -> rotated: S1 X1
         rotate -> rotated: (S1) (X1) S2 X2
         back up -> copied: (S1) (X1) S2 X2
         restore -> 0 back: (S1) (X1) S2 X2
         lose -> lost:
         rotate -> rotated: S1 X1
         restore -> 4 back: S1 X1 (S2) (X2) (S3) (X3)
         restore -> 0 back: S1 X1 (S2) (X2) (S3) (X3)
         rotate -> rotated: (S1) (X1) (S2) (X2) (S3) (X3) S4 X4
         retire exchange 2 -> 2 gone: (S1) (X1) (S3) (X3) S4 X4",
    );
}

#[test]
fn imported_signing_keys_leave_with_the_last_exchange_key_that_came_with_them() {
    check(
        "rotate
         import
         import
         rotate
         retire exchange 2
         retire exchange 3
         retire exchange 3",
        "rotate -> rotated: S1 X1
         import -> 4 new: S1 X1 (X2) X3 X3 S3
         import -> 0 new: S1 X1 (X2) X3 X3 S3
         rotate -> rotated: (S1) (X1) (X2) (X3) (X3) (S3) S4 X4
         retire exchange 2 -> 1 gone: (S1) (X1) (X3) (X3) (S3) S4 X4
         retire exchange 3 -> 1 gone: (S1) (X1) (X3) (S3) S4 X4
         retire exchange 3 -> 2 gone: (S1) (X1) S4 X4",
    );
}

#[test]
fn an_exported_folder_is_the_imported_one() {
    let mut folder: Vec<(String, String)> = folder()
        .export()
        .map(|file| (file.name, file.text.to_string()))
        .collect();
    let mut expected: Vec<(String, String)> = FOLDER
        .iter()
        .map(|(name, text)| {
            let mut key = KeyRing::default();
            key.import([(*name, *text)], at(0)).unwrap();
            let thumbprint = key.keys().next().unwrap().thumbprint();
            let dot = if name.starts_with('.') { "." } else { "" };
            (format!("{dot}{thumbprint}.jwk"), (*text).to_owned())
        })
        .collect();
    folder.sort();
    expected.sort();
    assert_eq!(folder, expected);
}

#[test]
fn files_that_are_no_keys_of_a_server_are_refused_whole() {
    let good = FOLDER[2].1;
    let table = [
        ("", BadJwk::NotJwk),
        ("[]", BadJwk::NotJwk),
        (r#"["EC",null,null,null,null,null,null,null]"#, BadJwk::NotJwk),
        ("{}", BadJwk::NotEc),
        ("{\"kty\":1}", BadJwk::NotJwk),
        (&good.replace("\"EC\"", "\"RSA\""), BadJwk::NotEc),
        (&good.replace("P-521", "P-521K"), BadJwk::UnknownCurve),
        (&good.replace("ECMR", "ES512"), BadJwk::UnknownUsage),
        (&good.replace("ECMR", "ECDH"), BadJwk::UnknownUsage),
        (&good.replace("deriveKey", "encrypt"), BadJwk::UnknownUsage),
        (
            &good.replace("\"deriveKey\"", "\"deriveKey\",\"sign\""),
            BadJwk::UnknownUsage,
        ),
        (&good.replace("\"d\"", "\"e\""), BadJwk::NoSecret),
        (&good.replace("\"d\":\"AC8", "\"d\":\"AC="), BadJwk::BadSecret),
        (&good.replace("\"d\":\"AC8", "\"d\":\"__8"), BadJwk::BadSecret),
        (
            &good.replace("\"d\":\"AC8DzsffK", "\"d\":\"AC8"),
            BadJwk::BadSecret,
        ),
        (&good.replace("\"d\":\"AC8", "\"d\":\"AC9"), BadJwk::Mismatch),
        (&good.replace("\"x\":\"AJ", "\"x\":\"AK"), BadJwk::Mismatch),
        (&good.replace("\"x\"", "\"z\""), BadJwk::Mismatch),
    ];
    for (text, why) in table {
        let mut ring = KeyRing::default();
        let file = "b.jwk".to_owned();
        let files = [("a.jwk", good), ("b.jwk", text)];
        assert_eq!(
            ring.import(files, at(0)),
            Err(ImportError { file, why }),
            "{text}"
        );
        assert_eq!(ring, KeyRing::default());
    }
    let mut ring = KeyRing::default();
    let others = [("README", "x"), (".jwk.swp", "x"), ("jwk", "x")];
    assert_eq!(ring.import(others, at(0)), Ok(0));
}

#[test]
fn a_key_may_say_its_usage_in_any_of_three_ways() {
    let (exchange, signing) = (FOLDER[2].1, FOLDER[3].1);
    let table = [
        (exchange.replace("\"alg\":\"ECMR\",", ""), Usage::Exchange),
        (
            exchange.replace(",\"key_ops\":[\"deriveKey\"]", ""),
            Usage::Exchange,
        ),
        (signing.replace("\"alg\":\"ES512\",", ""), Usage::Signing),
        (
            signing.replace(",\"key_ops\":[\"sign\",\"verify\"]", ""),
            Usage::Signing,
        ),
        (
            signing
                .replace("\"alg\":\"ES512\",", "\"use\":\"sig\",")
                .replace(",\"key_ops\":[\"sign\",\"verify\"]", ""),
            Usage::Signing,
        ),
    ];
    for (text, usage) in table {
        let mut ring = KeyRing::default();
        ring.import([("a.jwk", text.as_str())], at(0)).unwrap();
        assert_eq!(ring.keys().map(Key::usage).collect::<Vec<_>>(), [usage], "{text}");
    }
}

#[test]
fn a_store_that_cannot_be_read_says_why() {
    let good = folder().to_secret_json().to_string();
    let table = [
        ("", BadStore::NotStore),
        ("{}", BadStore::NotStore),
        (&good.replace("faros-tang-keys", "faros-keys"), BadStore::NotStore),
        (
            &good.replace("\"version\":1", "\"version\":2"),
            BadStore::Version(2),
        ),
        (&good.replace("\"hidden\"", "\"gone\""), BadStore::NotStore),
        (&good.replace("\"set\"", "\"sets\""), BadStore::NotStore),
        (
            &good.replace("\"P-256\"", "\"P-384\""),
            BadStore::Key {
                number: 2,
                source: BadJwk::BadSecret,
            },
        ),
        (
            &good.replacen("\"keys\":[", &format!("\"keys\":[{},", entry(&good)), 1),
            BadStore::Twice { number: 2 },
        ),
    ];
    for (text, why) in table {
        assert_eq!(KeyRing::from_secret_json(text), Err(why), "{text}");
    }
}

/// The first key of a store.
fn entry(store: &str) -> &str {
    let from = store.find("{\"set\"").unwrap();
    let to = store[from..].find("}}").unwrap();
    &store[from..from + to + 2]
}

#[test]
fn no_secret_is_printed() {
    let ring = folder();
    let secrets = ["X94P9nlM80", "Wl86FjM_", "AC8Dzsff", "AKh35YW3"];
    let stored = ring.to_secret_json();
    assert!(secrets.iter().all(|secret| stored.contains(secret)));
    let tables = Tables::compile(&ring);
    let files: Vec<KeyFile> = ring.export().collect();
    let printed = format!("{ring:?} {tables:?} {files:?}");
    assert!(printed.contains("[hidden]"));
    for key in ring.keys() {
        let number = format!("{:?}", key.secret.to_bytes());
        assert!(!printed.contains(number.trim_matches(['[', ']'])));
    }
    assert!(!secrets.iter().any(|secret| printed.contains(secret)));
    // A text that grows moves, and leaves the secret behind where it was.
    let room = ring.keys().count() * (crate::jwk::MAX_SECRET_TEXT + 160) + 64;
    assert!(
        stored.len() <= room
            && files
                .iter()
                .all(|file| file.text.len() <= crate::jwk::MAX_SECRET_TEXT)
    );
}
