//! Rules and listeners held against the matrix: none wider, none missing.
//!
//! The comparison knows nothing of how rules were made, and so finds what the making got wrong, what an operator's
//! own rules open or forget, and what somebody added by hand.

mod fragment;

use std::{collections::BTreeSet, net::IpAddr};

use faros_model::{net::Addresses, ports::PortRange, site::Site};
use serde::Serialize;

pub use self::fragment::parse_fragment;
use crate::{
    Bind, Direction, Facts, Machine, Matrix, Need, Opening, Ports, Protocol, openings::openings, rows,
};

/// Something that lets packets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// As it is written.
    pub text: String,
    /// The protocol.
    pub protocol: Protocol,
    /// The ports; `None` for all of the protocol.
    pub ports: Option<PortRange>,
    /// Who may come.
    pub from: Addresses,
}

/// A socket that takes packets from whoever sends them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The address it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Who holds it, where that is known.
    pub holder: String,
    /// Whether the port is one that the kernel gives to whoever does not care: a client's, most likely.
    pub is_ephemeral: bool,
}

/// What is not as the matrix says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How it differs.
    pub kind: Kind,
    /// On whom.
    pub on: String,
    /// The protocol and ports, such as `tcp/22`.
    pub port: String,
    /// Who may, and should not; or may not, and should. Of a listener, where it is bound.
    pub who: String,
    /// The rule as it is written, the row of the matrix, or who holds the socket.
    pub what: String,
}

/// How something differs from the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A rule opens what the matrix forbids.
    Forbidden,
    /// A rule opens more than the matrix has.
    Wider,
    /// What the matrix says MUST be open is not.
    Missing,
    /// Somebody listens where the matrix has nobody.
    UnexpectedListener,
    /// Somebody listens where the matrix has only the loopback, for others as well.
    ExposedListener,
    /// Nobody listens where the matrix says that somebody MUST.
    MissingListener,
    /// A node does not hold its packet filter.
    Unfiltered,
    /// Somebody changed a node's packet filter since it was loaded.
    ChangedFilter,
    /// A node's packet filter is not the one that the site leads to by now.
    OutdatedFilter,
}

impl Kind {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forbidden => "forbidden",
            Self::Wider => "wider",
            Self::Missing => "missing",
            Self::UnexpectedListener => "unexpected-listener",
            Self::ExposedListener => "exposed-listener",
            Self::MissingListener => "missing-listener",
            Self::Unfiltered => "unfiltered",
            Self::ChangedFilter => "changed-filter",
            Self::OutdatedFilter => "outdated-filter",
        }
    }
}

/// Holds the rules of a machine against what the matrix has for it.
pub fn rules(site: &Site, facts: &Facts, machine: &Machine, on: &str, rules: &[Rule]) -> Vec<Finding> {
    let matrix = openings(site, facts, machine);
    let mut findings = Vec::new();
    for rule in rules {
        // A machine asks itself by its loopback.
        let from = rule.from.minus(&machine.addresses);
        let forbidden = matrix
            .iter()
            .filter(|opening| opening.row.need == Need::Forbidden);
        let forbidden: Vec<&Opening> = forbidden.collect();
        let allowed: Vec<&Opening> = matrix
            .iter()
            .filter(|opening| opening.row.need != Need::Forbidden)
            .collect();
        for part in parts(rule.ports, rule.protocol, &matrix, rules) {
            let told = |kind, who: &Addresses| Finding {
                kind,
                on: on.to_owned(),
                port: port(rule.protocol, part),
                who: who.to_string(),
                what: rule.text.clone(),
            };
            let never = union(forbidden.iter().copied(), rule.protocol, part);
            let bad = from.minus(&from.minus(&never));
            if !bad.is_empty() {
                findings.push(told(Kind::Forbidden, &bad));
            }
            let wide = from
                .minus(&union(allowed.iter().copied(), rule.protocol, part))
                .minus(&bad);
            if !wide.is_empty() {
                findings.push(told(Kind::Wider, &wide));
            }
        }
    }
    for opening in matrix.iter().filter(|opening| opening.row.need == Need::Must) {
        let wanted = opening.everyone().minus(&machine.addresses);
        for part in parts(opening.ports, opening.row.protocol, &matrix, rules) {
            let open = rules
                .iter()
                .filter(|rule| rule.protocol == opening.row.protocol && has(rule.ports, part));
            let open = Addresses::of(open.flat_map(|rule| rule.from.subnets()));
            let lacking = wanted.minus(&open);
            if !lacking.is_empty() {
                findings.push(Finding {
                    kind: Kind::Missing,
                    on: on.to_owned(),
                    port: port(opening.row.protocol, part),
                    who: lacking.to_string(),
                    what: format!("{} ({})", opening.row.what, opening.row.id),
                });
            }
        }
    }
    findings.dedup();
    findings
}

