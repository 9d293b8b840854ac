//! The server: who gets which address, and when it is said.
//!
//! A dynamic address is probed before a new client is offered it, and an acknowledgment leaves only after
//! its lease is on disk. Between asking and learning the outcome of either, what was going to be sent waits
//! under a [`Ticket`].

mod book;
mod effect;
mod others;
mod telling;
mod without_lease;

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use faros_model::{
    event::EventKind,
    lease::{Lease, LeaseState},
    sighting::{Sighting, StrangersQuota},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, json};

pub use self::effect::{Effect, Ignored, Ticket};
use self::{
    book::{Book, Key, Pick},
    telling::{granted, said, saw, sighting},
};
use crate::{
    message::{Malformed, Message, MessageType, opt},
    reply::{Destination, Reply},
    tables::{LEASE_SECONDS, Tables},
};

/// How long an offer is held.
const OFFER_HELD: SignedDuration = SignedDuration::from_secs(60);
/// Most probes and commits under way; more means a flood, and the client asks again anyway.
const MAX_WAITING: usize = 16_384;
/// Longest client identifier: one option's worth. It is remembered per client, so joined ones are refused.
const MAX_CLIENT_ID: usize = 255;

/// What waits for a probe or a commit.
#[derive(Debug)]
enum Waiting {
    /// An offer of a probed address.
    Offer {
        message: Message,
        address: Ipv4Addr,
        tries: u8,
    },
    /// An acknowledgment of a stored lease.
    Ack {
        to: Destination,
        bytes: Vec<u8>,
        sighting: Sighting,
    },
    /// Nothing: the lease is only noted.
    Note,
}

/// The server.
#[derive(Debug)]
pub struct Server {
    tables: Arc<Tables>,
    book: Book,
    waiting: HashMap<Ticket, Waiting>,
    /// Whose offer waits for a probe.
    probing: HashMap<Key, Ticket>,
    next_ticket: u64,
    rogues: HashMap<Ipv4Addr, Timestamp>,
    quota: StrangersQuota,
}

impl Server {
    /// A server that knows the leases that are on disk.
    pub fn new(tables: Arc<Tables>, leases: Vec<Lease>) -> Self {
        Self {
            tables,
            book: Book::new(leases),
            waiting: HashMap::new(),
            probing: HashMap::new(),
            next_ticket: 0,
            rogues: HashMap::new(),
            quota: StrangersQuota::default(),
        }
    }

    /// Goes on with the tables of another generation. Leases stay; who holds an address that is now kept
    /// for someone else is refused when it asks again.
    pub fn swap(&mut self, tables: Arc<Tables>) {
        self.tables = tables;
    }

