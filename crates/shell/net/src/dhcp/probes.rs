//! ARP probes under way (RFC 5227): whether anyone uses an address that is about to be offered.
//!
//! Answers wait in the listener's queue until the next probe ends, so a flood of ARP wakes nobody.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    time::Duration,
};

use faros_dhcp::{Ticket, arp};
use faros_model::ids::MacAddr;
use tokio::time::Instant;

use crate::{link::LanLink, packet::PacketSocket};

/// How long an address that is about to be offered is listened for.
const PROBE: Duration = Duration::from_millis(500);
/// Longest ARP frame that is looked at.
const FRAME: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Probes {
    /// By their end.
    by_end: BTreeMap<(Instant, Ticket), Ipv4Addr>,
    by_address: HashMap<Ipv4Addr, (Instant, Ticket)>,
    listener: Option<PacketSocket>,
}

impl Probes {
    /// When the next probe ends.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_end.keys().next().map(|(at, _)| *at)
    }

    /// Starts a probe. Without an interface it ends without an answer, as a probe of a dead network does.
    pub(super) fn start(
        &mut self,
        through: Option<(&PacketSocket, &LanLink)>,
        ticket: Ticket,
        address: Ipv4Addr,
    ) {
        if let Some((raw, link)) = through {
            if self.listener.is_none() {
                self.listener = PacketSocket::arp_listener(&link.name).ok();
            }
            if let Err(error) = raw.send(&arp::probe(link.mac, address)) {
                tracing::debug!(%address, %error, "cannot probe");
            }
        }
        let key = (Instant::now() + PROBE, ticket);
        self.by_end.insert(key, address);
        self.by_address.insert(address, key);
    }

    /// What listened on the former interface hears nothing more.
    pub(super) fn interface_changed(&mut self) {
        self.listener = None;
    }

    /// The probes that have ended, and who answered.
    pub(super) fn ended(&mut self) -> Vec<(Ticket, Option<MacAddr>)> {
        let mut ended = vec![];
        let mut frame = [0; FRAME];
        while let Some(frame) = self
            .listener
            .as_ref()
            .and_then(|listener| listener.receive(&mut frame))
        {
            let Some((mac, address)) = arp::sender(frame) else {
                continue;
            };
            if let Some(key) = self.by_address.remove(&address) {
                self.by_end.remove(&key);
                ended.push((key.1, Some(mac)));
            }
        }
        let now = Instant::now();
        while let Some(first) = self.by_end.first_entry().filter(|first| first.key().0 <= now) {
            let ((_, ticket), address) = first.remove_entry();
            self.by_address.remove(&address);
            ended.push((ticket, None));
        }
        if self.by_end.is_empty() {
            self.listener = None;
        }
        ended
    }
}
