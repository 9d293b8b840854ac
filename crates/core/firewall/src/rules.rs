//! A table as a value: chains of rules, with no choice left in them.

use std::net::{Ipv4Addr, SocketAddrV4};

use faros_balancer::Affinity;
use faros_model::{ids::MacAddr, site::Transport};
pub use faros_model::{net::Addresses, ports::PortRange};

/// All rules of the bastion's own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The services that are balanced; each has a map of slots, which is changed without touching the rest.
    pub balanced: Vec<Balanced>,
    /// The chains, in the order in which they are told.
    pub chains: Vec<Chain>,
}

/// A service that is balanced, as far as the kernel has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balanced {
    /// Its name; its map is called [`slots_of`](crate::slots_of) that.
    pub service: String,
    /// Its protocol.
    pub transport: Transport,
    /// Whose packets and bytes are counted.
    pub backends: Vec<SocketAddrV4>,
}

/// A chain of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its name.
    pub name: &'static str,
    /// Where packets come into it; `None` for one that others jump to.
    pub hook: Option<Hook>,
    /// Its rules, the first that ends the matter wins.
    pub rules: Vec<Rule>,
}

/// Where packets come into a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// All that arrives, before connections are looked up.
    Arriving,
    /// All that the bastion itself sends, before connections are looked up.
    Answering,
    /// What is for the bastion itself.
    Input,
    /// What passes through.
    Forward,
    /// First packets that arrive, where their destination may be changed.
    Published,
    /// First packets of the bastion itself, where their destination may be changed.
    Asking,
    /// First packets that leave, where their source may be changed.
    Leaving,
}

/// One rule: what it is about, and what becomes of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All of these must be so.
    pub when: Vec<Match>,
    /// What becomes of it.
    pub then: Verdict,
    /// Why, for whoever reads the table in the kernel.
    pub why: String,
}

/// Something that a packet must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Match {
    /// It came in by this interface.
    InBy(String),
    /// It goes out by this interface.
    OutBy(String),
    /// Its source is, or is not, one of these.
    Source(bool, Addresses),
    /// Its destination is, or is not, one of these.
    Destination(bool, Addresses),
    /// Its frame is for one machine, and for none with these MACs: a bridge carries it past.
    CarriedPast(Vec<MacAddr>),
    /// It is for an address of the bastion itself.
    ToBastion,
    /// It has one of these ports.
    Ports(Transport, Side, Vec<PortRange>),
    /// It is ICMP, or ICMP for IPv6.
    AnyIcmp,
    /// It is an echo request, and not one too many.
    ModestPing,
    /// It is an ICMP message without which networks break (RFC 4890 section 4.3 has those of IPv6).
    NeededIcmp,
    /// The same of IPv6, with the discovery of neighbors.
    NeededIcmp6,
    /// Its connection was led here by a published port.
    WasPublished,
    /// It opens a TCP connection.
    Opening,
    /// It tells a machine of the LAN of a shorter way.
    Redirect,
    /// It goes the way of its connection's first packet, or back.
    Way(Direction),
}

/// Which way of a connection a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To who was asked.
    There,
    /// To who asked.
    Back,
}

/// Which of a packet's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is dropped, and counted.
    Drop,
    /// It passes if its connection is known, is dropped if it belongs to none, and is looked at further if it
    /// begins one.
    ByConnection,
    /// Another chain decides.
    Goto(&'static str),
    /// Another chain is asked; if it says nothing, the next rule is.
    Jump(&'static str),
    /// The rest of the chain is not asked.
    Return,
    /// Its connection is not tracked.
    NotTracked,
    /// It leaves with the bastion's own address and a random port.
    Masquerade,
    /// It asks for segments that fit the way it takes, where messages that a packet is too big get lost.
    ClampSegments,
    /// Its connection is led to one of these, in turn.
    LeadTo(Vec<SocketAddrV4>),
    /// Its connection is led to whom a slot of this service's map belongs; if nobody has it, the next rule is asked.
    Spread(String, Affinity),
    /// It leaves with this address and a random port.
    LeaveAs(Ipv4Addr),
    /// Its sender is told at once that there is nobody (RFC 9293 section 3.5.2).
    Reset,
    /// The same, where there are no connections.
    Refuse,
    /// It is counted for the backend that it goes to, or comes from, and looked at further.
    CountFor(Direction),
}

impl Rule {
    /// A rule for whoever reads the table.
    pub fn new(when: Vec<Match>, then: Verdict, why: impl Into<String>) -> Self {
        Self {
            when,
            then,
            why: why.into(),
        }
    }
}
