//! The Tang of this crate and that of Debian, with the clients that nodes have: clevis and jose.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "real programs are started, on files and sockets of the test's own"
)]

mod clevis;
mod differential;
mod peers;
