//! From the site to the texts that a node reads, boot scripts and its Ignition config; and to those of programs that
//! others use in the bastion's place.
//!
//! Everything here is a pure function of the checked site, so that a plan can show what a node would get,
//! and a test can hold it against the programs that read it.
#![warn(missing_docs)]

mod balancer;
mod cluster;
mod data_url;
mod firewall;
mod ignition;
mod install;
mod ipxe;
mod kubelet;
mod network;

pub use balancer::{API_CA, haproxy, keepalived};
pub use firewall::{all_rules as node_filters, rules as node_filter};
pub use ignition::{ignition, intended_config, node_config};
pub use install::{Install, Joining, content_url, installable, unlock_url};
pub use ipxe::{install_script, local_disk_script, nothing_script};

#[cfg(test)]
mod tests;
