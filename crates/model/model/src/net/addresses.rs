//! Sets of addresses, as packet filters have them.

use std::{fmt, net::Ipv4Addr};

use super::{Range, Subnet};

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

    /// Those that are not in `others`.
    #[must_use]
    pub fn minus(&self, others: &Self) -> Self {
        let mut rest = self.0.clone();
        for other in &others.0 {
            let cut = |block: Block| {
                let before = other.first.checked_sub(1).map(|last| Block {
                    last: block.last.min(last),
                    ..block
                });
                let after = other.last.checked_add(1).map(|first| Block {
                    first: block.first.max(first),
                    ..block
                });
                [before, after]
                    .into_iter()
                    .flatten()
                    .filter(|part| part.first <= part.last)
            };
            rest = rest.into_iter().flat_map(cut).collect();
        }
        Self(rest)
    }

    /// Whether all of `others` are in it.
    pub fn covers(&self, others: &Self) -> bool {
        others.minus(self).is_empty()
    }

    /// The same as networks, for whoever knows no ranges.
    pub fn subnets(&self) -> Vec<Subnet> {
        let mut subnets = Vec::new();
        for block in &self.0 {
            let mut first = u64::from(block.first);
            let end = u64::from(block.last) + 1;
            while first < end {
                // The largest network that starts here and does not go too far.
                let aligned = first.trailing_zeros().min(32);
                let bits = aligned.min((end - first).ilog2());
                #[expect(clippy::cast_possible_truncation, reason = "an address, and at most 32 bits")]
                subnets.push(Subnet::of(Ipv4Addr::from_bits(first as u32), (32 - bits) as u8));
                first += 1 << bits;
            }
        }
        subnets
    }

    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Range> for Addresses {
    fn from(range: Range) -> Self {
        Self(vec![Block {
            first: range.first().to_bits(),
            last: range.last().to_bits(),
        }])
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(networks: &[&str]) -> Addresses {
        Addresses::of(networks.iter().filter_map(|network| network.parse().ok()))
    }

    #[test]
    fn what_is_taken_away_leaves_the_rest() {
        let lan = of(&["192.168.8.0/24"]);
        let rest = lan.minus(&of(&[
            "192.168.8.0/32",
            "192.168.8.3/32",
            "192.168.8.255/32",
            "10.0.0.0/8",
        ]));
        assert_eq!(
            rest.to_string(),
            "192.168.8.1-192.168.8.2, 192.168.8.4-192.168.8.254"
        );
        assert!(lan.covers(&rest) && !rest.covers(&lan));
        assert!(lan.minus(&of(&["0.0.0.0/0"])).is_empty());
        assert_eq!(
            of(&["0.0.0.0/0"]).minus(&lan).minus(&of(&["0.0.0.0/0"])),
            Addresses::default()
        );
    }

    #[test]
    fn ranges_are_networks_for_those_who_know_no_ranges() {
        let texts = |set: Addresses| set.subnets().iter().map(ToString::to_string).collect::<Vec<_>>();
        let lan = of(&["192.168.8.0/29"]).minus(&of(&["192.168.8.0/32"]));
        assert_eq!(texts(lan), ["192.168.8.1/32", "192.168.8.2/31", "192.168.8.4/30"]);
        assert_eq!(texts(of(&["0.0.0.0/0"])), ["0.0.0.0/0"]);
        assert_eq!(texts(of(&["255.255.255.255/32"])), ["255.255.255.255/32"]);
    }
}
