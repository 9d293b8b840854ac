//! Any bytes as a recovery request to a Tang server with a key on each curve.

#![no_main]

use std::sync::LazyLock;

use faros_tang::{KeyRing, Tables};

const FOLDER: [(&str, &str); 3] = [
    ("a.jwk", include_str!("../../crates/core/tang/testdata/P-256.jwk")),
    (".b.jwk", include_str!("../../crates/core/tang/testdata/P-384.jwk")),
    ("c.jwk", include_str!("../../crates/core/tang/testdata/P-521.jwk")),
];

static SERVER: LazyLock<(Tables, Vec<String>)> = LazyLock::new(|| {
    let mut ring = KeyRing::default();
    ring.import(FOLDER, Default::default()).expect("keys of jose");
    let names = ring.keys().map(|key| key.thumbprint().to_string()).collect();
    (Tables::compile(&ring), names)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_tang::fuzz::recover(&SERVER.0, &SERVER.1, bytes));
