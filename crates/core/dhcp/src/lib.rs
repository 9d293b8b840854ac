//! The DHCP server's decisions (RFC 2131 and its kin): bytes and a clock reading in, effects out.
//!
//! A [`Server`] owns no socket and no disk. It says what to send, which lease to put on disk before an
//! acknowledgment may leave ([`Effect::Commit`]), and which address to probe before it is offered
//! ([`Effect::Probe`]); the driver does it and tells the outcome. What gets no answer has a name
//! ([`Ignored`]), so that silence can be counted.
#![warn(missing_docs)]

pub mod arp;
mod message;
mod options;
mod reply;
mod server;
mod tables;

pub use message::{Malformed, Message, MessageType, opt};
pub use options::Options;
pub use reply::Destination;
pub use server::{Effect, Ignored, Server, Ticket};
pub use tables::{Reservation, Tables};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
