//! The interface on the LAN, as the drivers need to know it.

use faros_model::ids::MacAddr;

/// An interface that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanLink {
    /// Its name.
    pub name: String,
    /// The kernel's number for it; another one when it was made anew.
    pub index: u32,
    /// Its MAC.
    pub mac: MacAddr,
}
