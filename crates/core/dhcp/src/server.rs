//! The server: who gets which address, and when it is said.
//!
//! A dynamic address is probed before a new client is offered it, and an acknowledgment leaves only after
//! its lease is on disk. Between asking and learning the outcome of either, what was going to be sent waits
//! under a [`Ticket`].

mod book;

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc};

use faros_model::{
    event::EventKind,
    lease::{Lease, LeaseState},
    sighting::Sighting,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use self::book::{Book, Key, Pick};
use crate::{
    message::{Malformed, Message, MessageType, Opt},
    reply::{Destination, Reply},
    tables::{LEASE_SECONDS, Tables},
};

/// How long an offer is held.
const OFFER_HELD: SignedDuration = SignedDuration::from_secs(60);
/// How long an address that somebody else uses is left alone.
const QUARANTINE: SignedDuration = SignedDuration::from_mins(10);
/// Most probes and commits under way; more means a flood, and the client asks again anyway.
const MAX_WAITING: usize = 16_384;
/// A second server is reported again after this time.
const ROGUE_AGAIN: SignedDuration = SignedDuration::from_mins(5);
/// Most other servers remembered.
const MAX_ROGUES: usize = 64;

/// Something asked of the driver, whose outcome it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(u64);

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a message.
    Send {
        /// Where to.
        to: Destination,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Put a lease on disk, then call [`Server::on_committed`].
    Commit {
        /// Names the outcome.
        ticket: Ticket,
        /// The lease.
        lease: Lease,
    },
    /// Find out whether anyone uses an address, then call [`Server::on_probed`].
    Probe {
        /// Names the outcome.
        ticket: Ticket,
        /// The address.
        address: Ipv4Addr,
    },
    /// Tell what was seen.
    Saw(Sighting),
    /// Nothing is answered, for this reason.
    Ignore(Ignored),
}

/// Why a message gets no answer. A closed set, so that each has its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is no DHCP message, or a broken one.
    Malformed,
    /// The site file says to ignore the machine.
    IgnoredMac,
    /// The hardware address names no machine.
    BadMac,
    /// It came through a relay of another network.
    ForeignRelay,
    /// It is for another server.
    OtherServer,
    /// It is from a server.
    FromServer,
    /// The client asks for an address of which there is no record (RFC 2131 section 4.3.2).
    NoRecord,
    /// No dynamic address is left.
    PoolEmpty,
    /// Too many clients at once.
    Overload,
    /// The lease could not be put on disk.
    NotStored,
    /// The client is answered by not answering: DECLINE and RELEASE.
    Noted,
}

impl Ignored {
    /// The name under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "dhcp_malformed",
            Self::IgnoredMac => "dhcp_ignored_mac",
            Self::BadMac => "dhcp_bad_mac",
            Self::ForeignRelay => "dhcp_foreign_relay",
            Self::OtherServer => "dhcp_other_server",
            Self::FromServer => "dhcp_from_server",
            Self::NoRecord => "dhcp_no_record",
            Self::PoolEmpty => "dhcp_pool_empty",
            Self::Overload => "dhcp_overload",
            Self::NotStored => "dhcp_not_stored",
            Self::Noted => "dhcp_noted",
        }
    }
}

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
    next_ticket: u64,
    rogues: HashMap<Ipv4Addr, Timestamp>,
}

