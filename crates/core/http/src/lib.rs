//! The HTTP/1.1 of network boot: request heads, routes and ranges, as pure functions over bytes.
//!
//! Boot ROMs, iPXE, `curl` and Ignition ask for a handful of paths. What they may ask is a closed set
//! ([`Route`]), so no path of a request ever becomes a path on disk. Serving files without copying them
//! through user space is the driver's part; what to serve, and which bytes of it, is decided here
//! (RFC 9110, RFC 9112).
#![warn(missing_docs)]

mod head;
mod range;
mod route;

pub use head::{BadRequest, MAX_BODY, MAX_HEAD, Method, Request, Response, parse};
pub use range::{Part, Select, select};
pub use route::{Route, route};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
