//! Follows each machine through its boots: which node a packet belongs to, which boot session, which phase.
//!
//! Services tell what they saw ([`Sighting`](faros_model::sighting::Sighting)); the [`Tracker`] says whose it
//! is and what follows from it. A phase changes on evidence alone, never on a guess, and every change says what
//! the evidence was. The tracker reads no clock and keeps nothing on disk: it is handed the time inside the
//! sighting, and hands out what changed ([`Changes`]) for whoever keeps it.
#![warn(missing_docs)]

mod discovered;
mod evidence;
mod identity;
mod life;
mod pass;
mod report;
mod tracker;
mod whose;

pub use self::{
    evidence::firmware_word,
    life::{Boot, Life, Reached},
    pass::{Asks, NoPass, Pass, admit},
    report::read_report,
    tracker::{Changes, Draft, NodeRecord, Tracker},
};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
