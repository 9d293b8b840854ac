//! Addresses that the bastion holds on the LAN beside its own.

use std::{collections::BTreeSet, net::Ipv4Addr};

use crate::{
    lan::Interface,
    own::{self, Given, Owner, Take},
};

/// Why addresses cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum Hold {
    /// The kernel cannot be asked.
    #[error("cannot speak with the kernel about addresses")]
    Connect(#[source] std::io::Error),
    /// One cannot be given.
    #[error("cannot give {interface} the address {address}")]
    Give {
        /// The interface.
        interface: String,
        /// The address.
        address: Ipv4Addr,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// Those that are not wanted cannot be taken away.
    #[error(transparent)]
    Take(#[from] Take),
}

/// Takes `take` on the interface, and gives back all virtual IPs of any interface that are not in `keep`.
///
/// # Errors
/// What the kernel refused.
pub async fn hold(
    interface: &Interface,
    take: &BTreeSet<Ipv4Addr>,
    keep: &BTreeSet<Ipv4Addr>,
) -> Result<(), Hold> {
    let given = |address: &Ipv4Addr| Given {
        index: interface.index,
        address: *address,
        prefix: 32,
    };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Hold::Connect)?;
    let talk = tokio::spawn(connection);
    for address in take.iter().filter(|own| !interface.addresses.contains(own)) {
        let done = own::give(&handle, Owner::Virtual, given(address)).await;
        done.map_err(|source| Hold::Give {
            interface: interface.name.clone(),
            address: *address,
            source,
        })?;
    }
    talk.abort();
    own::take_addresses(Owner::Virtual, keep.iter().map(given)).await?;
    Ok(())
}

/// Gives back all virtual IPs.
///
/// # Errors
/// What the kernel refused.
pub async fn release() -> Result<(), Hold> {
    own::take_addresses(Owner::Virtual, None).await?;
    Ok(())
}
