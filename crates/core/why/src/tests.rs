//! Stories told by scripts, and what is made of them.

mod catalogue;
mod faults;
mod holes;
mod pictures;
mod story;
mod timelines;
mod why;
mod world;
