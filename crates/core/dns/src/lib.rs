//! The name service's decisions: authority for the site's own zones, and what to forward.
//!
//! Answers for own names are compiled ahead ([`Zones`]), so a query costs a look-up and a copy. What is not
//! ours goes to the forwarders; their answers are held against the question and kept in a [`Cache`] with
//! bounds. Sockets, time-outs and randomness are the driver's.
#![warn(missing_docs)]

mod cache;
mod message;
mod zones;

pub use cache::{Cache, Cached};
pub use message::{
    Dnssec, Question, Rcode, fitted, for_client, is_cut_off, knows, upstream_answers, with_id, with_rcode,
};
pub use zones::{Outcome, Silent, Transport, Zones};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
