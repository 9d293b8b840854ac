//! A whole site on one Linux machine, for real: network namespaces for the switch, the uplink, the bastion
//! and any number of clients, `farosd` in the bastion's, and QEMU machines that network-boot.
//!
//! The lab stands behind `make demo` and the tests, and is a program of its own (`faros-lab`). All that it
//! makes has the lab's name in it, lies in one folder, and goes with [`Lab::down`]; nothing outside of its
//! namespaces changes. Several labs live side by side under different names.

pub mod daemon;
pub mod demo;
pub mod folder;
pub mod host;
pub mod image;
pub mod interrupt;
pub mod lab;
pub mod machine;
pub mod native;
pub mod network;
pub mod run;
pub mod web;
pub mod wire;

pub use lab::Lab;
