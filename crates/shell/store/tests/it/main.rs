//! The store as its callers see it: against a real folder, a real disk, real kills.

mod content;
mod crash;
mod history;
mod trouble;
mod world;
