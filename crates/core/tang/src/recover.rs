//! Recovery: a client's point, times the secret that it names (ECMR).

use serde::de::IgnoredAny;

use crate::curve::{Curve, Point, Secret};
use crate::jwk::{self, Usage, WireJwk};
use crate::ring::Standing;
use crate::thumbprint::Thumbprint;

/// Largest body of a recovery request, in bytes; that of clevis on P-521 has some 250.
pub const MAX_REQUEST: usize = 4096;

/// An answer to a recovery request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The JWK to answer with, of type [`crate::RECOVERY_TYPE`].
    pub text: String,
    /// The exchange key that was used, by whatever hash it was named.
    pub key: Thumbprint,
    /// Whether that key is still advertised; the client should bind anew if not.
    pub standing: Standing,
}

/// Why there is no recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RecoverError {
    /// The body is longer than [`MAX_REQUEST`].
    #[error("the request is too large")]
    TooLarge,
    /// The body is not JSON.
    #[error("the request is not JSON")]
    NotJson,
    /// The body is JSON and no JWK of an elliptic curve for ECMR.
    #[error("the request is not a JWK for ECMR")]
    NotEcJwk,
    /// The JWK says that it is not for deriving keys.
    #[error("the key of the request is not for deriving keys")]
    NotForDeriving,
    /// The JWK has a private part, which no client may send.
    #[error("the request holds a private key")]
    PrivateKey,
    /// No key has the name that was asked for.
    #[error("there is no such key")]
    UnknownKey,
    /// The key that was asked for signs.
    #[error("the key that was asked for is a signing key")]
    NotExchangeKey,
    /// The point is on another curve than the key, or on none that is known.
    #[error("the point of the request is on another curve than the key")]
    WrongCurve,
    /// The coordinates are no point of the curve.
    #[error("the point of the request is not on its curve")]
    NotOnCurve,
}

impl RecoverError {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::TooLarge,
        Self::NotJson,
        Self::NotEcJwk,
        Self::NotForDeriving,
        Self::PrivateKey,
        Self::UnknownKey,
        Self::NotExchangeKey,
        Self::WrongCurve,
        Self::NotOnCurve,
    ];

    /// The HTTP status of the answer, as `tangd` has it.
    pub const fn status(self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::NotJson | Self::NotEcJwk | Self::PrivateKey | Self::WrongCurve | Self::NotOnCurve => 400,
            Self::NotForDeriving | Self::NotExchangeKey => 403,
            Self::UnknownKey => 404,
        }
    }

    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::TooLarge => "tang_too_large",
            Self::NotJson => "tang_not_json",
            Self::NotEcJwk => "tang_not_ec_jwk",
            Self::NotForDeriving => "tang_not_for_deriving",
            Self::PrivateKey => "tang_private_key",
            Self::UnknownKey => "tang_unknown_key",
            Self::NotExchangeKey => "tang_not_exchange_key",
            Self::WrongCurve => "tang_wrong_curve",
            Self::NotOnCurve => "tang_not_on_curve",
        }
    }
}

/// Reads the body of a request. What is checked first decides the status, so the order is that of `tangd`.
///
/// `tangd` recovers for private keys too; no client needs that, and one that sends its secret is told so. It
/// also takes the last of members of one name; here there may be only one (RFC 7517 section 4 allows both).
pub(crate) fn request(body: &[u8]) -> Result<WireJwk, RecoverError> {
    if body.len() > MAX_REQUEST {
        return Err(RecoverError::TooLarge);
    }
    let Some(wire) = WireJwk::read(body) else {
        let is_json = serde_json::from_slice::<IgnoredAny>(body).is_ok();
        return Err(if is_json {
            RecoverError::NotEcJwk
        } else {
            RecoverError::NotJson
        });
    };
    let may_derive = match (&wire.key_ops, &wire.usage) {
        (Some(_), Some(usage)) => usage.is_string() && wire.may("deriveKey"),
        (Some(_), None) => wire.may("deriveKey"),
        (None, usage) => usage.is_none(),
    };
    if !may_derive {
        return Err(RecoverError::NotForDeriving);
    }
    if wire.kty.as_deref() != Some("EC") || wire.alg.as_deref().is_some_and(|alg| alg != "ECMR") {
        return Err(RecoverError::NotEcJwk);
    }
    if wire.d.is_some() {
        return Err(RecoverError::PrivateKey);
    }
    Ok(wire)
}

/// The JWK that answers `request`, made with `secret`.
pub(crate) fn exchange(secret: &Secret, curve: Curve, request: &WireJwk) -> Result<String, RecoverError> {
    let (Some(crv), Some(x), Some(y)) = (&request.crv, &request.x, &request.y) else {
        return Err(RecoverError::NotEcJwk);
    };
    if Curve::named(crv) != Some(curve) {
        return Err(RecoverError::WrongCurve);
    }
    let (x, y) = jwk::coordinate(curve, x)
        .zip(jwk::coordinate(curve, y))
        .ok_or(RecoverError::NotOnCurve)?;
    let theirs = Point { curve, x, y };
    let product = secret.times(&theirs).ok_or(RecoverError::NotOnCurve)?;
    Ok(jwk::public(Usage::Exchange, &product))
}
