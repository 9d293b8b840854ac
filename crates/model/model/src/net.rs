//! IPv4 subnets and ranges, with the arithmetic that the site's checks and services share.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use serde::{Deserialize, Serialize};

mod addresses;

pub use addresses::Addresses;

/// An IPv4 network. Invariant: the prefix is at most 32 and no host bit of the address is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no [`Subnet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseSubnet {
    /// There is no `/`, or a part is no number.
    #[error("is not a network in CIDR notation")]
    Form,
    /// The prefix length is over 32.
    #[error("has a prefix length over 32")]
    Prefix,
    /// Host bits are set; the network meant is given.
    #[error("has host bits set; the network is {0}")]
    HostBits(Subnet),
}

impl Subnet {
    /// The network of which `address` is a member.
    ///
    /// # Panics
    /// If `prefix` is over 32.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        assert!(prefix <= 32, "an IPv4 prefix has at most 32 bits");
        let network = Ipv4Addr::from_bits(address.to_bits() & mask_bits(prefix));
        Self { network, prefix }
    }

    /// The network's own address: all host bits zero.
    pub const fn network(self) -> Ipv4Addr {
        self.network
    }

    /// Length of the prefix, in bits.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// The netmask, such as 255.255.255.0.
    pub fn netmask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(mask_bits(self.prefix))
    }

    /// The directed broadcast address: all host bits one.
    pub fn broadcast(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() | !mask_bits(self.prefix))
    }

    /// Whether `address` is in the network (its network and broadcast addresses included).
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask_bits(self.prefix) == self.network.to_bits()
    }

    /// Whether the two networks share an address.
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// The first and last address a host may have; `None` where there is no such address (/31, /32).
    pub fn hosts(self) -> Option<Range> {
        let first = self.network.to_bits().checked_add(1)?;
        let last = self.broadcast().to_bits().checked_sub(1)?;
        Range::new(Ipv4Addr::from_bits(first), Ipv4Addr::from_bits(last)).filter(|_| self.prefix <= 30)
    }
}

const fn mask_bits(prefix: u8) -> u32 {
    match prefix {
        0 => 0,
        n => u32::MAX << (32 - n as u32),
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnet;

    fn from_str(text: &str) -> Result<Self, ParseSubnet> {
        let (address, prefix) = text.split_once('/').ok_or(ParseSubnet::Form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| ParseSubnet::Form)?;
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParseSubnet::Form);
        }
        let prefix: u8 = prefix.parse().map_err(|_| ParseSubnet::Prefix)?;
        if prefix > 32 {
            return Err(ParseSubnet::Prefix);
        }
        let subnet = Self::of(address, prefix);
        if subnet.network == address {
            Ok(subnet)
        } else {
            Err(ParseSubnet::HostBits(subnet))
        }
    }
}

/// An inclusive range of IPv4 addresses. Invariant: `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    first: Ipv4Addr,
    last: Ipv4Addr,
}

impl Range {
    /// The range from `first` to `last`, both included; `None` if they are the wrong way round.
    pub fn new(first: Ipv4Addr, last: Ipv4Addr) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The lowest address.
    pub const fn first(self) -> Ipv4Addr {
        self.first
    }

    /// The highest address.
    pub const fn last(self) -> Ipv4Addr {
        self.last
    }

    /// Whether `address` is in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last).contains(&address)
    }

    /// How many addresses the range has.
    pub fn len(self) -> u64 {
        u64::from(self.last.to_bits()) - u64::from(self.first.to_bits()) + 1
    }

    /// Never: a range has at least one address.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// All addresses, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Ipv4Addr> {
        (self.first.to_bits()..=self.last.to_bits()).map(Ipv4Addr::from_bits)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl FromStr for Range {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').ok_or("is not a range of two addresses")?;
        let first = first
            .trim()
            .parse()
            .map_err(|_| "does not start with an IPv4 address")?;
        let last = last
            .trim()
            .parse()
            .map_err(|_| "does not end with an IPv4 address")?;
        Self::new(first, last).ok_or("ends before it starts")
    }
}

macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(|why| serde::de::Error::custom(format!("`{text}` {why}")))
            }
        }

        impl schemars::JsonSchema for $t {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($t).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )*};
}
pub(crate) use serde_as_text;

serde_as_text!(Subnet, Range);
