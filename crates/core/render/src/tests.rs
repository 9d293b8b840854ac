//! Snapshots of the texts, and what other programs say of them.

mod firewall;
mod given;
mod install;
mod ipxe;
mod network;
mod node;