    /// All leases that are remembered.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.book.leases()
    }

    /// The tables in use.
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// A datagram came in on the LAN, on port 67 (or 68: answers of other servers).
    pub fn on_datagram(&mut self, now: Timestamp, bytes: &[u8]) -> Vec<Effect> {
        let message = match Message::parse(bytes) {
            Ok(message) => message,
            Err(Malformed::NotDhcp | Malformed::Hardware | Malformed::Options | Malformed::Type) => {
                return vec![Effect::Ignore(Ignored::Malformed)];
            }
        };
        if message.op == 2 {
            return self.other_server(now, &message);
        }
        if !message.mac.is_unicast() || message.mac.is_zero() {
            return vec![Effect::Ignore(Ignored::BadMac)];
        }
        let id = message.options.get(opt::CLIENT_ID);
        if id.is_some_and(|id| id.len() > MAX_CLIENT_ID) {
            return vec![Effect::Ignore(Ignored::Malformed)];
        }
        if self.tables.is_ignored(message.mac) {
            return vec![Effect::Ignore(Ignored::IgnoredMac)];
        }
        if !message.giaddr.is_unspecified() && !self.tables.subnet.contains(message.giaddr) {
            return vec![Effect::Ignore(Ignored::ForeignRelay)];
        }
        match message.kind {
            MessageType::Discover => self.discover(now, message),
            MessageType::Request => self.request(now, &message),
            MessageType::Decline => self.decline(now, &message),
            MessageType::Release => self.release(now, &message),
            MessageType::Inform => self.inform(now, &message),
            MessageType::Offer | MessageType::Ack | MessageType::Nak => {
                vec![Effect::Ignore(Ignored::Malformed)]
            }
        }
    }

    /// The outcome of [`Effect::Probe`].
    pub fn on_probed(
        &mut self,
        now: Timestamp,
        ticket: Ticket,
        in_use_by: Option<faros_model::ids::MacAddr>,
    ) -> Vec<Effect> {
        let Some(Waiting::Offer {
            message,
            address,
            tries,
        }) = self.waiting.remove(&ticket)
        else {
            return vec![];
        };
        self.probing.remove(&Key::of(&message));
        match in_use_by {
            // The client itself may answer, if it still has the address from before.
            Some(mac) if mac != message.mac => {
                let mut detail = Map::new();
                detail.insert("address".into(), json!(address));
                detail.insert("mac".into(), json!(mac));
                let mut effects = vec![saw(now, &message, None, EventKind::AddressConflict, detail)];
                self.book.forget_offer(now, address);
                if self.tables.reservation_of(&message).is_some() {
                    effects.push(Effect::Ignore(Ignored::InUse));
                    return effects;
                }
                effects.push(self.quarantine(now, address, mac));
                effects.extend(if tries < 3 {
                    self.offer_dynamic(now, message, tries + 1)
                } else {
                    vec![Effect::Ignore(Ignored::PoolEmpty)]
                });
                effects
            }
            _ => self.offer(now, &message, address),
        }
    }

    /// The outcome of [`Effect::Commit`].
    pub fn on_committed(&mut self, ticket: Ticket, stored: bool) -> Vec<Effect> {
        match self.waiting.remove(&ticket) {
            Some(Waiting::Ack { to, bytes, sighting }) if stored => {
                vec![Effect::Send { to, bytes }, Effect::Saw(sighting)]
            }
            Some(Waiting::Ack { .. }) => vec![Effect::Ignore(Ignored::NotStored)],
            Some(Waiting::Offer { .. } | Waiting::Note) | None => vec![],
        }
    }

    fn ticket(&mut self, waiting: Waiting) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, waiting);
        ticket
    }

    fn discover(&mut self, now: Timestamp, message: Message) -> Vec<Effect> {
        let mut effects = vec![saw(now, &message, None, EventKind::DhcpDiscover, said(&message))];
        let key = Key::of(&message);
        if let Some(own) = self.tables.reservation_of(&message) {
            let address = own.address;
            effects.extend(match self.book.squatter(now, &self.tables, &key, address) {
                Some(_) => self.probe(now, message, key, address, 0),
                None => self.offer(now, &message, address),
            });
            return effects;
        }
        effects.extend(self.offer_dynamic(now, message, 0));
        effects
    }

    fn offer_dynamic(&mut self, now: Timestamp, message: Message, tries: u8) -> Vec<Effect> {
        let key = Key::of(&message);
        if self.probing.contains_key(&key) {
            return self.probe(now, message, key, Ipv4Addr::UNSPECIFIED, tries);
        }
        let wanted = message.address(opt::REQUESTED_ADDRESS);
        match self.book.pick(now, &self.tables, &key, wanted) {
            Pick::Known(address) => {
                self.book.hold(now + OFFER_HELD, address, &key);
                self.offer(now, &message, address)
            }
            Pick::Fresh(address) => self.probe(now, message, key, address, tries),
            Pick::None => vec![Effect::Ignore(Ignored::PoolEmpty)],
        }
    }

    /// Offers an address after a probe. A client that asks again meanwhile gets its answer then.
    fn probe(
        &mut self,
        now: Timestamp,
        message: Message,
        key: Key,
        address: Ipv4Addr,
        tries: u8,
    ) -> Vec<Effect> {
        let under_way = self
            .probing
            .get(&key)
            .and_then(|ticket| self.waiting.get_mut(ticket));
        if let Some(Waiting::Offer { message: latest, .. }) = under_way {
            *latest = message;
            return vec![Effect::Ignore(Ignored::Probing)];
        }
        if self.waiting.len() >= MAX_WAITING {
            return vec![Effect::Ignore(Ignored::Overload)];
        }
        self.book.hold(now + OFFER_HELD, address, &key);
        let ticket = self.ticket(Waiting::Offer {
            message,
            address,
            tries,
        });
        self.probing.insert(key, ticket);
        vec![Effect::Probe { ticket, address }]
    }

    fn offer(&mut self, now: Timestamp, message: &Message, address: Ipv4Addr) -> Vec<Effect> {
        let (to, bytes, boot_file) = self.grant(message, MessageType::Offer, address);
        let send = Effect::Send { to, bytes };
        if !self.tells(now, message) {
            return vec![send];
        }
        let detail = granted(address, boot_file);
        vec![
            send,
            saw(now, message, Some(address), EventKind::DhcpOffer, detail),
        ]
    }

    /// Whether it is told what a machine asks for and is offered.
    fn tells(&mut self, now: Timestamp, message: &Message) -> bool {
        self.tables.reservation_of(message).is_some() || self.quota.take(now)
    }

    fn request(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let key = Key::of(message);
        let requested = message.address(opt::REQUESTED_ADDRESS);
        let server = message.address(opt::SERVER_ID);
        if let Some(server) = server.filter(|server| *server != self.tables.bastion) {
            // SELECTING, and the client took another server's offer.
            self.book.forget_offer_to(now, &key);
            let mut effects = self.rogue(now, server, message, "request");
            effects.push(Effect::Ignore(Ignored::OtherServer));
            return effects;
        }
        let (state, address) = match (server, requested, message.ciaddr) {
            (Some(_), Some(address), _) => ("selecting", address),
            (None, Some(address), _) => ("init-reboot", address),
            (None, None, address) if !address.is_unspecified() => ("renewing", address),
            _ => return vec![Effect::Ignore(Ignored::Malformed)],
        };
        let mut effects = vec![];
        if self.tells(now, message) {
            let mut detail = Map::new();
            detail.insert("address".into(), json!(address));
            detail.insert("state".into(), json!(state));
            effects.push(saw(now, message, Some(address), EventKind::DhcpRequest, detail));
        }
        let own = self.tables.reservation_of(message).map(|own| own.address);
        let right = match own {
            Some(own) if own != address => Err(format!("the site file gives it {own}")),
            Some(_) => match self.book.squatter(now, &self.tables, &key, address) {
                Some(mac) => Err(format!("{mac} still has it")),
                None => Ok(()),
            },
            None => self.book.may_be(now, &self.tables, &key, address),
        };
        let known = self.book.knows(&key) || own.is_some();
        effects.extend(match right {
            // RFC 2131 section 4.3.2: without a record of the client, an INIT-REBOOT is met with silence,
            // unless the address is of another network.
            _ if state == "init-reboot" && !known && self.tables.subnet.contains(address) => {
                vec![Effect::Ignore(Ignored::NoRecord)]
            }
            Ok(()) => self.acknowledge(now, message, &key, address),
            Err(why) => self.refuse(now, message, address, &why),
        });
        effects
    }

    fn acknowledge(
        &mut self,
        now: Timestamp,
        message: &Message,
        key: &Key,
        address: Ipv4Addr,
    ) -> Vec<Effect> {
        if self.waiting.len() >= MAX_WAITING {
            return vec![Effect::Ignore(Ignored::Overload)];
        }
        let seconds = LEASE_SECONDS;
        let lease = Lease {
            address,
            mac: message.mac,
            client_id: message.options.get(opt::CLIENT_ID).map(<[u8]>::to_vec),
            hostname: message
                .text(opt::HOST_NAME)
                .map(|name| name.chars().take(63).collect()),
            state: LeaseState::Active,
            since: now,
            until: now + SignedDuration::from_secs(i64::from(seconds)),
        };
        self.book.lease(lease.clone(), key);
        let (to, bytes, boot_file) = self.grant(message, MessageType::Ack, address);
        // Told always: whose an address is matters to all that comes from it.
        let mut detail = granted(address, boot_file);
        detail.insert("leaseSeconds".into(), json!(seconds));
        let sighting = sighting(now, message, Some(address), EventKind::DhcpAck, detail);
        let ticket = self.ticket(Waiting::Ack { to, bytes, sighting });
        vec![Effect::Commit { ticket, lease }]
    }

    fn refuse(&mut self, now: Timestamp, message: &Message, address: Ipv4Addr, why: &str) -> Vec<Effect> {
        let mut reply = Reply::new(
            message,
            MessageType::Nak,
            self.tables.bastion,
            Ipv4Addr::UNSPECIFIED,
        );
        reply.option(opt::MESSAGE, why.as_bytes());
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        detail.insert("reason".into(), json!(why));
        vec![
            Effect::Send {
                to: reply.destination(),
                bytes: reply.encode(),
            },
            saw(now, message, None, EventKind::DhcpNak, detail),
        ]
    }

    /// An offer or acknowledgment of `address`: where to, its bytes, and the boot file in it.
    fn grant(
        &self,
        message: &Message,
        kind: MessageType,
        address: Ipv4Addr,
    ) -> (Destination, Vec<u8>, Option<String>) {
        let tables = &self.tables;
        let seconds = LEASE_SECONDS;
        let mut reply = Reply::new(message, kind, tables.bastion, address);
        reply.option(opt::LEASE_TIME, &seconds.to_be_bytes());
        reply.option(opt::RENEWAL, &(seconds / 2).to_be_bytes());
        reply.option(opt::REBINDING, &(seconds / 8 * 7).to_be_bytes());
        let mut boot_file = None;
        if let Some(boot) = tables.boot_file(message) {
            reply.boot(tables.bastion, &boot.file);
            if let Some(class) = boot.class {
                reply.option(opt::VENDOR_CLASS, class.as_bytes());
            }
            if boot.class == Some("PXEClient") {
                // PXE discovery control: take the boot file, and look for no boot server.
                reply.option(opt::VENDOR, &[6, 1, 8, 255]);
            }
            reply.option(opt::TFTP_SERVER, tables.bastion.to_string().as_bytes());
            reply.option(opt::BOOT_FILE, boot.file.as_bytes());
            boot_file = Some(boot.file);
        }
        tables.describe_network(message, &mut reply);
        (reply.destination(), reply.encode(), boot_file)
    }
}
