//! Whether anyone else on the LAN uses an address, and telling the LAN that we do (RFC 5227).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    time::Duration,
};

use faros_dhcp::arp;
use faros_model::ids::MacAddr;
use tokio::time::sleep;

use crate::{link::LanLink, packet::PacketSocket};

/// How often it is asked, so that a lost packet hides nobody.
const ASKS: u32 = 3;

/// How long an answer is waited for each time. On a LAN it takes less than a millisecond.
const WAIT: Duration = Duration::from_millis(80);

/// Longest ARP frame that is looked at.
const FRAME: usize = 128;

/// Who else uses these addresses.
///
/// # Errors
/// If the interface is gone, or gives no socket.
pub async fn who_has(
    link: &LanLink,
    addresses: &BTreeSet<Ipv4Addr>,
) -> io::Result<BTreeMap<Ipv4Addr, MacAddr>> {
    let socket = PacketSocket::arp_listener(&link.name)?;
    // Another interface of this machine on the same wire answers, too.
    let own: BTreeSet<MacAddr> = nix::ifaddrs::getifaddrs()?
        .filter_map(|entry| Some(MacAddr(entry.address?.as_link_addr()?.addr()?)))
        .collect();
    let mut found = BTreeMap::new();
    for _ in 0..ASKS {
        for address in addresses {
            socket.send(&arp::probe(link.mac, *address))?;
        }
        sleep(WAIT).await;
        let mut frame = [0; FRAME];
        while let Some(frame) = socket.receive(&mut frame) {
            let claims =
                arp::sender(frame).filter(|(mac, address)| !own.contains(mac) && addresses.contains(address));
            found.extend(claims.map(|(mac, address)| (address, mac)));
        }
    }
    Ok(found)
}

/// Tells the LAN that these addresses are here (RFC 5227 section 2.3), so that nobody sends to who had them before.
///
/// # Errors
/// If the interface is gone, or gives no socket.
pub fn announce(link: &LanLink, addresses: &BTreeSet<Ipv4Addr>) -> io::Result<()> {
    let socket = PacketSocket::sender(&link.name)?;
    addresses
        .iter()
        .try_for_each(|address| socket.send(&arp::announcement(link.mac, *address)))
}
