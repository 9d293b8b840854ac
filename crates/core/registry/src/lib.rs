//! The pull side of a registry of container images (OCI distribution specification v1.1), as pure functions.
//!
//! What may be asked for is a closed set ([`Route`]), and names are checked before they are used: no path of a request
//! becomes a path on disk, and no name of a request reaches an entry of the content store that does not belong to an
//! image ([`Repository`]). Where the bytes are, and who may have them, is the caller's.
//!
//! Images keep the names that they were made with: nodes ask a mirror, and say with `?ns=` which registry they mean
//! ("Hosts" in containerd's documentation). Whoever asks without it names the registry first:
//! `faros.dev/kubernetes/pause`. What a repository has is listed by the names of the content store.
#![warn(missing_docs)]

mod listing;
mod manifest;
mod refusal;
mod repository;
mod route;

pub use listing::{Listed, Page, catalog, list, next_link, tags};
pub use manifest::{MAX_MANIFEST, MediaType, accepts, media_type};
pub use refusal::{Code, Refusal};
pub use repository::{Repository, Tag};
pub use route::{Reference, Route, route};

/// The version of the protocol, which old clients look for in the header `Docker-Distribution-Api-Version`.
pub const API_VERSION: (&str, &str) = ("Docker-Distribution-Api-Version", "registry/2.0");

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
