//! What makes the machine a router: settings of its two interfaces, a bridge, an address of its own.
//!
//! Settings are made on the interfaces and nowhere else, so that what other interfaces do is left as it is.
//! Everything is read first and only written if it is another, so that all of it can be done every second.

use std::{fs, io, net::Ipv4Addr, path::PathBuf};

use faros_model::{ids::MacAddr, net::Subnet};
use nix::errno::Errno;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, RouteMessageBuilder};

use crate::{
    lan::{self, Ensure, Interface},
    own::{self, Owner},
};

/// A setting of the kernel for one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The interface.
    pub interface: String,
    /// Its name, such as `forwarding`.
    pub name: &'static str,
    /// What it is to be.
    pub value: &'static str,
}

/// Why the machine is no router.
#[derive(Debug, thiserror::Error)]
pub enum Route {
    /// A setting cannot be made.
    #[error("cannot set {name} of {interface} to {value}")]
    Set {
        /// The interface.
        interface: String,
        /// The setting.
        name: &'static str,
        /// What it was to be.
        value: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel cannot be asked.
    #[error("cannot speak with the kernel about interfaces")]
    Connect(#[source] io::Error),
    /// A bridge cannot be made, or an interface not be put into it.
    #[error("cannot make {interface} a part of the bridge {bridge}")]
    Bridge {
        /// The bridge.
        bridge: String,
        /// The interface.
        interface: String,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
    /// The uplink cannot be given its address.
    #[error(transparent)]
    Address(#[from] Ensure),
    /// The uplink cannot be given its way out.
    #[error("cannot set the default route via {gateway}")]
    Gateway {
        /// The next hop.
        gateway: Ipv4Addr,
        /// What the kernel said.
        source: rtnetlink::Error,
    },
}

/// The settings of a router between `lan` and `uplink`.
pub fn settings(lan: &str, uplink: &str) -> Vec<Setting> {
    // Strict where all sources are known; loose where there may be several ways back. The rules judge packets besides; this
    // is also for ARP, which they do not see: who lies in it is not answered, and fills no table of neighbors.
    let of = |interface: &str, rp_filter| {
        [
            ("forwarding", "1"),
            ("rp_filter", rp_filter),
            // A router believes its own table.
            ("accept_redirects", "0"),
            ("accept_source_route", "0"),
            // An address of the one side is no business of the other.
            ("arp_ignore", "1"),
            // Of two addresses in one network, the second stays when the first goes.
            ("promote_secondaries", "1"),
        ]
        .map(|(name, value)| Setting {
            interface: interface.to_owned(),
            name,
            value,
        })
    };
    [of(lan, "1"), of(uplink, "2")].concat()
}

impl Setting {
    fn path(&self) -> PathBuf {
        ["/proc/sys/net/ipv4/conf", &self.interface, self.name]
            .iter()
            .collect()
    }

    /// Whether it is as it should be; of an interface that is not there, nothing is wrong.
    pub fn is_set(&self) -> bool {
        match fs::read_to_string(self.path()) {
            Ok(now) => now.trim() == self.value,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Sets it; whether it was another.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn set(&self) -> Result<bool, Route> {
        if self.is_set() {
            return Ok(false);
        }
        match fs::write(self.path(), self.value) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Route::Set {
                interface: self.interface.clone(),
                name: self.name,
                value: self.value,
                source,
            }),
            // It went away in between, and will be set when it is back.
            Ok(()) | Err(_) => Ok(true),
        }
    }
}

impl Setting {
    /// Makes it what a new interface would have, when this machine is no router any more.
    pub fn reset(&self) {
        let default = ["/proc/sys/net/ipv4/conf/default", self.name]
            .iter()
            .collect::<PathBuf>();
        // An interface that is not there has nothing to be reset.
        if let Ok(value) = fs::read_to_string(default) {
            let _ = fs::write(self.path(), value.trim());
        }
    }
}

/// Removes a bridge, if it is there.
///
/// # Errors
/// What the kernel refused.
pub async fn remove_bridge(bridge: &str) -> Result<(), Route> {
    let Some(own) = lan::look(bridge) else {
        return Ok(());
    };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Route::Connect)?;
    let talk = tokio::spawn(connection);
    let removed = handle.link().del(own.index).execute().await;
    talk.abort();
    removed.map_err(|source| Route::Bridge {
        bridge: bridge.to_owned(),
        interface: bridge.to_owned(),
        source,
    })
}

/// The name of the interface with this MAC; of a bridge's parts, none.
pub fn name_of(mac: MacAddr) -> Option<String> {
    let own = nix::ifaddrs::getifaddrs().ok()?.find(|entry| {
        let link = entry.address.as_ref().and_then(|address| address.as_link_addr());
        link.and_then(nix::sys::socket::LinkAddr::addr) == Some(mac.0)
    });
    own.map(|entry| entry.interface_name)
}

/// Joins interfaces to a bridge, of which these and no others are parts. Interfaces that are not there are left
/// out until they are. Whether anything was changed.
///
/// # Errors
/// What the kernel refused.
pub async fn ensure_bridge(bridge: &str, members: &[String], mtu: u16) -> Result<bool, Route> {
    let wanted: Vec<Interface> = members.iter().filter_map(|name| lan::look(name)).collect();
    let held = members_of(bridge);
    if let Some(held) = &held
        && wanted.iter().all(|own| held.contains(&own.name) && own.is_up)
        && held.iter().all(|name| members.contains(name))
    {
        return Ok(false);
    }
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Route::Connect)?;
    let talk = tokio::spawn(connection);
    let result = join(&handle, bridge, &wanted, held.as_deref(), members, mtu).await;
    talk.abort();
    result.map_err(|(interface, source)| Route::Bridge {
        bridge: bridge.to_owned(),
        interface,
        source,
    })?;
    Ok(true)
}

async fn join(
    handle: &Handle,
    bridge: &str,
    wanted: &[Interface],
    held: Option<&[String]>,
    members: &[String],
    mtu: u16,
) -> Result<(), (String, rtnetlink::Error)> {
    let of = |name: &str| {
        let name = name.to_owned();
        move |error| (name, error)
    };
    if held.is_none() {
        let make = LinkBridge::new(bridge).mtu(mtu.into()).build();
        match handle.link().add(make).execute().await {
            // Two look after the LAN; the other was quicker.
            Err(rtnetlink::Error::NetlinkError(error)) if error.raw_code() == -(Errno::EEXIST as i32) => (),
            own => own.map_err(of(bridge))?,
        }
    }
    let Some(own) = lan::look(bridge) else {
        return Ok(());
    };
    for member in wanted {
        let part = LinkUnspec::new_with_index(member.index)
            .controller(own.index)
            .up()
            .build();
        handle
            .link()
            .set(part)
            .execute()
            .await
            .map_err(of(&member.name))?;
    }
    let stale = held.into_iter().flatten().filter(|name| !members.contains(name));
    for name in stale {
        if let Some(gone) = lan::look(name) {
            let free = LinkUnspec::new_with_index(gone.index).nocontroller().build();
            handle.link().set(free).execute().await.map_err(of(name))?;
        }
    }
    Ok(())
}

/// The parts of a bridge; `None` if there is no such bridge.
pub fn members_of(bridge: &str) -> Option<Vec<String>> {
    let parts = fs::read_dir(format!("/sys/class/net/{bridge}/brif")).ok()?;
    let names = parts
        .flatten()
        .filter_map(|part| part.file_name().into_string().ok());
    Some(names.collect())
}

/// Gives the uplink an address of its own and its way out, if it has them not. Removes nothing.
///
/// # Errors
/// What the kernel refused.
pub async fn ensure_uplink(
    uplink: &Interface,
    address: Ipv4Addr,
    subnet: Subnet,
    gateway: Option<Ipv4Addr>,
) -> Result<(), Route> {
    if !uplink.is_up || !uplink.has(address, subnet) {
        lan::ensure(uplink, address, subnet, Owner::Uplink).await?;
    }
    let Some(gateway) = gateway.filter(|gateway| !has_default_route(*gateway, &uplink.name)) else {
        return Ok(());
    };
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Route::Connect)?;
    let talk = tokio::spawn(connection);
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .gateway(gateway)
        .output_interface(uplink.index)
        .protocol(own::ROUTE)
        .build();
    let added = handle.route().add(route).replace().execute().await;
    talk.abort();
    added.map_err(|source| Route::Gateway { gateway, source })
}

/// Whether there is a way out by this next hop on this interface.
pub fn has_default_route(gateway: Ipv4Addr, interface: &str) -> bool {
    let table = fs::read_to_string("/proc/self/net/route").unwrap_or_default();
    default_routes(&table).any(|own| own == (interface, gateway))
}

/// The interfaces and next hops of default routes in a table of `/proc/net/route`.
fn default_routes(table: &str) -> impl Iterator<Item = (&str, Ipv4Addr)> {
    table.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, gateway, _, _, _, _, mask, ..] = words.as_slice() else {
            return None;
        };
        // The kernel writes the address as it lies in memory.
        let gateway = u32::from_str_radix(gateway, 16).ok()?.to_ne_bytes();
        (*destination == "00000000" && *mask == "00000000").then(|| (*interface, Ipv4Addr::from(gateway)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_route_is_one_to_everywhere() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     uplink0\t00000000\t017100CB\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     uplink0\t007100CB\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        let found: Vec<(&str, Ipv4Addr)> = default_routes(table).collect();
        assert_eq!(found, [("uplink0", Ipv4Addr::new(203, 0, 113, 1))]);
    }

    #[test]
    fn an_interface_that_is_not_there_needs_no_settings() {
        for setting in settings("no-such-lan", "no-such-uplink") {
            assert!(setting.is_set(), "{setting:?}");
            assert!(matches!(setting.set(), Ok(false)), "{setting:?}");
        }
    }
}
