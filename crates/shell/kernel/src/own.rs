//! Addresses and routes that farosd gave, told from everyone else's by the number that the kernel keeps with each.
//!
//! So what is no longer wanted can go, whichever farosd gave it and however that one ended, and what an
//! administrator or the host's network manager gave stays. `ip address` shows it as `proto 0xfa` (the
//! LAN's), `proto 0xfb` (the uplink's) or `proto 0xfc` (virtual IPs), `ip route` as `proto 250`. Kernels before 5.18 keep no number with addresses: there an old address stays.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
};

use futures_util::TryStreamExt as _;
use nix::errno::Errno;
use rtnetlink::{
    Error, Handle, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressMessage, AddressProtocol},
        route::{RouteAddress, RouteAttribute, RouteMessage, RouteProtocol},
    },
};

/// The number of a route.
pub(crate) const ROUTE: RouteProtocol = RouteProtocol::Other(250);

/// For what farosd gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// As the bastion's address on the LAN.
    Lan,
    /// As its address on the uplink.
    Uplink,
    /// As a virtual IP on the LAN.
    Virtual,
}

impl Owner {
    const fn number(self) -> u8 {
        match self {
            Self::Lan => 250,
            Self::Uplink => 251,
            Self::Virtual => 252,
        }
    }
}

/// An address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub address: Ipv4Addr,
    /// The length of its network's prefix.
    pub prefix: u8,
}

/// Gives an address.
pub(crate) async fn give(handle: &Handle, owner: Owner, given: Given) -> Result<(), Error> {
    let Given {
        index,
        address,
        prefix,
    } = given;
    let mut add = handle.address().add(index, address.into(), prefix);
    let protocol = AddressProtocol::Other(owner.number());
    add.message_mut()
        .attributes
        .push(AddressAttribute::Protocol(protocol));
    match add.execute().await {
        // Whoever looked, looked before it was given.
        Err(error) if says(&error, &[Errno::EEXIST]) => Ok(()),
        done => done,
    }
}

/// Why what farosd gave could not be taken away.
#[derive(Debug, thiserror::Error)]
pub enum Take {
    /// The kernel cannot be asked.
    #[error("cannot speak with the kernel about addresses")]
    Connect(#[source] io::Error),
    /// The kernel refuses.
    #[error("cannot take away what is no longer wanted of an interface")]
    Refused(#[source] Error),
}

/// Takes away all addresses that were given for this but `wanted`; which.
///
/// # Errors
/// If the kernel cannot be asked, or refuses.
pub async fn take_addresses(
    owner: Owner,
    wanted: impl IntoIterator<Item = Given>,
) -> Result<Vec<Ipv4Addr>, Take> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Take::Connect)?;
    let talk = tokio::spawn(connection);
    let wanted: Vec<Given> = wanted.into_iter().collect();
    let result = addresses(&handle, owner, &wanted).await;
    talk.abort();
    result.map_err(Take::Refused)
}

async fn addresses(handle: &Handle, owner: Owner, wanted: &[Given]) -> Result<Vec<Ipv4Addr>, Error> {
    let all: Vec<AddressMessage> = handle.address().get().execute().try_collect().await?;
    let mut taken = Vec::new();
    for message in all {
        let mut address = None;
        let mut number = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(IpAddr::V4(own)) => address = Some(*own),
                AddressAttribute::Protocol(own) => number = Some(u8::from(*own)),
                _ => (),
            }
        }
        let (Some(address), Some(number)) = (address, number) else {
            continue;
        };
        let given = Given {
            index: message.header.index,
            address,
            prefix: message.header.prefix_len,
        };
        if number == owner.number() && !wanted.contains(&given) {
            match handle.address().del(message).execute().await {
                Err(error) if is_gone(&error) => (),
                own => own?,
            }
            taken.push(address);
        }
    }
    Ok(taken)
}

/// Takes away the default routes that farosd gave but the one by `wanted`: an interface's number, and a next hop.
///
/// # Errors
/// As [`take_addresses`].
pub async fn take_routes(wanted: Option<(u32, Ipv4Addr)>) -> Result<(), Take> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(Take::Connect)?;
    let talk = tokio::spawn(connection);
    let result = routes(&handle, wanted).await;
    talk.abort();
    result.map_err(Take::Refused)
}

async fn routes(handle: &Handle, wanted: Option<(u32, Ipv4Addr)>) -> Result<(), Error> {
    let any = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let all: Vec<RouteMessage> = handle.route().get(any).execute().try_collect().await?;
    for message in all {
        let (mut index, mut gateway) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(own) => index = Some(*own),
                RouteAttribute::Gateway(RouteAddress::Inet(own)) => gateway = Some(*own),
                _ => (),
            }
        }
        let is_ours = message.header.protocol == ROUTE && message.header.destination_prefix_length == 0;
        if is_ours && (wanted.is_none() || index.zip(gateway) != wanted) {
            match handle.route().del(message).execute().await {
                Err(error) if is_gone(&error) => (),
                own => own?,
            }
        }
    }
    Ok(())
}

/// Whether what was to be taken away is not there: it went with the first of its network, or with its interface.
fn is_gone(error: &Error) -> bool {
    says(error, &[Errno::EADDRNOTAVAIL, Errno::ENODEV, Errno::ESRCH])
}

/// Whether the kernel said one of these.
fn says(error: &Error, any: &[Errno]) -> bool {
    matches!(error, Error::NetlinkError(error) if any.iter().any(|own| error.raw_code() == -(*own as i32)))
}
