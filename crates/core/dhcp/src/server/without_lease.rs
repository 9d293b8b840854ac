//! What clients say besides asking for an address: that one is in use, that one is free again, or that they
//! only want to know about the network.

use std::net::Ipv4Addr;

use faros_model::{
    event::EventKind,
    ids::MacAddr,
    lease::{Lease, LeaseState},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};

use super::{Effect, Ignored, Key, Server, Waiting, telling::saw};
use crate::{
    message::{Message, MessageType, opt},
    reply::Reply,
};

/// How long an address that somebody else uses is left alone.
const QUARANTINE: SignedDuration = SignedDuration::from_mins(10);

impl Server {
    pub(super) fn decline(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let Some(address) = message.address(opt::REQUESTED_ADDRESS) else {
            return vec![Effect::Ignore(Ignored::Malformed)];
        };
        if self.is_for_another(message) {
            return vec![Effect::Ignore(Ignored::OtherServer)];
        }
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        let mut effects = vec![saw(now, message, None, EventKind::DhcpDecline, detail.clone())];
        // A reserved address stays its machine's: leaving it alone would keep a node from ever booting.
        let own = self
            .tables
            .reservation_of(message)
            .is_some_and(|own| own.address == address);
        // Only who holds an address may spoil it: else one machine could spoil them all.
        if own || self.book.holds(now, &Key::of(message), address) {
            effects.push(saw(now, message, None, EventKind::AddressConflict, detail));
            if !own {
                effects.push(self.quarantine(now, address, message.mac));
            }
        }
        effects.push(Effect::Ignore(Ignored::Noted));
        effects
    }

    /// Whether it names another server than this one.
    fn is_for_another(&self, message: &Message) -> bool {
        let server = message.address(opt::SERVER_ID);
        server.is_some_and(|server| server != self.tables.bastion)
    }

    pub(super) fn release(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        if self.is_for_another(message) {
            return vec![Effect::Ignore(Ignored::OtherServer)];
        }
        let address = message.ciaddr;
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        let mut effects = vec![saw(now, message, Some(address), EventKind::DhcpRelease, detail)];
        if let Some(lease) = self.book.release(now, &Key::of(message), address) {
            effects.push(Effect::Commit {
                ticket: self.ticket(Waiting::Note),
                lease,
            });
        }
        effects.push(Effect::Ignore(Ignored::Noted));
        effects
    }

    pub(super) fn inform(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        if message.ciaddr.is_unspecified() || !self.tables.subnet.contains(message.ciaddr) {
            return vec![Effect::Ignore(Ignored::NoRecord)];
        }
        // RFC 2131 section 4.3.5: no "your" address, no lease times.
        let mut reply = Reply::new(
            message,
            MessageType::Ack,
            self.tables.bastion,
            Ipv4Addr::UNSPECIFIED,
        );
        self.tables.describe_network(message, &mut reply);
        let mut detail = Map::new();
        detail.insert("address".into(), json!(message.ciaddr));
        vec![
            Effect::Send {
                to: reply.destination(),
                bytes: reply.encode(),
            },
            saw(now, message, Some(message.ciaddr), EventKind::DhcpInform, detail),
        ]
    }

    /// Leaves an address alone for a while.
    pub(super) fn quarantine(&mut self, now: Timestamp, address: Ipv4Addr, mac: MacAddr) -> Effect {
        let until = now + QUARANTINE;
        let state = LeaseState::Declined;
        let lease = Lease {
            address,
            mac,
            client_id: None,
            hostname: None,
            state,
            since: now,
            until,
        };
        self.book.decline(lease.clone());
        Effect::Commit {
            ticket: self.ticket(Waiting::Note),
            lease,
        }
    }
}
