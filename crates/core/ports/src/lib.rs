//! The one matrix of ports: who may reach whom on which port, under which condition, and who says so.
//!
//! The rows are typed constants and not a file that is read: a misspelled role or condition does not compile, the
//! bastion's own numbers are the constants that its services bind, and nothing has to be parsed or can fail to be.
//! Whoever wants the data as data has `farosctl ports --output json`.
//!
//! [`rows`] is the whole matrix; [`Facts`] is what its conditions ask of a site; [`openings`] is what of it a site
//! has, with addresses in the place of roles. Packet filters of nodes are rendered from that ([`nft`],
//! [`firewalld`], [`openstack`]), and rules that somebody else made are held against it ([`verify`]).
#![warn(missing_docs)]

mod data;
mod facts;
pub mod firewalld;
mod names;
pub mod nft;
mod openings;
pub mod openstack;
pub mod page;
mod party;
mod row;
pub mod show;
mod sources;
pub mod verify;

pub use data::{bastion_ports, rows};
pub use facts::{Distribution, Facts, Feature, Is, Plugin};
pub use names::{Name, NameOf, NamePattern, names, patterns};
pub use openings::{Machine, Opening, from_outside, openings};
pub use party::Party;
pub use row::{Bind, Direction, Matrix, Need, Ports, Protocol, Row};
pub use sources::Source;

#[cfg(test)]
mod tests;
