//! Tells the story of a boot, and why a node stands where it stands.
//!
//! Both are pure functions over the events that the flight recorder kept: [`timeline`] makes one boot session
//! a value of spans and marks, which [`draw`] shows as text or as a picture; [`why`] holds what is [`Known`]
//! of a node against a catalogue of causes and ranks those that fit. Nothing here asks the world anything,
//! so every answer can be had again from the same events, and every cause can be tested without a machine.
//!
//! A story with a hole in it says so: what happened while the bastion was not there to see is never made up.
#![warn(missing_docs)]

mod case;
mod catalogue;
mod causes;
pub mod draw;
mod facts;
mod known;
mod moment;
pub mod pages;
mod reports;
mod stand;
mod timeline;
mod why;
pub mod words;

pub use self::{
    causes::join::{Printer, WORDS, Words, refusals, waits},
    known::{ImageState, Known},
    timeline::{Recorded, sessions, timeline},
    why::why,
};

#[cfg(test)]
mod tests;
