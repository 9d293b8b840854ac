//! Gives every host of the site an address that follows from the file alone.
//!
//! Each name has a *home* among the places of the LAN. Homes depend on the name and the network alone: a
//! name that ends in a number lives beside those of the same kind (`node-1` at .11, `node-2` at .12, their
//! BMCs at .91 and .92 of a /24), any other where a hash of it falls. Whoever has its home to itself is
//! there, whatever else is in the file. Where two names have the same home, one gets it and the other is sent
//! on to a place that is nobody's home; [`Given::sent_on`] says so, for the check to warn: that host may move
//! when others come, until the file sets its address. `docs/decisions/0002-addresses-from-names.md` says why
//! no rule can do without that case.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::net::{Range, Subnet};

/// What kind of host asks. Where two have the same home, the first of these kinds gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Node,
    Bmc,
    Host,
}

/// Who asks for an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// The outcome for one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) address: Ipv4Addr,
    /// Another host has the home of this one.
    pub(crate) sent_on: bool,
}

/// The places of a LAN: its hosts' addresses outside of the dynamic range, taken or not. They depend on the
/// network alone, so that who takes one does not shift the others.
#[derive(Debug)]
pub(crate) struct Places(Vec<Range>);

impl Places {
    pub(crate) fn new(subnet: Subnet, dynamic: Range) -> Self {
        let Some(hosts) = subnet.hosts() else {
            return Self(Vec::new());
        };
        let step = |address: Ipv4Addr, by: i64| {
            let bits = u32::try_from(i64::from(address.to_bits()) + by).ok();
            bits.map(Ipv4Addr::from_bits)
        };
        let below =
            step(dynamic.first(), -1).and_then(|last| Range::new(hosts.first(), last.min(hosts.last())));
        let above =
            step(dynamic.last(), 1).and_then(|first| Range::new(first.max(hosts.first()), hosts.last()));
        Self(below.into_iter().chain(above).collect())
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|range| range.len()).sum()
    }

    pub(crate) fn contains(&self, address: Ipv4Addr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The place with a number, from 0.
    fn get(&self, mut idx: u64) -> Option<Ipv4Addr> {
        for range in &self.0 {
            if idx < range.len() {
                let bits = u64::from(range.first().to_bits()) + idx;
                return u32::try_from(bits).ok().map(Ipv4Addr::from_bits);
            }
            idx -= range.len();
        }
        None
    }

    /// The highest place that is not taken.
    pub(crate) fn last_free(&self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let mut highest_first = self.0.iter().rev().flat_map(|range| range.iter().rev());
        highest_first.find(|place| !taken.contains(place))
    }
}

/// Gives each claim a place that is not `taken`, or none where there are no more.
pub(crate) fn give(
    places: &Places,
    taken: &BTreeSet<Ipv4Addr>,
    claims: BTreeSet<Claim>,
) -> BTreeMap<Claim, Given> {
    let mut claims: Vec<Claim> = claims.into_iter().collect();
    // Those added later usually have a higher number, or sort last.
    claims.sort_by_cached_key(|claim| {
        let number = numbered(&claim.name).map_or(u64::MAX, |(_, number)| number);
        (claim.kind, number, claim.name.clone())
    });
    let mut held = taken.clone();
    let mut given = BTreeMap::new();
    let mut sent_on = Vec::new();
    for claim in claims {
        match home(places, &claim).filter(|home| held.insert(*home)) {
            Some(address) => {
                let sent_on = false;
                given.insert(claim, Given { address, sent_on });
            }
            None => sent_on.push(claim),
        }
    }
    for claim in sent_on {
        if let Some(address) = ways(places, &claim).find(|place| held.insert(*place)) {
            let sent_on = true;
            given.insert(claim, Given { address, sent_on });
        }
    }
    given
}

/// How the places of a LAN are used. The first few are left to the site itself.
struct Layout {
    /// The first place for hosts.
    begin: u64,
    /// How many there are from there on.
    size: u64,
    /// How many of them, at either end, are homes of nodes and of BMCs. In a small LAN they share all.
    area: u64,
}

impl Layout {
    fn of(places: &Places) -> Self {
        let size = places.len();
        if size >= 100 {
            // Homes of nodes, hosts and BMCs do not overlap, and a BMC is 80 above its node in a /24.
            let begin = 10;
            let area = (size - begin) * 8 / 25;
            Self {
                begin,
                size: size - begin,
                area,
            }
        } else {
            let begin = 3.min(size);
            let size = size - begin;
            Self {
                begin,
                size,
                area: size,
            }
        }
    }
}

fn home(places: &Places, claim: &Claim) -> Option<Ipv4Addr> {
    let Layout { begin, size, area } = Layout::of(places);
    let in_area = match numbered(&claim.name) {
        Some((family, number)) => {
            let start = if matches!(family, "node" | "node-") {
                0
            } else {
                hash(family) % area.max(1)
            };
            // The first is number 1; number 0 is the last of the area.
            (start + area.checked_sub(1)? + number) % area
        }
        None => hash(&claim.name).checked_rem(area)?,
    };
    let idx = match claim.kind {
        Kind::Node => in_area,
        // In a small LAN, nodes fill it from below and BMCs from above.
        Kind::Bmc if area == size => size - 1 - in_area,
        Kind::Bmc => size - area + in_area,
        Kind::Host if area == size => hash(&claim.name) % size,
        Kind::Host => area + hash(&claim.name) % (size - 2 * area),
    };
    places.get(begin + idx)
}

/// All places in an order that the name decides, those of the site itself last.
fn ways<'a>(places: &'a Places, claim: &Claim) -> impl Iterator<Item = Ipv4Addr> + 'a {
    let Layout { begin, size, .. } = Layout::of(places);
    let hash = hash(&format!("{:?}/{}", claim.kind, claim.name));
    let modulus = size.max(1);
    let mut at = hash % modulus;
    // A step that shares no factor with the size comes by every place once.
    let mut step = (hash >> 32) % modulus + 1;
    while gcd(step, modulus) != 1 {
        step += 1;
    }
    let probes = (0..size).map(move |_| {
        let idx = begin + at;
        at = (at + step) % modulus;
        idx
    });
    probes.chain((0..begin).rev()).filter_map(|idx| places.get(idx))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A name that ends in a number of at most six digits, in two parts.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let family = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = &name[family.len()..];
    let number = digits.parse().ok().filter(|_| digits.len() <= 6)?;
    Some((family, number))
}

/// FNV-1a with a final mix: the same on every machine and in every version.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests;
