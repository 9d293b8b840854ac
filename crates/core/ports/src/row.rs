//! One line of the matrix.

use std::fmt;

use faros_model::{
    ports::PortRange,
    site::{LanService, Transport},
};
use serde::Serialize;

use crate::{Facts, Is, Party, Source};

/// One line: on whom, from whom, what, when, how much it is needed, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Its name; stable.
    pub id: &'static str,
    /// Which matrix it is of.
    pub matrix: Matrix,
    /// What it is, for people.
    pub what: &'static str,
    /// Whose port it is; of a row that goes out, who asks.
    pub on: &'static [Party],
    /// Whether they are asked, or ask.
    pub direction: Direction,
    /// Who asks; of a row that goes out, who is asked.
    pub peers: &'static [Party],
    /// The protocol.
    pub protocol: Protocol,
    /// The ports of whoever is asked.
    pub ports: Ports,
    /// Where it is bound.
    pub bind: Bind,
    /// It counts only where all of these are so.
    pub when: &'static [Is],
    /// How much it is needed.
    pub need: Need,
    /// Who says so.
    pub source: Source,
    /// What else is to be known.
    pub note: &'static str,
    /// The service of the bastion whose port it is, where that can be allowed by name.
    pub service: Option<LanService>,
}

/// Whose matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matrix {
    /// What holds today; what packet filters are made from.
    Today,
    /// Tectonic's generic platform of 2018, from which the clusters of old come. For reading.
    Tectonic,
}

/// Which way a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Others ask.
    In,
    /// It asks others.
    Out,
}

/// A protocol over IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP echo; the messages without which networks break are never filtered.
    Icmp,
    /// IP in IP, protocol 4.
    Ipip,
    /// IPsec's payload, protocol 50.
    Esp,
    /// VRRP, protocol 112.
    Vrrp,
    /// Whatever there is.
    Any,
}

/// Ports of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// These.
    These(&'static [PortRange]),
    /// All, or the protocol has none.
    All,
    /// Those that the site file publishes as ports of the operator's own.
    Published,
}

/// Where a listener is bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bind {
    /// An address of the machine, or all of them.
    Address,
    /// A virtual IP.
    Vip,
    /// The loopback alone: it is nobody else's business.
    Loopback,
    /// The machine asks, and listens nowhere.
    Client,
}

/// How much it is needed, in the words of RFC 2119.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Need {
    /// It does not work without.
    Must,
    /// It works worse without.
    Should,
    /// It is nothing wrong; not open unless somebody asks for it.
    May,
    /// It is never open.
    Forbidden,
}

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        impl $type {
            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )*};
}

words! {
    Matrix { Today = "today", Tectonic = "tectonic" }
    Direction { In = "in", Out = "out" }
    Protocol { Tcp = "tcp", Udp = "udp", Icmp = "icmp", Ipip = "ipip", Esp = "esp", Vrrp = "vrrp", Any = "any" }
    Bind { Address = "address", Vip = "vip", Loopback = "loopback", Client = "client" }
    Need { Must = "MUST", Should = "SHOULD", May = "MAY", Forbidden = "FORBIDDEN" }
}

impl From<Transport> for Protocol {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Tcp => Self::Tcp,
            Transport::Udp => Self::Udp,
        }
    }
}

impl Protocol {
    /// The same as a protocol with ports; `None` for the others.
    pub const fn transport(self) -> Option<Transport> {
        match self {
            Self::Tcp => Some(Transport::Tcp),
            Self::Udp => Some(Transport::Udp),
            Self::Icmp | Self::Ipip | Self::Esp | Self::Vrrp | Self::Any => None,
        }
    }

    /// The protocol's number in an IPv4 header, where it is one protocol.
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::Icmp => Some(1),
            Self::Ipip => Some(4),
            Self::Tcp => Some(6),
            Self::Udp => Some(17),
            Self::Esp => Some(50),
            Self::Vrrp => Some(112),
            Self::Any => None,
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("-"),
            Self::Published => f.write_str("published"),
            Self::These(ports) => {
                for (idx, range) in ports.iter().enumerate() {
                    let comma = if idx > 0 { "," } else { "" };
                    write!(f, "{comma}{range}")?;
                }
                Ok(())
            }
        }
    }
}

/// One port, for the tables.
pub(crate) const fn one(port: u16) -> PortRange {
    PortRange(port, port)
}

impl Row {
    /// Whether all its conditions are so.
    pub fn holds(&self, facts: &Facts) -> bool {
        self.when.iter().all(|is| facts.are(*is))
    }

    pub(crate) const fn new(id: &'static str, what: &'static str) -> Self {
        Self {
            id,
            matrix: Matrix::Today,
            what,
            on: &[],
            direction: Direction::In,
            peers: &[],
            protocol: Protocol::Any,
            ports: Ports::All,
            bind: Bind::Address,
            when: &[],
            need: Need::May,
            source: Source::Faros,
            note: "",
            service: None,
        }
    }

    pub(crate) const fn of(mut self, matrix: Matrix) -> Self {
        self.matrix = matrix;
        self
    }

    pub(crate) const fn tcp(mut self, ports: &'static [PortRange]) -> Self {
        self.protocol = Protocol::Tcp;
        self.ports = Ports::These(ports);
        self
    }

    pub(crate) const fn udp(mut self, ports: &'static [PortRange]) -> Self {
        self.protocol = Protocol::Udp;
        self.ports = Ports::These(ports);
        self
    }

    pub(crate) const fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    pub(crate) const fn published(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self.ports = Ports::Published;
        self
    }

    /// Whose port it is, and who asks.
    pub(crate) const fn on(mut self, on: &'static [Party], from: &'static [Party]) -> Self {
        self.on = on;
        self.peers = from;
        self
    }

    /// Who asks whom.
    pub(crate) const fn from(mut self, on: &'static [Party], to: &'static [Party]) -> Self {
        self.direction = Direction::Out;
        self.bind = Bind::Client;
        self.on = on;
        self.peers = to;
        self
    }

    /// Bound to the loopback, for the machine itself.
    pub(crate) const fn local(mut self, on: &'static [Party]) -> Self {
        self.on = on;
        self.peers = &[Party::Itself];
        self.bind = Bind::Loopback;
        self.need = Need::May;
        self
    }

    pub(crate) const fn vip(mut self) -> Self {
        self.bind = Bind::Vip;
        self
    }

    pub(crate) const fn when(mut self, when: &'static [Is]) -> Self {
        self.when = when;
        self
    }

    pub(crate) const fn need(mut self, need: Need, source: Source) -> Self {
        self.need = need;
        self.source = source;
        self
    }

    pub(crate) const fn note(mut self, note: &'static str) -> Self {
        self.note = note;
        self
    }

    pub(crate) const fn service(mut self, service: LanService) -> Self {
        self.service = Some(service);
        self
    }
}
