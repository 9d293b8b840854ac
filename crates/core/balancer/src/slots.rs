//! From shares to slots.
//!
//! Each pair of a backend and a slot has a score that depends on nothing else. The highest scores choose first,
//! and each backend has as many slots as its share says, to within one. So who has equal shares has equal slots,
//! the same backends always have the same slots, whoever computes them, and when a backend leaves, few slots but
//! its own change hands.

use std::{collections::BTreeMap, net::SocketAddrV4};

/// How many slots a service has: enough to tell shares of a few dozen backends apart.
pub const SLOTS: u16 = 128;

/// Which backend each slot belongs to; none at all, if nobody is in.
pub type Slots = BTreeMap<u16, SocketAddrV4>;

/// The slots of backends with these shares. Who has no share has no slot; who has one, has a slot at least, as
/// long as there are slots.
pub fn slots(shares: &BTreeMap<SocketAddrV4, u32>) -> Slots {
    let mut room = room(shares);
    let mut pairs: Vec<(u64, SocketAddrV4, u16)> = room
        .keys()
        .flat_map(|own| (0..SLOTS).map(|slot| (score(*own, slot), *own, slot)))
        .collect();
    pairs.sort_unstable();
    let mut slots = Slots::new();
    for (_, own, slot) in pairs {
        let Some(left) = room.get_mut(&own).filter(|left| **left > 0) else {
            continue;
        };
        slots.entry(slot).or_insert_with(|| {
            *left -= 1;
            own
        });
    }
    slots
}

/// How many slots each backend gets: by the largest remainders, and one at least.
fn room(shares: &BTreeMap<SocketAddrV4, u32>) -> BTreeMap<SocketAddrV4, u16> {
    let shares: Vec<(SocketAddrV4, u64)> = shares
        .iter()
        .filter(|(_, share)| **share > 0)
        .take(usize::from(SLOTS))
        .map(|(own, share)| (*own, u64::from(*share)))
        .collect();
    let whole: u64 = shares.iter().map(|(_, share)| share).sum();
    let all = u64::from(SLOTS);
    // One for each first, and the rest by share.
    let rest = all - shares.len() as u64;
    let mut room: Vec<(SocketAddrV4, u64, u64)> = shares
        .iter()
        .map(|(own, share)| (*own, 1 + rest * share / whole, rest * share % whole))
        .collect();
    let given: u64 = room.iter().map(|(_, n, _)| n).sum();
    let mut by_remainder: Vec<usize> = (0..room.len()).collect();
    by_remainder.sort_by_key(|idx| (std::cmp::Reverse(room[*idx].2), room[*idx].0));
    let short = usize::try_from(all - given).unwrap_or_default();
    if !room.is_empty() {
        for idx in by_remainder.into_iter().take(short) {
            room[idx].1 += 1;
        }
    }
    room.into_iter()
        .map(|(own, n, _)| (own, u16::try_from(n).unwrap_or(SLOTS)))
        .collect()
}

/// `SplitMix64`'s finalizer over backend and slot: nothing trusts it, it only has to mix.
fn score(own: SocketAddrV4, slot: u16) -> u64 {
    let key = u64::from(own.ip().to_bits()) << 32 | u64::from(own.port()) << 16 | u64::from(slot);
    let mut hash = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