impl Server {
    /// A server that knows the leases that are on disk.
    pub fn new(tables: Arc<Tables>, leases: Vec<Lease>) -> Self {
        Self {
            tables,
            book: Book::new(leases),
            waiting: HashMap::new(),
            next_ticket: 0,
            rogues: HashMap::new(),
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
        match in_use_by {
            // The client itself may answer, if it still has the address from before.
            Some(mac) if mac != message.mac => {
                let mut detail = Map::new();
                detail.insert("address".into(), json!(address));
                detail.insert("mac".into(), json!(mac));
                let mut effects = vec![
                    self.saw(now, &message, None, EventKind::AddressConflict, detail),
                    self.quarantine(now, address, mac),
                ];
                self.book.forget_offer(address);
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
        let mut effects = vec![self.saw(now, &message, None, EventKind::DhcpDiscover, said(&message))];
        if let Some(own) = self.tables.reservation(message.mac) {
            let address = own.address;
            effects.extend(self.offer(now, &message, address));
            return effects;
        }
        effects.push(self.saw(now, &message, None, EventKind::MachineDiscovered, said(&message)));
        effects.extend(self.offer_dynamic(now, message, 0));
        effects
    }

    fn offer_dynamic(&mut self, now: Timestamp, message: Message, tries: u8) -> Vec<Effect> {
        let key = Key::of(&message);
        let wanted = message.address(Opt::REQUESTED_ADDRESS);
        match self.book.pick(now, &self.tables, &key, wanted) {
            Pick::Known(address) => self.offer(now, &message, address),
            Pick::Fresh(address) => {
                if self.waiting.len() >= MAX_WAITING {
                    return vec![Effect::Ignore(Ignored::Overload)];
                }
                self.book.hold(now + OFFER_HELD, address, &key);
                vec![Effect::Probe {
                    ticket: self.ticket(Waiting::Offer {
                        message,
                        address,
                        tries,
                    }),
                    address,
                }]
            }
            Pick::None => vec![Effect::Ignore(Ignored::PoolEmpty)],
        }
    }

    fn offer(&mut self, now: Timestamp, message: &Message, address: Ipv4Addr) -> Vec<Effect> {
        self.book.hold(now + OFFER_HELD, address, &Key::of(message));
        let (to, bytes, boot_file) = self.grant(message, MessageType::Offer, address);
        let detail = granted(message, address, boot_file);
        vec![
            Effect::Send { to, bytes },
            self.saw(now, message, Some(address), EventKind::DhcpOffer, detail),
        ]
    }

    fn request(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let key = Key::of(message);
        let requested = message.address(Opt::REQUESTED_ADDRESS);
        let server = message.address(Opt::SERVER_ID);
        if let Some(server) = server.filter(|server| *server != self.tables.bastion) {
            // SELECTING, and the client took another server's offer.
            self.book.forget_offer_to(&key);
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
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        detail.insert("state".into(), json!(state));
        let mut effects = vec![self.saw(now, message, Some(address), EventKind::DhcpRequest, detail)];
        let right = match self.tables.reservation(message.mac) {
            Some(own) if own.address == address => Ok(()),
            Some(own) => Err(format!("the site file gives it {}", own.address)),
            None => self.book.may_have(now, &self.tables, &key, address),
        };
        let known = self.book.knows(&key) || self.tables.reservation(message.mac).is_some();
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
            client_id: message.options.get(&Opt::CLIENT_ID).cloned(),
            hostname: message
                .text(Opt::HOST_NAME)
                .map(|name| name.chars().take(63).collect()),
            state: LeaseState::Active,
            since: now,
            until: now + SignedDuration::from_secs(i64::from(seconds)),
        };
        self.book.lease(lease.clone(), key);
        let (to, bytes, boot_file) = self.grant(message, MessageType::Ack, address);
        let mut detail = granted(message, address, boot_file);
        detail.insert("leaseSeconds".into(), json!(seconds));
        let Effect::Saw(sighting) = self.saw(now, message, Some(address), EventKind::DhcpAck, detail) else {
            return vec![];
        };
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
        reply.option(Opt::MESSAGE, why);
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        detail.insert("reason".into(), json!(why));
        vec![
            Effect::Send {
                to: reply.destination(),
                bytes: reply.encode(),
            },
            self.saw(now, message, None, EventKind::DhcpNak, detail),
        ]
    }

    fn decline(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let Some(address) = message.address(Opt::REQUESTED_ADDRESS) else {
            return vec![Effect::Ignore(Ignored::Malformed)];
        };
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        let mut effects = vec![self.saw(now, message, None, EventKind::DhcpDecline, detail.clone())];
        // A reserved address stays its machine's: leaving it alone would keep a node from ever booting.
        let own = self
            .tables
            .reservation(message.mac)
            .is_some_and(|own| own.address == address);
        if own
            || self
                .book
                .may_have(now, &self.tables, &Key::of(message), address)
                .is_ok()
        {
            effects.push(self.saw(now, message, None, EventKind::AddressConflict, detail));
            if !own {
                effects.push(self.quarantine(now, address, message.mac));
            }
        }
        effects.push(Effect::Ignore(Ignored::Noted));
        effects
    }

    fn release(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let address = message.ciaddr;
        let mut detail = Map::new();
        detail.insert("address".into(), json!(address));
        let mut effects = vec![self.saw(now, message, Some(address), EventKind::DhcpRelease, detail)];
        if let Some(lease) = self.book.release(now, &Key::of(message), address) {
            effects.push(Effect::Commit {
                ticket: self.ticket(Waiting::Note),
                lease,
            });
        }
        effects.push(Effect::Ignore(Ignored::Noted));
        effects
    }

    fn inform(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
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
        for (code, value) in self.tables.network_options(message) {
            reply.option(code, value);
        }
        let mut detail = Map::new();
        detail.insert("address".into(), json!(message.ciaddr));
        vec![
            Effect::Send {
                to: reply.destination(),
                bytes: reply.encode(),
            },
            self.saw(now, message, Some(message.ciaddr), EventKind::DhcpInform, detail),
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
        reply.option(Opt::LEASE_TIME, seconds.to_be_bytes());
        reply.option(Opt::RENEWAL, (seconds / 2).to_be_bytes());
        reply.option(Opt::REBINDING, (seconds / 8 * 7).to_be_bytes());
        let mut boot_file = None;
        if let Some(boot) = tables.boot_file(message) {
            reply.boot(tables.bastion, &boot.file);
            if let Some(class) = boot.class {
                reply.option(Opt::VENDOR_CLASS, class);
            }
            if boot.class == Some("PXEClient") {
                // PXE discovery control: take the boot file, and look for no boot server.
                reply.option(Opt::VENDOR, [6, 1, 8, 255]);
            }
            reply.option(Opt::TFTP_SERVER, tables.bastion.to_string());
            reply.option(Opt::BOOT_FILE, boot.file.as_str());
            boot_file = Some(boot.file);
        }
        for (code, value) in tables.network_options(message) {
            reply.option(code, value);
        }
        (reply.destination(), reply.encode(), boot_file)
    }

    /// Leaves an address alone for a while.
    fn quarantine(&mut self, now: Timestamp, address: Ipv4Addr, mac: faros_model::ids::MacAddr) -> Effect {
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

    /// An answer of another server reached us.
    fn other_server(&mut self, now: Timestamp, message: &Message) -> Vec<Effect> {
        let mut effects = match message.address(Opt::SERVER_ID) {
            Some(server) if server != self.tables.bastion => self.rogue(now, server, message, "answer"),
            _ => vec![],
        };
        effects.push(Effect::Ignore(Ignored::FromServer));
        effects
    }

    fn rogue(&mut self, now: Timestamp, server: Ipv4Addr, message: &Message, by: &str) -> Vec<Effect> {
        let recent = self
            .rogues
            .get(&server)
            .is_some_and(|last| now.duration_since(*last) < ROGUE_AGAIN);
        if recent || (self.rogues.len() >= MAX_ROGUES && !self.rogues.contains_key(&server)) {
            return vec![];
        }
        self.rogues.insert(server, now);
        let mut detail = Map::new();
        detail.insert("server".into(), json!(server));
        detail.insert("mac".into(), json!(message.mac));
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

    #[expect(clippy::unused_self, reason = "every effect is made by the server")]
    fn saw(
        &self,
        now: Timestamp,
        message: &Message,
        address: Option<Ipv4Addr>,
        kind: EventKind,
        mut detail: Map<String, Value>,
    ) -> Effect {
        detail.entry("mac").or_insert_with(|| json!(message.mac));
        Effect::Saw(Sighting {
            at: now,
            mac: Some(message.mac),
            address,
            kind,
            detail,
        })
    }
}

/// What a machine says about itself.
fn said(message: &Message) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("mac".into(), json!(message.mac));
    let facts = [
        ("architecture", message.architecture().map(Value::from)),
        ("vendorClass", message.text(Opt::VENDOR_CLASS).map(Value::from)),
        ("userClass", message.user_class().map(Value::from)),
        ("uuid", message.uuid().map(Value::from)),
        ("hostname", message.text(Opt::HOST_NAME).map(Value::from)),
    ];
    detail.extend(
        facts
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?))),
    );
    detail
}

fn granted(message: &Message, address: Ipv4Addr, boot_file: Option<String>) -> Map<String, Value> {
    let mut detail = said(message);
    detail.insert("address".into(), json!(address));
    detail.extend(boot_file.map(|file| ("bootFile".to_owned(), Value::from(file))));
    detail
}
