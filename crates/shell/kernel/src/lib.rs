//! What the bastion asks of its kernel: interfaces, addresses, packet filter, who holds a port, and the clock.

pub mod changes;
pub mod clock;
pub mod conntrack;
pub mod fights;
pub mod host;
pub mod lan;
pub mod neighbors;
mod netfilter;
pub mod nft;
pub mod own;
pub mod ports;
pub mod router;
pub mod vips;
