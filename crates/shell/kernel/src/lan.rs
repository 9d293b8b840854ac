//! The LAN's interface: whether it is there, and that it has the bastion's address.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use faros_model::{chain::Chain, ids::MacAddr, net::Subnet};
use rtnetlink::LinkUnspec;
use tokio::sync::watch;

use crate::{
    changes::Changes,
    fights::{Fights, Told},
    own::{self, Given, Owner},
};

/// How often the interface is looked at though the kernel told nothing of it.
const LOOK: Duration = Duration::from_mins(1);

/// The same while something is wrong, or while the kernel tells nothing.
const SOON: Duration = Duration::from_secs(1);

/// An interface as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// The kernel's number for it; another one when it was made anew.
    pub index: u32,
    /// Its MAC.
    pub mac: MacAddr,
    /// Its IPv4 addresses.
    pub addresses: Vec<Ipv4Addr>,
    /// The network of each address.
    pub networks: Vec<Subnet>,
    /// Whether it is switched on.
    pub is_up: bool,
}

/// Why the LAN's interface could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum Ensure {
    /// The kernel cannot be asked.
    #[error("cannot speak with the kernel about interfaces")]
    Connect(#[source] std::io::Error),
    /// It cannot be brought up.
    #[error("cannot bring {interface} up")]
    Up {
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// It cannot be given the address.
    #[error("cannot give {interface} the address {address}")]
    Address {
        /// The interface.
        interface: String,
        /// The address.
        address: Ipv4Addr,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
}

/// The interface called `name`, if it is there.
pub fn look(name: &str) -> Option<Interface> {
    let index = nix::net::if_::if_nametoindex(name).ok()?;
    let mut found = Interface {
        name: name.to_owned(),
        index,
        mac: MacAddr([0; 6]),
        addresses: vec![],
        networks: vec![],
        is_up: false,
    };
    let own = nix::ifaddrs::getifaddrs()
        .ok()?
        .filter(|entry| entry.interface_name == name);
    for entry in own {
        found.is_up |= entry.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        let Some(address) = entry.address else { continue };
        if let Some(mac) = address.as_link_addr().and_then(nix::sys::socket::LinkAddr::addr) {
            found.mac = MacAddr(mac);
        }
        if let Some(own) = address.as_sockaddr_in() {
            let mask = entry.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in());
            let prefix = mask.map_or(32, |mask| mask.ip().to_bits().leading_ones());
            found.addresses.push(own.ip());
            found
                .networks
                .push(Subnet::of(own.ip(), u8::try_from(prefix).unwrap_or(32)));
        }
    }
    Some(found)
}

impl Interface {
    /// Whether it has this address in this network.
    pub fn has(&self, address: Ipv4Addr, subnet: Subnet) -> bool {
        let mut own = self.addresses.iter().zip(&self.networks);
        own.any(|own| own == (&address, &subnet))
    }
}

/// Brings the interface up and adds `address` in `subnet`, if it has it not. Removes nothing.
///
/// # Errors
/// What the kernel refused.
pub async fn ensure(
    interface: &Interface,
    address: Ipv4Addr,
    subnet: Subnet,
    owner: Owner,
) -> Result<bool, Ensure> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Ensure::Connect)?;
    let talk = tokio::spawn(connection);
    let name = interface.name.clone();
    let up = LinkUnspec::new_with_index(interface.index).up().build();
    let up = handle.link().set(up).execute().await;
    up.map_err(|source| Ensure::Up {
        interface: name.clone(),
        source,
    })?;
    let missing = !interface.has(address, subnet);
    if missing {
        let given = Given {
            index: interface.index,
            address,
            prefix: subnet.prefix(),
        };
        let given = own::give(&handle, owner, given).await;
        given.map_err(|source| Ensure::Address {
            interface: name,
            address,
            source,
        })?;
    }
    talk.abort();
    Ok(missing)
}

/// Watches the interface that `wanted` names, and gives it `address` whenever it appears without it. The
/// channel has `None` while it is not there or cannot be made ready.
pub async fn watch(
    wanted: impl Fn() -> Option<(String, Ipv4Addr, Subnet)>,
    state: watch::Sender<Option<Interface>>,
) {
    let mut refused = false;
    let mut kernel = Changes::of_links().ok();
    // The interface that had the address, and how often somebody took it.
    let (mut had, mut fights) = (None, Fights::default());
    loop {
        fights.look();
        let now = match wanted() {
            None => None,
            Some((name, address, subnet)) => match look(&name) {
                Some(found) if found.is_up && found.has(address, subnet) => {
                    had = Some((found.index, address));
                    Some(found)
                }
                Some(found)
                    if had == Some((found.index, address))
                        && !fights.may(&format!("{address} of {name}"), Instant::now()) =>
                {
                    None
                }
                Some(found) => match ensure(&found, address, subnet, Owner::Lan).await {
                    Ok(missing) => {
                        let is_taken = missing && had == Some((found.index, address));
                        let what = format!("{address} of {name}");
                        if is_taken && fights.repaired(&what, Instant::now()) == Told::Fight {
                            tracing::warn!(what, "somebody keeps taking it away");
                        }
                        had = Some((found.index, address));
                        look(&name)
                    }
                    Err(error) => {
                        // Said once, not every second.
                        if !refused {
                            tracing::error!(interface = name, error = %Chain(&error), "the LAN is not ready");
                        }
                        refused = true;
                        None
                    }
                },
                None => None,
            },
        };
        refused &= now.is_none();
        state.send_if_modified(|state| {
            let changed = *state != now;
            *state = now;
            changed
        });
        if state.is_closed() {
            return;
        }
        let rest = if refused || kernel.is_none() { SOON } else { LOOK };
        let due = fights
            .next()
            .map(|due| due.saturating_duration_since(Instant::now()));
        let rest = due.map_or(rest, |due| rest.min(due));
        let told = async {
            match &mut kernel {
                Some(kernel) => drop(kernel.next().await),
                None => std::future::pending().await,
            }
        };
        // Whichever is first.
        drop(tokio::time::timeout(rest, told).await);
    }
}
