//! Which server a new connection to a virtual IP is led to.
//!
//! The kernel leads: a map of [`SLOTS`] slots for each service says which backend a slot belongs to, and a rule
//! picks a slot for each first packet. What is here decides what stands in the maps. [`services`] says what there
//! is to balance; a [`Balancer`] asks for probes, is told what came of them, and says which backends are in, with
//! which share; [`slots`] turns shares into slots so that as few as can be change hands.
//!
//! No packet waits for anything here: if nobody runs this, the maps stay as they are.
#![warn(missing_docs)]

mod balancer;
mod health;
mod services;
mod slots;

pub use balancer::{BackendView, Balancer, Effect, Probe, ServiceView};
pub use health::{Change, Evidence, Fault, Lost, Now, State};
pub use services::{Affinity, Backend, Check, HttpsPath, Service, facts, services, virtual_addresses};
pub use slots::{SLOTS, Slots, slots};

#[cfg(test)]
mod tests;
