//! What the bastion asks of its kernel: interfaces, addresses, and who holds a port.

pub mod lan;
pub mod neighbors;
pub mod ports;
