//! What may be asked, and what hostile clients get.

use serde_json::{Value, json};

use super::*;

#[test]
fn paths_are_those_of_tangd() {
    let table = [
        ("/adv", Route::Advertisement(None)),
        ("/adv/", Route::Advertisement(None)),
        ("//adv//", Route::Advertisement(None)),
        ("/adv/a-B_9", Route::Advertisement(Some("a-B_9"))),
        ("/adv//x", Route::Advertisement(Some("x"))),
        ("/rec/x", Route::Recovery("x")),
        ("//rec//x", Route::Recovery("x")),
        ("", Route::Unknown),
        ("/", Route::Unknown),
        ("adv", Route::Unknown),
        ("/advx", Route::Unknown),
        ("/adv/x/", Route::Unknown),
        ("/adv/x/y", Route::Unknown),
        ("/adv/x%41", Route::Unknown),
        ("/adv/../etc", Route::Unknown),
        ("/rec", Route::Unknown),
        ("/rec/", Route::Unknown),
        ("/rec/x/", Route::Unknown),
        ("/rec/é", Route::Unknown),
    ];
    for (path, expected) in table {
        assert_eq!(route(path), expected, "{path}");
    }
}

/// A request that is answered, on each curve.
fn good(curve: Curve) -> Value {
    let key = FOLDER
        .iter()
        .find(|(name, _)| name.contains(curve.name()))
        .unwrap()
        .1;
    let mut jwk: Value = serde_json::from_str(key).unwrap();
    jwk.as_object_mut().unwrap().remove("d");
    jwk
}

/// The members of a good request without their names, which is no JWK.
fn as_array() -> String {
    let jwk = good(Curve::P521);
    let members = ["kty", "alg", "key_ops", "use", "crv", "x", "y", "d"].map(|name| jwk[name].clone());
    Value::from(members.to_vec()).to_string()
}

#[test]
fn an_empty_ring_answers_nobody() {
    let tables = Tables::compile(&KeyRing::default());
    assert_eq!(tables.advertisement(None), None);
    assert_eq!(tables.advertisement(Some("x")), None);
    let body = good(Curve::P521).to_string();
    assert_eq!(
        tables.recover("x", body.as_bytes()),
        Err(RecoverError::UnknownKey)
    );
}

#[test]
fn what_cannot_be_recovered_is_refused_with_a_reason() {
    let ring = folder();
    let tables = Tables::compile(&ring);
    let named = |usage, curve| {
        let mut keys = ring.keys();
        let key = keys.find(|key| key.usage() == usage && key.curve() == curve);
        key.unwrap().thumbprint().to_string()
    };
    let with = |member: &str, value: Value| {
        let mut jwk = good(Curve::P521);
        jwk[member] = value;
        jwk.to_string()
    };
    let without = |member: &str| {
        let mut jwk = good(Curve::P521);
        jwk.as_object_mut().unwrap().remove(member);
        jwk.to_string()
    };
    let y = good(Curve::P521)["y"].clone();
    // 2^521 - 1, the prime of the field: 0 written in another way.
    let prime = format!("Af{}", "_".repeat(86));
    let table = [
        (" ".repeat(MAX_REQUEST + 1), RecoverError::TooLarge),
        (" ".repeat(MAX_REQUEST), RecoverError::NotJson),
        (String::new(), RecoverError::NotJson),
        ("[".repeat(MAX_REQUEST), RecoverError::NotJson),
        (format!("{} x", good(Curve::P521)), RecoverError::NotJson),
        ("[]".to_owned(), RecoverError::NotEcJwk),
        ("5".to_owned(), RecoverError::NotEcJwk),
        (as_array(), RecoverError::NotEcJwk),
        ("{}".to_owned(), RecoverError::NotEcJwk),
        (with("kty", json!("oct")), RecoverError::NotEcJwk),
        (with("kty", json!(5)), RecoverError::NotEcJwk),
        (with("alg", json!("ES512")), RecoverError::NotEcJwk),
        (with("x", json!(5)), RecoverError::NotEcJwk),
        (without("x"), RecoverError::NotEcJwk),
        (without("y"), RecoverError::NotEcJwk),
        (without("crv"), RecoverError::NotEcJwk),
        (with("key_ops", json!(["verify"])), RecoverError::NotForDeriving),
        (with("key_ops", json!([])), RecoverError::NotForDeriving),
        (with("d", json!("AA")), RecoverError::PrivateKey),
        (with("crv", json!("P-256")), RecoverError::WrongCurve),
        (with("crv", json!("secp256k1")), RecoverError::WrongCurve),
        (good(Curve::P384).to_string(), RecoverError::WrongCurve),
        (with("x", y), RecoverError::NotOnCurve),
        (with("x", json!("")), RecoverError::NotOnCurve),
        (with("x", json!("A")), RecoverError::NotOnCurve),
        (with("x", json!("A+==")), RecoverError::NotOnCurve),
        (with("x", json!(prime)), RecoverError::NotOnCurve),
        (with("x", json!("_".repeat(88))), RecoverError::NotOnCurve),
        (with("x", json!("_".repeat(1000))), RecoverError::NotOnCurve),
    ];
    let name = named(Usage::Exchange, Curve::P521);
    for (body, why) in table {
        assert_eq!(tables.recover(&name, body.as_bytes()), Err(why), "{body}");
    }
    let body = good(Curve::P521).to_string();
    let signing = named(Usage::Signing, Curve::P521);
    assert_eq!(
        tables.recover(&signing, body.as_bytes()),
        Err(RecoverError::NotExchangeKey)
    );
    assert_eq!(
        tables.recover("nope", body.as_bytes()),
        Err(RecoverError::UnknownKey)
    );
    assert_eq!(tables.recover(&name, &[0xff; 10]), Err(RecoverError::NotJson));
}

