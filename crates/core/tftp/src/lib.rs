//! The TFTP of network boot: read requests and the transfer that answers one (RFC 1350, 2347, 2348, 2349,
//! 7440).
//!
//! A [`Transfer`] owns no socket, no file and no clock: it is handed acknowledgments and time-outs, and says
//! which blocks to send. The driver reads those blocks from the file and puts [`data_header`] before each.
//! Writing, mail mode and netascii are refused: boot loaders are bytes.
#![warn(missing_docs)]

mod packet;
mod transfer;

pub use packet::{ErrorCode, Packet, ReadRequest, Refused, data_header, error, parse};
pub use transfer::{Limits, Step, Transfer};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
