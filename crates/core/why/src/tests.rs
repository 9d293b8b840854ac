//! Stories told by scripts, and what is made of them.

mod catalogue;
mod pictures;
mod story;
mod timelines;
mod why;
