//! The matrix of ports against what is there: real probes at filters that are made from it, and the verdicts of the
//! programs that read them.

mod filters;
mod programs;
mod verify;
mod world;
