//! Who is helped to unlock a disk, and who depends on which key.
//!
//! Tang itself is anonymous: it multiplies points for whoever asks. The bastion knows more than that. It knows
//! its nodes, sees them boot, and remembers which key each of their disks was bound to, so it can refuse a
//! stranger, a node that is not booting, and a disk that should not be on that machine; and it can say which
//! keys may be destroyed. [`decide`] is the policy; [`Ledger`] is the memory; [`Told`] keeps refusals from filling the
//! history.
#![warn(missing_docs)]

mod ledger;
mod policy;
mod told;

pub use ledger::{Binding, Learned, Ledger, Seen};
pub use policy::{Booting, Facts, Recent, Refusal, decide};
pub use told::Told;

#[cfg(test)]
mod tests;
