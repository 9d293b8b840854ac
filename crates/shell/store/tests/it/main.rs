//! The store as its callers see it: against a real folder, a real disk, real kills.

mod history;

mod world;
