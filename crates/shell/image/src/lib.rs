//! Builds node images from Debian packages by name.
//!
//! An image is a kernel and an initramfs whose root is a small Debian, the *installer*, and the root file system
//! of the installed node. A node that network-boots the installer runs Ignition itself on the config that the
//! bastion serves. No other source than the Debian mirror of this machine is needed, so a site can build its
//! images again.

mod build;
mod recipe;

pub use build::{BuildError, Builder};
pub use recipe::Kernel;
