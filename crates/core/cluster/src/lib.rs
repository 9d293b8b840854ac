//! The Kubernetes cluster of a site, by kubeadm: what its nodes are given, and who may do what when.
//!
//! Everything here is a pure function of the site and of what was observed, so a plan can show what a node would get,
//! a test can hold it against the programs that read it, and a crash of node or bastion changes nothing but the
//! observation. What asks Kubernetes, keeps secrets and answers nodes is in `farosd`.
#![warn(missing_docs)]

mod cni;
mod containerd;
mod control_plane;
pub mod credentials;
pub mod csr;
pub mod drain;
pub mod etcd;
mod file;
pub mod hardening;
mod host;
pub mod install;
pub mod join;
mod kubeadm;
mod names;
mod pods;
mod record;
pub mod snapshots;
pub mod status;
pub mod tend;
pub mod upgrade;
pub mod version;

pub use self::{
    control_plane::{Authorities, EncryptionKey, Pair, control_plane_files},
    file::File,
    host::{Bond, JOIN_UNIT, NodeParts, Unit, node_parts},
    kubeadm::{Images, NoImage, init_config, join_config, upgrade_config},
    names::{API_PORT, Names},
    pods::{PodBlocks, PodNetworkTooSmall},
    record::{NotTaken, Record, Restoring, Said},
};

#[cfg(test)]
mod tests;
