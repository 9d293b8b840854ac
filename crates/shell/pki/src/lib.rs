//! Certificates: roots, what they sign, and keys, all ECDSA on P-256.
//!
//! The bastion is the authority of its site, so this is small: an [`Authority`] signs under the names that its
//! caller decides, never under those that somebody asks for. A [`Request`] tells what is asked for, as facts to
//! decide by, and has the key that is asked about; nothing of it reaches a certificate but that key.
//!
//! No clock: `now` is an argument. Certificates begin [`CLOCK_SKEW`] before it, as machines that have just started
//! have the time that their board kept. Where keys lie is the caller's business.

mod authority;
mod key;
mod request;

pub use authority::{Authority, Leaf, Signed, Subject};
pub use key::Key;
pub use request::Request;

/// How far the clock of a machine may be behind the bastion's when it looks at a new certificate.
pub const CLOCK_SKEW: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Why something about certificates cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// No key can be made.
    #[error("cannot make a key")]
    MakeKey(#[source] rcgen::Error),
    /// The text is no key that can be used.
    #[error("cannot read the key")]
    ReadKey(#[source] rcgen::Error),
    /// The text is no certificate.
    #[error("cannot read the certificate")]
    ReadCertificate,
    /// The certificate may not sign others.
    #[error("the certificate is not that of an authority")]
    NotAnAuthority,
    /// The key is not the one that the certificate is about.
    #[error("the key does not belong to the certificate")]
    OtherKey,
    /// It is no request, or its sender has not the key that it is about.
    #[error("cannot read the certificate request")]
    ReadRequest(#[source] rcgen::Error),
    /// The request is larger than any that is answered.
    #[error("a certificate request of {0} bytes is too large")]
    LargeRequest(usize),
    /// A name or a time cannot stand in a certificate.
    #[error("`{0}` cannot stand in a certificate")]
    NotEncodable(String),
    /// There is no randomness for a serial number.
    #[error("there is no randomness")]
    Random(#[source] getrandom::Error),
    /// The certificate cannot be signed.
    #[error("cannot sign the certificate")]
    Sign(#[source] rcgen::Error),
}

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
