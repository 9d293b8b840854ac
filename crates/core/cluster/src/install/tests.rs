//! Nodes that ask, work, fail and die.

mod again;
mod fifty;
mod restore;
mod storm;
mod turns;
mod world;
