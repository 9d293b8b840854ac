use std::convert::Infallible;
use std::fmt::Write as _;

use jiff::Timestamp;
use proptest::prelude::*;
use rand_core::{TryCryptoRng, TryRng};

use crate::curve::Secret;
use crate::*;

mod hostile;
mod keys;

/// Numbers that are the same in each run (splitmix64).
struct Dice(u64);

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let [_, _, _, _, low @ ..] = self.try_next_u64()?.to_be_bytes();
        Ok(u32::from_be_bytes(low))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            chunk.copy_from_slice(&self.try_next_u64()?.to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Dice {}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// Keys that `jose jwk gen` made, as a folder of `tangd`; that on P-384 is hidden.
const FOLDER: &[(&str, &str)] = &[
    ("P-256.jwk", include_str!("../testdata/P-256.jwk")),
    (".P-384.jwk", include_str!("../testdata/P-384.jwk")),
    ("P-521.jwk", include_str!("../testdata/P-521.jwk")),
    ("ES512.jwk", include_str!("../testdata/ES512.jwk")),
];

fn folder() -> KeyRing {
    let mut ring = KeyRing::default();
    assert_eq!(ring.import(FOLDER.iter().copied(), at(0)), Ok(4));
    ring
}

fn exchange_names(ring: &KeyRing) -> Vec<String> {
    let exchange = ring.keys().filter(|key| key.usage() == Usage::Exchange);
    exchange.map(|key| key.thumbprint().to_string()).collect()
}
