//! From the site to the texts that a node reads: boot scripts and its Ignition config.
//!
//! Everything here is a pure function of the checked site, so that a plan can show what a node would get,
//! and a test can hold it against the programs that read it.
#![warn(missing_docs)]

mod ignition;
mod ipxe;

pub use ignition::ignition;
pub use ipxe::{install_script, local_disk_script, nothing_script};

#[cfg(test)]
mod tests;
