//! Makes the content of a Kubernetes cluster, and reads the container images that operators bring.
//!
//! A release is built from Go modules by their published versions and sums, which one lock file pins, and from
//! nothing else but a C compiler and a few Debian packages; the programs come out the same, byte for byte, wherever
//! the same Go builds them. What was built once is kept by the hash of all that decided it.

mod archive;
mod build;
mod debian;
mod error;
mod extension;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod go;
mod image;
mod keep;
mod lock;
mod run;
mod sbom;

pub use self::{
    archive::{Archive, BadArchive, Found, Part},
    build::{Builder, Built, Step},
    error::BuildError,
    keep::digest_of,
};
