//! The nouns of Faros: identifiers, the checked site, events, plans and the shapes of the local API.
//!
//! Everything here is a value: it is parsed, printed and compared, and does nothing. The crate knows no
//! clock, file, socket, environment or log, so every other crate may depend on it.
#![warn(missing_docs)]

pub mod api;
pub mod chain;
pub mod content;
pub mod event;
pub mod ids;
pub mod image_name;
pub mod kubernetes;
pub mod lease;
pub mod net;
pub mod oci;
pub mod plan;
pub mod ports;
pub mod problem;
pub mod sighting;
pub mod site;
pub mod timeline;
pub mod wire;
