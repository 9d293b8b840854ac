//! Other DHCP servers on the LAN: heard of from clients that took their offers, and from their own answers.

use std::net::Ipv4Addr;

use faros_model::{event::EventKind, sighting::Sighting};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};

use super::{Effect, Ignored, Server};
use crate::message::{Message, opt};

/// A second server is reported again after this time.
const ROGUE_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Most other servers remembered.
const MAX_ROGUES: usize = 64;

impl Server {
    /// An answer of another server reached us.
    pub(super) fn other_server(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let mut effects = match message.address(opt::SERVER_ID) {
            // The driver hears its own broadcasts.
            Some(server) if server == self.tables.bastion => return vec![],
            Some(server) => self.rogue(now, server, message, "answer"),
            None => vec![],
        };
        effects.push(Effect::Ignore(Ignored::FromServer));
        effects
    }

    pub(super) fn rogue(
        &mut self,
        now: Timestamp,
        server: Ipv4Addr,
        message: &Message,
        by: &str,
    ) -> Vec<Effect> {
        self.rogues
            .retain(|_, last| now.duration_since(*last) < ROGUE_AGAIN);
        if self.rogues.contains_key(&server) || self.rogues.len() >= MAX_ROGUES {
            return vec![];
        }
        self.rogues.insert(server, now);
        let mut detail = Map::new();
        detail.insert("server".into(), json!(server));
        // The machine that took its offer. The server's own MAC is in no message.
        if message.op == 1 {
            detail.insert("mac".into(), json!(message.mac));
        }
        detail.insert("seenBy".into(), json!(by));
        let kind = EventKind::RogueDhcpServer;
        vec![Effect::Saw(Sighting {
            at: now,
            mac: None,
            address: Some(server),
            kind,
            detail,
        })]
    }
}
