//! Real clevis against the unlock service: who is helped, who is not and why, and what the ledger knows of it.

mod keys;
mod lockdown;
mod who;
mod world;
