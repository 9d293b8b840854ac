//! What of a site's traffic the bastion lets pass, as one nftables table of its own.
//!
//! A [`Ruleset`] is compiled from the checked site by a pure function; [`Ruleset::text`] is one transaction for
//! `nft -f -`, which the kernel takes whole or not at all, and which names no table but `inet faros`.
//! [`Listing`] is what the kernel says that it holds, in a form that can be compared. [`facts`] says the same
//! in words, for the plan.
//!
//! It judges only what touches the LAN or comes in by the uplink. What else the machine routes, such as
//! traffic of containers, is other people's business and passes.
#![warn(missing_docs)]

mod accepted;
mod facts;
mod firewalld;
mod listing;
mod policy;
mod rules;
mod text;

pub use accepted::against_matrix;
pub use facts::{facts, fixed_address, network_list};
pub use firewalld::{Firewalld, PREFIX, Settings, Value};
pub use listing::{Difference, Listing};
pub use policy::{BadInterface, Interfaces, group_name, inside, lan_services};
pub use rules::{
    Addresses, Balanced, Chain, Direction, Hook, Match, PortRange, Rule, Ruleset, Side, Verdict,
};
pub use text::{FAMILY, Live, TABLE, counter_of, delete, slots_of, update};

#[cfg(test)]
mod tests;
