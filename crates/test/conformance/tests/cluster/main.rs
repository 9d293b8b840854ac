//! A site becomes a cluster, and stays one: real kubeadm, etcd, kubelets and containerd on native nodes, by what the
//! bastion gives.
//!
//! Long, and asked for by name: `make cluster`. Each test has a lab of its own, and they run one after another. The logs
//! of one that failed outlive its lab; it says where they are.

mod bring_up;
mod clock;
mod conformance;
mod disk;
mod emulated;
mod keeping;
mod majority;
mod phases;
mod pods;
mod sizes;
mod trouble;
mod upgrading;
mod world;
