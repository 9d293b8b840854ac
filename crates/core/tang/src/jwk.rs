//! Keys as JSON (RFC 7517, RFC 7518 section 6.2).
//!
//! What is written here is always in one form: members sorted, no white space, coordinates at full length, as
//! `jose` writes them. What is read may be in any; members nobody asked about are passed over, as RFC 7517
//! section 4 wants.

use std::fmt::Write as _;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::curve::{Curve, Point, Secret};
use crate::ring::Key;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Usage {
    /// Signs advertisements.
    Signing,
    /// Recovers (ECMR).
    Exchange,
}

/// Why a JWK cannot be one of this server's secret keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadJwk {
    /// It is no JSON object with members of a JWK's types.
    #[error("it is not a JWK")]
    NotJwk,
    /// The key type is not `EC`.
    #[error("it is not an elliptic curve key")]
    NotEc,
    /// A curve other than P-256, P-384 and P-521.
    #[error("its curve is not P-256, P-384 or P-521")]
    UnknownCurve,
    /// Neither for signing nor for exchange, or for both, or for what its algorithm cannot do.
    #[error("it is neither a signing key nor an exchange key")]
    UnknownUsage,
    /// It has no private part.
    #[error("its private part `d` is missing")]
    NoSecret,
    /// The private part is no secret on its curve.
    #[error("its private part `d` is not a secret number of its curve")]
    BadSecret,
    /// The public part is not that of the private one.
    #[error("its public part is not that of its private part")]
    Mismatch,
}

/// The members of a JWK that are looked at. One that is `null` is there, and of the wrong type.
#[derive(Deserialize)]
pub(crate) struct WireJwk {
    #[serde(default, deserialize_with = "present")]
    pub(crate) kty: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) alg: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) key_ops: Option<Value>,
    #[serde(default, deserialize_with = "present", rename = "use")]
    pub(crate) usage: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) crv: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) x: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) y: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) d: Option<Zeroizing<String>>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

impl WireJwk {
    /// Reads a JSON object, and that alone: `serde` would take an array of the members' values too.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let is_object = text.trim_ascii_start().starts_with(b"{");
        is_object.then(|| serde_json::from_slice(text).ok()).flatten()
    }

    /// The secret key that this is.
    pub(crate) fn secret(&self) -> Result<(Usage, Secret), BadJwk> {
        if self.kty.as_deref() != Some("EC") {
            return Err(BadJwk::NotEc);
        }
        let curve = self.crv.as_deref().and_then(Curve::named);
        let curve = curve.ok_or(BadJwk::UnknownCurve)?;
        let usage = self.secret_usage(curve).ok_or(BadJwk::UnknownUsage)?;
        let d = self.d.as_ref().ok_or(BadJwk::NoSecret)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(d.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| BadJwk::BadSecret)?;
        let secret = Secret::from_bytes(curve, &bytes).ok_or(BadJwk::BadSecret)?;
        let public = secret.public();
        // Thumbprints are made from the text of the coordinates, so another text is another name.
        let same = self.x == Some(encode(&public.x)) && self.y == Some(encode(&public.y));
        if same {
            Ok((usage, secret))
        } else {
            Err(BadJwk::Mismatch)
        }
    }

    /// Whether its `key_ops` name that operation (RFC 7517 section 4.3).
    pub(crate) fn may(&self, operation: &str) -> bool {
        let operations = self.key_ops.as_ref().and_then(Value::as_array);
        operations.is_some_and(|all| all.iter().any(|it| it == operation))
    }

    fn secret_usage(&self, curve: Curve) -> Option<Usage> {
        let by_alg = match self.alg.as_deref() {
            Some("ECMR") => Some(Usage::Exchange),
            Some(alg) if alg == curve.signature_algorithm() => Some(Usage::Signing),
            Some(_) => return None,
            None => None,
        };
        let by_ops = match (self.may("sign"), self.may("deriveKey")) {
            (true, false) => Some(Usage::Signing),
            (false, true) => Some(Usage::Exchange),
            (false, false) if self.key_ops.is_none() => {
                let signs = self.usage.as_ref().is_some_and(|it| it == "sig");
                signs.then_some(Usage::Signing)
            }
            (true, true) | (false, false) => return None,
        };
        match (by_alg, by_ops) {
            (Some(alg), Some(ops)) => (alg == ops).then_some(alg),
            (alg, ops) => alg.or(ops),
        }
    }
}

/// Bytes of a coordinate, at the length of the curve's field: leading zeros may be missing or be too many, as
/// `jose` reads them.
pub(crate) fn coordinate(curve: Curve, text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = &bytes[zeros..];
    let missing = curve.width().checked_sub(digits.len())?;
    Some([vec![0; missing].as_slice(), digits].concat())
}

/// What is hashed for a thumbprint: the required members alone, sorted (RFC 7638 section 3.2).
pub(crate) fn thumbprint_input(point: &Point) -> String {
    let Point { curve, x, y } = point;
    let (crv, x, y) = (curve.name(), encode(x), encode(y));
    format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
}

/// A public key.
pub(crate) fn public(usage: Usage, point: &Point) -> String {
    let Point { curve, x, y } = point;
    let (crv, x, y) = (curve.name(), encode(x), encode(y));
    let (alg, op) = match usage {
        Usage::Signing => (curve.signature_algorithm(), "verify"),
        Usage::Exchange => ("ECMR", "deriveKey"),
    };
    format!(r#"{{"alg":"{alg}","crv":"{crv}","key_ops":["{op}"],"kty":"EC","x":"{x}","y":"{y}"}}"#)
}

/// Most bytes that [`secret`] writes.
pub(crate) const MAX_SECRET_TEXT: usize = 512;

/// Appends a secret key, which is at most [`MAX_SECRET_TEXT`] bytes; with so much capacity left in `out` no
/// copy of the secret stays behind.
pub(crate) fn secret(out: &mut Zeroizing<String>, key: &Key) {
    let Point { curve, x, y } = &key.point;
    let (crv, x, y) = (curve.name(), encode(x), encode(y));
    let (alg, ops) = match key.usage() {
        Usage::Signing => (curve.signature_algorithm(), r#""sign","verify""#),
        Usage::Exchange => ("ECMR", r#""deriveKey""#),
    };
    let d = Zeroizing::new(encode(&key.secret.to_bytes()));
    // Writing to a `String` cannot fail.
    let _ = write!(
        out,
        r#"{{"alg":"{alg}","crv":"{crv}","d":"{}","key_ops":[{ops}],"kty":"EC","x":"{x}","y":"{y}"}}"#,
        d.as_str()
    );
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
