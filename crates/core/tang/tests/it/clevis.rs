//! Secrets that clevis binds and brings back.

use faros_tang::{Hash, Key, KeyRing, RecoverError, Standing, Thumbprint, Usage};

use crate::peers::{Server, Tang, export, faros, generate, import, jose_keygen, now, rng, run, tangd_keygen};

const SECRET: &str = "the disk's passphrase";

/// Binds the secret; `pin` is the thumbprint of a signing key.
fn encrypt(server: &Server, pin: Option<&str>) -> Result<String, String> {
    let url = &server.url;
    match pin {
        Some(pin) => {
            let config = format!(r#"{{"url":"{url}","thp":"{pin}"}}"#);
            run("clevis", &["encrypt", "tang", &config], SECRET.as_bytes())
        }
        None => {
            let config = format!(r#"{{"url":"{url}"}}"#);
            run("clevis", &["encrypt", "tang", &config, "-y"], SECRET.as_bytes())
        }
    }
}

fn decrypt(jwe: &str) -> Result<String, String> {
    run("clevis", &["decrypt"], jwe.as_bytes())
}

fn newest(ring: &KeyRing, usage: Usage) -> &Key {
    ring.keys().filter(|key| key.usage() == usage).last().unwrap()
}

/// Which keys recovered since the last call, and how they stood.
fn recovered(server: &Server) -> Vec<(Thumbprint, Standing)> {
    let recoveries = server.recoveries();
    recoveries
        .into_iter()
        .map(|it| it.map(|it| (it.key, it.standing)).unwrap())
        .collect()
}

#[test]
fn a_secret_comes_back_however_the_server_was_trusted() {
    let ring = generate();
    let server = Server::start(faros(&ring));
    let exchange = newest(&ring, Usage::Exchange).thumbprint();
    let signing = newest(&ring, Usage::Signing);
    let pins = [Hash::Sha256, Hash::Sha1].map(|hash| signing.thumbprint_by(hash));
    for pin in [None, Some(pins[0].as_str()), Some(&pins[1])] {
        let jwe = encrypt(&server, pin).unwrap();
        assert_eq!(
            server.recoveries(),
            [],
            "the server is not asked when something is bound"
        );
        assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET), "{pin:?}");
        assert_eq!(recovered(&server), [(exchange, Standing::Advertised)]);
    }
    let strange = encrypt(
        &server,
        Some(&generate().keys().next().unwrap().thumbprint().to_string()),
    );
    assert!(strange.unwrap_err().contains("Unable to fetch advertisement"));
}

#[test]
fn what_was_bound_before_a_rotation_opens_until_its_key_retires() {
    let mut ring = generate();
    let server = Server::start(faros(&ring));
    let old_pin = newest(&ring, Usage::Signing).thumbprint().to_string();
    let old = newest(&ring, Usage::Exchange).thumbprint();
    let old_jwe = encrypt(&server, Some(&old_pin)).unwrap();

    ring.rotate(&mut rng(), now(1));
    server.now_serves(faros(&ring));
    let new = newest(&ring, Usage::Exchange).thumbprint();
    let new_pin = newest(&ring, Usage::Signing).thumbprint().to_string();
    let new_jwe = encrypt(&server, Some(&new_pin)).unwrap();
    for (jwe, recovery) in [
        (&old_jwe, (old, Standing::Hidden)),
        (&new_jwe, (new, Standing::Advertised)),
    ] {
        assert_eq!(decrypt(jwe).as_deref(), Ok(SECRET));
        assert_eq!(recovered(&server), [recovery]);
    }

    assert_eq!(ring.retire(&old).unwrap().len(), 2);
    server.now_serves(faros(&ring));
    assert!(
        decrypt(&old_jwe)
            .unwrap_err()
            .contains("Error communicating with server")
    );
    assert_eq!(server.recoveries(), [Err(RecoverError::UnknownKey)]);
    assert_eq!(decrypt(&new_jwe).as_deref(), Ok(SECRET));
}

/// clevis looks for the pinned key among the advertised ones, though the old key signs as well: whoever pins a
/// thumbprint must pin a current one when binding.
#[test]
fn clevis_binds_nothing_with_a_pin_of_before_a_rotation_here_and_at_tangd() {
    let mut ring = generate();
    let pin = newest(&ring, Usage::Signing).thumbprint().to_string();
    ring.rotate(&mut rng(), now(1));
    let server = Server::start(faros(&ring));
    for tang in [faros(&ring), Tang::Debian(export(&ring))] {
        server.now_serves(tang);
        let refused = encrypt(&server, Some(&pin)).unwrap_err();
        assert!(refused.contains("did not sign the advertisement"), "{refused}");
    }
}

#[test]
fn keys_of_tangd_open_here_what_they_bound_there() {
    let folder = tangd_keygen();
    let ring = import(folder.path());
    let pin = newest(&ring, Usage::Signing).thumbprint().to_string();
    let server = Server::start(Tang::Debian(folder));
    let jwe = encrypt(&server, Some(&pin)).unwrap();
    assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET));

    server.now_serves(faros(&ring));
    assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET));
    assert_eq!(server.recoveries().len(), 1);
}

#[test]
fn keys_of_ours_open_at_tangd_what_they_bound_here() {
    let mut ring = generate();
    let server = Server::start(faros(&ring));
    let jwe = encrypt(&server, None).unwrap();
    ring.rotate(&mut rng(), now(1));
    server.now_serves(Tang::Debian(export(&ring)));
    assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET));
}

#[test]
fn keys_on_smaller_curves_serve_too() {
    for (curve, algorithm) in [("P-256", "ES256"), ("P-384", "ES384")] {
        let folder = tempfile::tempdir().unwrap();
        let template = format!(r#"{{"alg":"ECMR","crv":"{curve}"}}"#);
        jose_keygen(folder.path(), "exchange.jwk", &template);
        jose_keygen(
            folder.path(),
            "signing.jwk",
            &format!(r#"{{"alg":"{algorithm}"}}"#),
        );
        let ring = import(folder.path());
        let pin = newest(&ring, Usage::Signing).thumbprint().to_string();
        let server = Server::start(faros(&ring));
        let jwe = encrypt(&server, Some(&pin)).unwrap();
        assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET), "{curve}");
        server.now_serves(Tang::Debian(folder));
        assert_eq!(decrypt(&jwe).as_deref(), Ok(SECRET), "{curve}");
    }
}