/// A range cut where anything of the same protocol begins or ends, so that each part is whole to all.
fn parts(
    range: Option<PortRange>,
    protocol: Protocol,
    matrix: &[Opening],
    rules: &[Rule],
) -> Vec<Option<PortRange>> {
    let Some(PortRange(first, last)) = range else {
        return vec![None];
    };
    let others = matrix.iter().map(|opening| (opening.row.protocol, opening.ports));
    let others = others.chain(rules.iter().map(|rule| (rule.protocol, rule.ports)));
    let mut begins = BTreeSet::from([u32::from(first)]);
    for (_, ports) in others.filter(|(own, _)| *own == protocol) {
        if let Some(PortRange(begin, end)) = ports {
            begins.extend([u32::from(begin), u32::from(end) + 1]);
        }
    }
    let begins: Vec<u32> = begins
        .range(u32::from(first)..=u32::from(last))
        .copied()
        .collect();
    let ends = begins
        .iter()
        .skip(1)
        .map(|next| next - 1)
        .chain([u32::from(last)]);
    let part = |(begin, end): (&u32, u32)| {
        Some(PortRange(
            u16::try_from(*begin).unwrap_or(first),
            u16::try_from(end).unwrap_or(last),
        ))
    };
    begins.iter().zip(ends).map(part).collect()
}

/// Whether a range has all of a part.
fn has(range: Option<PortRange>, part: Option<PortRange>) -> bool {
    match (range, part) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(own), Some(part)) => own.0 <= part.0 && part.1 <= own.1,
    }
}

fn union<'a>(
    openings: impl Iterator<Item = &'a Opening>,
    protocol: Protocol,
    part: Option<PortRange>,
) -> Addresses {
    let own = openings.filter(|opening| opening.row.protocol == protocol && has(opening.ports, part));
    Addresses::of(own.flat_map(|opening| opening.everyone().subnets()))
}

fn port(protocol: Protocol, ports: Option<PortRange>) -> String {
    ports.map_or_else(|| protocol.to_string(), |ports| format!("{protocol}/{ports}"))
}

/// Holds the sockets of a machine against what the matrix has on it. `is_up` says that all the bastion's own
/// services run, so that who does not listen is missed.
pub fn listeners(
    facts: &Facts,
    machine: &Machine,
    on: &str,
    found: &[Listener],
    is_up: bool,
) -> Vec<Finding> {
    let own = rows().filter(|row| {
        row.matrix == Matrix::Today
            && row.direction == Direction::In
            && row.on.iter().any(|party| machine.is.contains(party))
            && row.need != Need::Forbidden
            && row.holds(facts)
    });
    let own: Vec<_> = own.collect();
    let covers = |row: &crate::Row, listener: &Listener| {
        let ports = match row.ports {
            Ports::These(ports) => ports
                .iter()
                .any(|range| range.0 <= listener.port && listener.port <= range.1),
            Ports::All => true,
            // The kernel leads them on, and nobody on the machine listens.
            Ports::Published => false,
        };
        row.protocol == listener.protocol && ports
    };
    let mut findings: Vec<Finding> = Vec::new();
    for listener in found.iter().filter(|listener| !listener.address.is_loopback()) {
        let told = |kind| Finding {
            kind,
            on: on.to_owned(),
            port: format!("{}/{}", listener.protocol, listener.port),
            who: listener.address.to_string(),
            what: listener.holder.clone(),
        };
        let mut rows = own.iter().filter(|row| covers(row, listener)).peekable();
        if rows.peek().is_none() {
            // Ports that nobody chose are those of clients: they come and go.
            let is_client = listener.is_ephemeral && listener.protocol == Protocol::Udp;
            if !is_client {
                findings.push(told(Kind::UnexpectedListener));
            }
        } else if rows.all(|row| row.bind == Bind::Loopback) {
            findings.push(told(Kind::ExposedListener));
        }
    }
    for row in own
        .iter()
        .filter(|row| is_up && row.need == Need::Must && row.bind == Bind::Address)
    {
        let Ports::These(ports) = row.ports else { continue };
        for range in ports.iter().filter(|range| range.0 == range.1) {
            let is_there = found.iter().any(|listener| {
                listener.protocol == row.protocol
                    && listener.port == range.0
                    && !listener.address.is_loopback()
            });
            if !is_there {
                findings.push(Finding {
                    kind: Kind::MissingListener,
                    on: on.to_owned(),
                    port: port(row.protocol, Some(*range)),
                    who: String::new(),
                    what: format!("{} ({})", row.what, row.id),
                });
            }
        }
    }
    findings
}
