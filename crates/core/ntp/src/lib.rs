//! The time service's decisions: what a client is told, what a source's answers are worth, and how the
//! bastion's clock is put right.
//!
//! What clients are told is never better than what is known. A clock is only called synchronized while sources
//! that agree say how far it is off, or while the host's own time daemon vouches for it to the kernel; how far it
//! may be off is in every answer. A site without any source is an orphan: it claims a stratum that says so.
//! Sockets, the clock and randomness are the driver's.
#![warn(missing_docs)]

mod clock;
mod discipline;
mod limit;
mod packet;
mod select;
mod server;
mod source;

pub use clock::{Clock, Keeper, KernelClock, Standing, State, Status, stand};
pub use discipline::{Correction, Discipline};
pub use packet::{LENGTH, Leap, Mode, NotAPacket, NtpTime, Packet, Short};
pub use select::{Chosen, Verdict, choose};
pub use server::{Outcome, Server, Silent, Tables};
pub use source::{Estimate, Source, Unfit};

#[doc(hidden)]
pub mod fuzz;

#[cfg(test)]
mod tests;
