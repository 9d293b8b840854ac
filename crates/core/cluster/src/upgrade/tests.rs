//! An upgrade from its first step to its end, and what holds it up or stops it.

mod order;
mod stops;
mod storm;
mod world;