#[test]
fn a_point_is_understood_in_every_way_of_writing_it() {
    let ring = folder();
    let tables = Tables::compile(&ring);
    for key in ring.keys().filter(|key| key.usage() == Usage::Exchange) {
        let plain = good(key.curve());
        let x = plain["x"].as_str().unwrap();
        let answer = tables.recover(&key.thumbprint().to_string(), plain.to_string().as_bytes());
        let answer = answer.unwrap();
        assert_eq!((answer.key, answer.standing), (key.thumbprint(), key.standing()));
        let mut same = vec![plain.clone(); 4];
        same[0]["x"] = json!(format!("AAAA{x}"));
        same[1].as_object_mut().unwrap().remove("alg");
        same[2].as_object_mut().unwrap().remove("key_ops");
        same[3]["kid"] = json!({"any": ["thing"]});
        for (request, hash) in same.iter().zip(Hash::ALL) {
            let again = tables.recover(&key.thumbprint_by(hash), request.to_string().as_bytes());
            assert_eq!(again.as_ref(), Ok(&answer), "{request}");
        }
    }
}

#[test]
fn refusals_have_names_and_statuses_of_their_own() {
    let mut labels = RecoverError::ALL.map(RecoverError::label).to_vec();
    labels.sort_unstable();
    labels.dedup();
    assert_eq!(labels.len(), RecoverError::ALL.len());
    assert!(
        RecoverError::ALL
            .iter()
            .all(|why| (400..500).contains(&why.status()))
    );
}

/// Any JSON, and more often one that is nearly a good request.
fn nearly_good() -> impl Strategy<Value = Value> {
    let curve = prop::sample::select(Curve::ALL.to_vec());
    let member = prop::sample::select(vec!["kty", "crv", "x", "y", "alg", "key_ops", "use", "d"]);
    let value = prop_oneof![
        Just(Value::Null),
        Just(json!("EC")),
        Just(json!("P-256")),
        Just(json!("P-521")),
        Just(json!(["deriveKey"])),
        any::<i64>().prop_map(|number| json!(number)),
        "[A-Za-z0-9_-]{0,90}".prop_map(|text| json!(text)),
        ".{0,20}".prop_map(|text| json!([text])),
    ];
    (curve, prop::collection::vec((member, value), 0..3)).prop_map(|(curve, changes)| {
        let mut jwk = good(curve);
        for (member, value) in changes {
            jwk[member] = value;
        }
        jwk
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_jwk_confuses_a_server(jwk in nearly_good()) {
        let ring = folder();
        fuzz::recover(&Tables::compile(&ring), &exchange_names(&ring), jwk.to_string().as_bytes());
    }

    #[test]
    fn no_bytes_confuse_a_server(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let ring = folder();
        fuzz::recover(&Tables::compile(&ring), &exchange_names(&ring), &bytes);
    }

    #[test]
    fn no_key_file_and_no_store_confuses_a_ring(cut in any::<prop::sample::Index>(), with in "[ -~]{0,3}") {
        let store = folder().to_secret_json().to_string();
        for (_, text) in FOLDER.iter().copied().chain([("store", store.as_str())]) {
            fuzz::keys(text.as_bytes());
            let (before, after) = text.split_at(cut.index(text.len()));
            fuzz::keys(format!("{before}{with}{}", after.get(with.len()..).unwrap_or_default()).as_bytes());
        }
    }

    /// The heart of the protocol: `a(bG) = b(aG)`, for every curve.
    #[test]
    fn both_sides_come_to_the_same_point(seed in any::<u64>(), curve in prop::sample::select(Curve::ALL.to_vec())) {
        let mut dice = Dice(seed);
        let mut secret = || loop {
            let mut bytes = vec![0; curve.width()];
            dice.try_fill_bytes(&mut bytes).unwrap();
            bytes[0] &= if curve == Curve::P521 { 1 } else { 255 };
            if let Some(secret) = Secret::from_bytes(curve, &bytes) {
                break secret;
            }
        };
        let (a, b) = (secret(), secret());
        prop_assert_eq!(a.times(&b.public()), b.times(&a.public()));
        prop_assert!(a.times(&b.public()).is_some());
    }
}
