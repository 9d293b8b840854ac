//! Drivers that run the protocol cores on real sockets.
//!
//! A driver owns sockets, reads the clock and moves bytes; every decision is taken by a core crate. All
//! drivers have the same shape: `bind` touches the world and may fail, `run` serves until it is told to
//! stop, new tables arrive on a watch channel and are swapped in between two packets.

mod batch;
pub mod clock;
pub mod dhcp;
pub mod dns;
pub mod http;
pub mod link;
mod listening;
pub mod ntp;
mod packet;
pub mod pages;
pub mod prober;
pub mod service;
mod socket;
mod stamp;
pub mod tftp;
pub mod vip;
