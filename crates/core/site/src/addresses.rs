//! Gives every host of the site an address that follows from the file alone.
//!
//! A name that ends in a number asks for a place with that number (`node-3` for the third of the nodes'
//! places), any other for a place by a hash of its name; a place that is taken sends it on along a path
//! that its name decides. So neither order in the file nor what else is in it decides an address, with one
//! exception: of two names that ask for the same place, the one that sorts first gets it. Whoever is sent
//! on that way is told apart in [`Given::sent_on`], so that the check can warn: a later addition might move
//! it, unless its address is set in the file. `docs/decisions/0002` gives the reasons.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use faros_model::net::{Range, Subnet};

/// What kind of host asks; decides where its numbered places begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Node,
    Bmc,
    Host,
}

/// Who asks for an address. Sorted by number, then name: those added later usually sort last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claim {
    pub(crate) kind: Kind,
    pub(crate) name: String,
}

/// The outcome for one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) address: Ipv4Addr,
    /// Another host had the place that the name asked for.
    pub(crate) sent_on: bool,
}

/// The places of a subnet: its hosts outside of the dynamic range, whether taken or not. They depend on the
/// network alone, so that who takes one does not shift the others.
pub(crate) fn places(subnet: Subnet, dynamic: Range) -> Vec<Ipv4Addr> {
    let hosts = subnet.hosts().into_iter().flat_map(Range::iter);
    hosts.filter(|address| !dynamic.contains(*address)).collect()
}

/// Gives each claim a place that is not `taken`, or none where there are no more.
pub(crate) fn give(
    subnet: Subnet,
    places: &[Ipv4Addr],
    taken: &BTreeSet<Ipv4Addr>,
    claims: BTreeSet<Claim>,
) -> BTreeMap<Claim, Given> {
    let mut claims: Vec<Claim> = claims.into_iter().collect();
    claims.sort_by_key(|claim| (number(&claim.name), claim.name.clone(), claim.kind));
    let mut held: BTreeSet<Ipv4Addr> = BTreeSet::new();
    let mut given = BTreeMap::new();
    for claim in claims {
        let wanted = wanted(subnet, places, &claim);
        let mut path = wanted.into_iter().chain(probes(places, &claim));
        let mut sent_on = false;
        let place = path.find(|place| {
            sent_on |= held.contains(place);
            !held.contains(place) && !taken.contains(place)
        });
        if let Some(address) = place {
            held.insert(address);
            given.insert(claim, Given { address, sent_on });
        }
    }
    given
}

/// The numbered place that a name asks for, if it ends in a number and the place is one of the subnet's.
fn wanted(subnet: Subnet, places: &[Ipv4Addr], claim: &Claim) -> Option<Ipv4Addr> {
    let number = number(&claim.name)?;
    // In a subnet with room, places are round: .11 is node-1, .91 its BMC. In a small one they are close.
    let begin = match (claim.kind, places.len() >= 100) {
        (Kind::Host, _) => return None,
        (Kind::Node, true) => 10,
        (Kind::Bmc, true) => 90,
        (Kind::Node, false) => 3,
        (Kind::Bmc, false) => 3 + u32::try_from(places.len() / 2).ok()?,
    };
    let place = subnet
        .network()
        .to_bits()
        .checked_add(begin.checked_add(number)?)?;
    Some(Ipv4Addr::from_bits(place)).filter(|place| places.contains(place))
}

/// All places, in an order that the name decides.
fn probes<'a>(places: &'a [Ipv4Addr], claim: &Claim) -> impl Iterator<Item = Ipv4Addr> + 'a {
    let hash = hash(&format!("{:?}/{}", claim.kind, claim.name));
    let size = places.len().max(1) as u64;
    let (mut at, mut step) = (hash % size, (hash >> 32) % size);
    // A step that shares no factor with the size visits every place once.
    step = step.max(1);
    while gcd(step, size) != 1 {
        step += 1;
    }
    (0..places.len()).filter_map(move |_| {
        let address = usize::try_from(at).ok().and_then(|at| places.get(at)).copied();
        at = (at + step) % size;
        address
    })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The number at the end of a name, if it is at most 99.
fn number(name: &str) -> Option<u32> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    name[name.len() - digits..]
        .parse()
        .ok()
        .filter(|number| (1..=99).contains(number))
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
