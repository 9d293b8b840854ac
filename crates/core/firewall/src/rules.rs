//! A table as a value: chains of rules, with no choice left in them.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddrV4},
};

use faros_model::{
    net::{Range, Subnet},
    site::Transport,
};

/// All rules of the bastion's own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruleset {
    /// The chains, in the order in which they are told.
    pub chains: Vec<Chain>,
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
}

/// A set of IPv4 addresses: networks that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses(Vec<Block>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Block {
    first: u32,
    last: u32,
}

impl Addresses {
    /// The union of these; networks that touch or overlap become one range, as the kernel's own sets have it.
    pub fn of(subnets: impl IntoIterator<Item = Subnet>) -> Self {
        let blocks = subnets.into_iter().map(|subnet| Block {
            first: subnet.network().to_bits(),
            last: subnet.broadcast().to_bits(),
        });
        let mut blocks: Vec<Block> = blocks.collect();
        blocks.sort_unstable();
        let mut joined: Vec<Block> = Vec::new();
        for block in blocks {
            match joined.last_mut() {
                Some(before) if block.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(block.last);
                }
                _ => joined.push(block),
            }
        }
        Self(joined)
    }

    /// Single addresses.
    pub fn each(addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        Self::of(addresses.into_iter().map(|address| Subnet::of(address, 32)))
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, block) in self.0.iter().enumerate() {
            let comma = if idx > 0 { ", " } else { "" };
            let (first, last) = (Ipv4Addr::from_bits(block.first), Ipv4Addr::from_bits(block.last));
            let size = u64::from(block.last) - u64::from(block.first) + 1;
            // A power of two that starts at a multiple of itself is a network.
            let prefix = 32 - size.trailing_zeros();
            let network = size.is_power_of_two() && u64::from(block.first).is_multiple_of(size);
            match (network, Range::new(first, last)) {
                (true, _) if prefix == 32 => write!(f, "{comma}{first}")?,
                (true, _) => write!(f, "{comma}{first}/{prefix}")?,
                (false, Some(range)) => write!(f, "{comma}{range}")?,
                (false, None) => (),
            }
        }
        Ok(())
    }
}

/// Ports from the first to the last, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortRange(pub u16, pub u16);

impl From<u16> for PortRange {
    fn from(port: u16) -> Self {
        Self(port, port)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(first, last) if first == last => write!(f, "{first}"),
            Self(first, last) => write!(f, "{first}-{last}"),
        }
    }
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
