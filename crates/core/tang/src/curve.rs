//! The three curves, and all that is done with a secret on them.
//!
//! Arithmetic comes from the curve crates alone, which take the same time for every secret. Here is chosen
//! which of them, and nothing that looks at a secret's bits.

use std::fmt;

use p521::elliptic_curve::{
    self, AffinePoint, CurveArithmetic, FieldBytesSize, Generate as _, ProjectivePoint, PublicKey, SecretKey,
    sec1::{FromSec1Point, ModulusSize, ToSec1Point},
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

/// A curve of FIPS 186 that a key may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1: the curve of all keys that are made here.
    P521,
}

impl Curve {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Its name in a JWK (RFC 7518 section 6.2.1.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The curve of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|curve| curve.name() == name)
    }

    /// The algorithm of signatures on it (RFC 7518 section 3.4).
    pub const fn signature_algorithm(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::P521 => "ES512",
        }
    }

    /// Length of a coordinate and of a secret, in bytes.
    pub(crate) const fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A point by its coordinates, each as long as its curve's field; it may lie beside the curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) curve: Curve,
    pub(crate) x: Vec<u8>,
    pub(crate) y: Vec<u8>,
}

/// A secret number on its curve; forgotten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    P256(p256::SecretKey),
    P384(p384::SecretKey),
    P521(p521::SecretKey),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

impl Secret {
    /// A new one on P-521.
    pub(crate) fn generate(rng: &mut impl CryptoRng) -> Self {
        Self::P521(SecretKey::generate_from_rng(rng))
    }

    /// The secret of these bytes, if there are as many as the curve has and they are a number from 1 to below
    /// the order.
    pub(crate) fn from_bytes(curve: Curve, bytes: &[u8]) -> Option<Self> {
        if bytes.len() != curve.width() {
            return None;
        }
        match curve {
            Curve::P256 => SecretKey::from_slice(bytes).ok().map(Self::P256),
            Curve::P384 => SecretKey::from_slice(bytes).ok().map(Self::P384),
            Curve::P521 => SecretKey::from_slice(bytes).ok().map(Self::P521),
        }
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::P256(secret) => secret_bytes(secret),
            Self::P384(secret) => secret_bytes(secret),
            Self::P521(secret) => secret_bytes(secret),
        }
    }

    pub(crate) fn public(&self) -> Point {
        match self {
            Self::P256(secret) => coordinates(Curve::P256, &secret.public_key()),
            Self::P384(secret) => coordinates(Curve::P384, &secret.public_key()),
            Self::P521(secret) => coordinates(Curve::P521, &secret.public_key()),
        }
    }

    /// This secret times `point`, or `None` if the point is not on this secret's curve.
    ///
    /// All three curves have a prime order, so no point that is on the curve has a small one.
    pub(crate) fn times(&self, point: &Point) -> Option<Point> {
        match (self, point.curve) {
            (Self::P256(secret), Curve::P256) => times(Curve::P256, secret, point),
            (Self::P384(secret), Curve::P384) => times(Curve::P384, secret, point),
            (Self::P521(secret), Curve::P521) => times(Curve::P521, secret, point),
            (Self::P256(_) | Self::P384(_) | Self::P521(_), _) => None,
        }
    }

    /// The JWS signature of `message` (RFC 7518 section 3.4), always the same for the same message (RFC 6979).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        use p521::ecdsa::signature::Signer as _;
        match self {
            Self::P256(secret) => {
                let signature: p256::ecdsa::Signature = p256::ecdsa::SigningKey::from(secret).sign(message);
                signature.to_bytes().to_vec()
            }
            Self::P384(secret) => {
                let signature: p384::ecdsa::Signature = p384::ecdsa::SigningKey::from(secret).sign(message);
                signature.to_bytes().to_vec()
            }
            Self::P521(secret) => {
                let signature: p521::ecdsa::Signature = p521::ecdsa::SigningKey::from(secret).sign(message);
                signature.to_bytes().to_vec()
            }
        }
    }
}

fn secret_bytes<C: elliptic_curve::Curve>(secret: &SecretKey<C>) -> Zeroizing<Vec<u8>> {
    let bytes = Zeroizing::new(secret.to_bytes());
    Zeroizing::new(bytes.to_vec())
}

fn coordinates<C>(curve: Curve, key: &PublicKey<C>) -> Point
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    // SEC 1 section 2.3.3: 4, x, y.
    let bytes = key.as_affine().to_uncompressed_point();
    let (x, y) = bytes[1..].split_at(curve.width());
    Point {
        curve,
        x: x.to_vec(),
        y: y.to_vec(),
    }
}

fn times<C>(curve: Curve, secret: &SecretKey<C>, point: &Point) -> Option<Point>
where
    C: CurveArithmetic,
    FieldBytesSize<C>: ModulusSize,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
{
    let bytes = [&[4], point.x.as_slice(), &point.y].concat();
    let theirs = PublicKey::<C>::from_sec1_bytes(&bytes).ok()?;
    let ours = Zeroizing::new(secret.to_nonzero_scalar());
    let product = ProjectivePoint::<C>::from(*theirs.as_affine()) * **ours;
    let product = PublicKey::<C>::from_affine(product.into()).ok()?;
    Some(coordinates(curve, &product))
}
