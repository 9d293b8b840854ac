//! The Tang protocol: keys that unlock disks over the network, without ever learning what they unlock.
//!
//! A client takes an advertisement (a signed set of public keys), makes up a secret from an exchange key in it,
//! and forgets it; to have it again it sends a point, blinded, and gets it back multiplied by the server's
//! secret (ECMR, the McCallum-Relyea exchange). A [`KeyRing`] holds the secrets; [`Tables`], compiled from it,
//! holds every answer that can be made beforehand, and makes the others. Who may ask is decided elsewhere.
//! Requests and answers are those of `tangd` 11 (RFC 7515, 7517, 7518, 7638).
#![warn(missing_docs)]

mod curve;
mod jwk;
mod recover;
mod ring;
mod route;
mod stored;
mod tables;
mod thumbprint;

pub use curve::Curve;
pub use jwk::{BadJwk, Usage};
pub use recover::{MAX_REQUEST, RecoverError, Recovery};
pub use ring::{ImportError, Key, KeyFile, KeyRing, RetireError, Standing};
pub use route::{ADVERTISEMENT_TYPE, RECOVERY_TYPE, Route, route};
pub use stored::BadStore;
pub use tables::Tables;
pub use thumbprint::{BadThumbprint, Hash, Thumbprint};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
