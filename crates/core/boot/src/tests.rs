//! The tracker against scripts of sightings.

mod boots;
mod identity;
mod machines;
mod pass;
mod reports;
mod tracker;
mod world;
