//! The same request to `tangd` and to this crate has the same answer.

use std::collections::BTreeSet;
use std::path::Path;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use faros_tang::{Hash, Key, KeyRing, MAX_REQUEST, RecoverError, Standing, Tables, Usage};
use serde_json::{Value, json};

use crate::peers::{import, jose_keygen, ours, run, tangd};

/// Several keys of each kind, some hidden.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, template) in [
        ("a.jwk", r#"{"alg":"ES512"}"#),
        ("b.jwk", r#"{"alg":"ES256"}"#),
        (".c.jwk", r#"{"alg":"ES512"}"#),
        ("d.jwk", r#"{"alg":"ECMR"}"#),
        ("e.jwk", r#"{"alg":"ECMR","crv":"P-256"}"#),
        (".f.jwk", r#"{"alg":"ECMR"}"#),
        (".g.jwk", r#"{"alg":"ECMR","crv":"P-384"}"#),
    ] {
        jose_keygen(folder.path(), name, template);
    }
    folder
}

/// A new public key that a client could send.
fn client_key(curve: &str) -> Value {
    let template = format!(r#"{{"alg":"ECMR","crv":"{curve}"}}"#);
    let secret = run("jose", &["jwk", "gen", "-i", &template], b"").unwrap();
    let public = run("jose", &["jwk", "pub", "-i-"], secret.as_bytes()).unwrap();
    serde_json::from_str(&public).unwrap()
}

/// Sends one request to both; gives the status if they agree.
fn check(folder: &Path, tables: &Tables, method: &str, path: &str, body: &str) -> u16 {
    let theirs = tangd(folder, method, path, body.as_bytes());
    let (answer, _) = ours(tables, method, path, body.as_bytes());
    assert_eq!(answer, theirs, "{method} {path} {body}");
    answer.0
}

fn named(ring: &KeyRing, usage: Usage) -> Vec<&Key> {
    ring.keys().filter(|key| key.usage() == usage).collect()
}

#[test]
fn recoveries_are_those_of_tangd_to_the_byte() {
    let folder = folder();
    let ring = import(folder.path());
    let tables = Tables::compile(&ring);
    for key in named(&ring, Usage::Exchange) {
        let request = client_key(key.curve().name()).to_string();
        for hash in Hash::ALL {
            let path = format!("/rec/{}", key.thumbprint_by(hash));
            assert_eq!(check(folder.path(), &tables, "POST", &path, &request), 200);
        }
    }
}

#[test]
fn odd_requests_have_the_status_that_tangd_gives() {
    let folder = folder();
    let ring = import(folder.path());
    let tables = Tables::compile(&ring);
    let exchange = named(&ring, Usage::Exchange);
    let key = exchange.iter().find(|key| key.curve().name() == "P-521").unwrap();
    let good = client_key("P-521");
    let with = |changes: Value| {
        let mut jwk = good.clone();
        for (member, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jwk.as_object_mut().unwrap().shift_remove(member)),
                value => jwk[member] = value.clone(),
            }
        }
        jwk.to_string()
    };
    let null = |member: &str| {
        let mut jwk = good.clone();
        jwk[member] = Value::Null;
        jwk.to_string()
    };
    let x = good["x"].as_str().unwrap();
    let rec = format!("/rec/{}", key.thumbprint());
    let signing = format!("/rec/{}", named(&ring, Usage::Signing)[0].thumbprint());
    let table = [
        (rec.as_str(), good.to_string(), 200),
        (&format!("/{rec}"), good.to_string(), 200),
        (&rec, with(json!({"alg": null, "key_ops": null})), 200),
        (&rec, with(json!({"key_ops": ["deriveBits", "deriveKey"]})), 200),
        (&rec, with(json!({"use": "sig"})), 200),
        (&rec, with(json!({"key_ops": [5, "deriveKey"]})), 200),
        (&rec, format!(" {good}\n\n"), 200),
        (&rec, with(json!({"kid": 5, "other": {"any": []}})), 200),
        (&rec, with(json!({"x": format!("AAAA{x}")})), 200),
        (&rec, String::new(), 400),
        (&rec, "x".to_owned(), 400),
        (&rec, "5".to_owned(), 400),
        (&rec, "[]".to_owned(), 400),
        (&rec, "{}".to_owned(), 400),
        (&rec, format!("{good} x"), 400),
        (&rec, with(json!({"kty": null})), 400),
        (&rec, with(json!({"kty": 5})), 400),
        (&rec, with(json!({"kty": "oct"})), 400),
        (&rec, with(json!({"alg": "ES512"})), 400),
        (&rec, with(json!({"alg": 5})), 400),
        (&rec, with(json!({"crv": null})), 400),
        (&rec, with(json!({"crv": "P-256"})), 400),
        (&rec, with(json!({"crv": "secp256k1"})), 400),
        (&rec, with(json!({"x": null})), 400),
        (&rec, with(json!({"x": 5})), 400),
        (&rec, with(json!({"x": good["y"]})), 400),
        (&rec, with(json!({"x": format!("{x}=")})), 400),
        (&rec, with(json!({"x": "AA", "y": "AA"})), 400),
        (&rec, client_key("P-256").to_string(), 400),
        (&rec, null("alg"), 400),
        (&rec, null("crv"), 400),
        (&rec, null("d"), 400),
        (&rec, null("key_ops"), 403),
        (&rec, null("use"), 403),
        (&rec, with(json!({"key_ops": 5})), 403),
        (&rec, with(json!({"key_ops": "deriveKey"})), 403),
        (&rec, with(json!({"use": 5})), 403),
        (&rec, with(json!({"key_ops": []})), 403),
        (&rec, with(json!({"key_ops": ["verify"]})), 403),
        (&rec, with(json!({"key_ops": null, "use": "sig"})), 403),
        (&rec, with(json!({"key_ops": null, "use": "enc"})), 403),
        (&signing, good.to_string(), 403),
        ("/rec/nope", good.to_string(), 404),
        ("/rec/nope", with(json!({"x": good["y"]})), 404),
        ("/rec/nope", with(json!({"kty": "oct"})), 400),
        ("/rec/nope", "x".to_owned(), 400),
        (&format!("{rec}/"), good.to_string(), 404),
        ("/rec/", good.to_string(), 404),
        ("/rec", good.to_string(), 404),
        ("/", good.to_string(), 404),
        ("/adv", good.to_string(), 405),
    ];
    for (path, body, status) in table {
        assert_eq!(
            check(folder.path(), &tables, "POST", path, &body),
            status,
            "{path} {body}"
        );
    }
    let gets = [
        (rec.as_str(), 405),
        ("/", 404),
        ("/advx", 404),
        ("/adv/nope", 404),
        ("/adv/a/b", 404),
        (&rec.replace("rec", "adv"), 404),
    ];
    for (path, status) in gets {
        assert_eq!(check(folder.path(), &tables, "GET", path, ""), status, "{path}");
    }
}

#[test]
fn what_tangd_takes_and_we_do_not_is_a_short_list() {
    let folder = tempfile::tempdir().unwrap();
    jose_keygen(folder.path(), "a.jwk", r#"{"alg":"ES512"}"#);
    jose_keygen(folder.path(), "b.jwk", r#"{"alg":"ECMR"}"#);
    let ring = import(folder.path());
    let tables = Tables::compile(&ring);
    let path = format!("/rec/{}", named(&ring, Usage::Exchange)[0].thumbprint());
    let secret = run("jose", &["jwk", "gen", "-i", r#"{"alg":"ECMR"}"#], b"").unwrap();
    let public = client_key("P-521").to_string();
    let table = [
        (secret, RecoverError::PrivateKey),
        (public.replacen('{', r#"{"kty":"EC","#, 1), RecoverError::NotEcJwk),
        (
            format!("{public}{}", " ".repeat(MAX_REQUEST)),
            RecoverError::TooLarge,
        ),
    ];
    for (body, why) in table {
        assert_eq!(
            tangd(folder.path(), "POST", &path, body.as_bytes()).0,
            200,
            "{body}"
        );
        let (answer, recovery) = ours(&tables, "POST", &path, body.as_bytes());
        assert_eq!((answer.0, recovery), (why.status(), Some(Err(why))), "{body}");
    }
}

/// The keys that a JWS says there are, and those that `jose` says signed it.
fn advertised(jws: &str, ring: &KeyRing) -> (BTreeSet<String>, BTreeSet<String>) {
    let parsed: Value = serde_json::from_str(jws).unwrap();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(parsed["payload"].as_str().unwrap());
    let set: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
    let says = set["keys"].as_array().unwrap().iter().map(sorted).collect();
    let signers = named(ring, Usage::Signing).into_iter().filter(|key| {
        let folder = tempfile::tempdir().unwrap();
        let [jws_file, key_file] = ["jws", "jwk"].map(|name| folder.path().join(name).display().to_string());
        let name = format!("{}.jwk", key.thumbprint());
        let file = ring.export().find(|file| file.name.ends_with(&name)).unwrap();
        std::fs::write(&jws_file, jws).unwrap();
        std::fs::write(&key_file, file.text.as_bytes()).unwrap();
        run("jose", &["jws", "ver", "-i", &jws_file, "-k", &key_file], b"").is_ok()
    });
    (says, signers.map(|key| key.thumbprint().to_string()).collect())
}

/// JSON with its members in order.
fn sorted(jwk: &Value) -> String {
    let members: BTreeSet<String> = jwk
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{members:?}")
}

#[test]
fn advertisements_say_what_those_of_tangd_say_and_are_signed_by_the_same_keys() {
    let folder = folder();
    let ring = import(folder.path());
    let tables = Tables::compile(&ring);
    let signing = named(&ring, Usage::Signing);
    let mut paths = vec![("/adv".to_owned(), 2), ("/adv/".to_owned(), 2)];
    for key in &signing {
        let hidden = usize::from(key.standing() == Standing::Hidden);
        paths.extend(Hash::ALL.map(|hash| (format!("/adv/{}", key.thumbprint_by(hash)), 2 + hidden)));
    }
    for (path, n_signers) in paths {
        let (status, media_type, theirs) = tangd(folder.path(), "GET", &path, b"");
        let ((our_status, our_type, ours), _) = ours(&tables, "GET", &path, b"");
        assert_eq!((our_status, our_type), (status, media_type));
        let (says, signers) = advertised(&ours, &ring);
        assert_eq!((says.len(), signers.len()), (4, n_signers), "{path}");
        assert_eq!((says, signers), advertised(&theirs, &ring), "{path}");
    }
}

#[test]
fn one_signature_is_written_flat_as_tangd_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    jose_keygen(folder.path(), "a.jwk", r#"{"alg":"ES512"}"#);
    jose_keygen(folder.path(), "b.jwk", r#"{"alg":"ECMR"}"#);
    let ring = import(folder.path());
    let (_, _, theirs) = tangd(folder.path(), "GET", "/adv", b"");
    let tables = Tables::compile(&ring);
    let [theirs, ours]: [Value; 2] = [theirs.as_str(), tables.advertisement(None).unwrap()]
        .map(|text| serde_json::from_str(text).unwrap());
    let names = |jws: &Value| jws.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&ours), names(&theirs));
    assert_eq!(ours["protected"], theirs["protected"]);
}
