//! The tracker against scripts of sightings.

mod boots;
mod identity;
mod machines;
mod pass;
mod tracker;
mod world;
