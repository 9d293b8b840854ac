//! How the slots are shared out, and how few change hands.

use std::{collections::BTreeMap, net::SocketAddrV4};

use proptest::prelude::*;

use super::world::at;
use crate::{Slots, slots};

fn shares(backends: &[u32]) -> BTreeMap<SocketAddrV4, u32> {
    let own = backends.iter().zip(1..);
    own.map(|(share, last)| (at(last, 6443), *share)).collect()
}

fn moved(before: &Slots, after: &Slots) -> usize {
    before
        .iter()
        .filter(|(slot, own)| after.get(slot) != Some(own))
        .count()
}

proptest! {
    #[test]
    fn every_slot_belongs_to_someone_by_share_to_within_one(own in prop::collection::vec(0..9_u32, 0..20)) {
        let shares = shares(&own);
        let whole: u32 = own.iter().sum();
        let slots = slots(&shares);
        prop_assert_eq!(slots.len(), if whole == 0 { 0 } else { 128 });
        let takers = own.iter().filter(|share| **share > 0).count();
        for (backend, share) in shares {
            let n = slots.values().filter(|own| **own == backend).count();
            prop_assert_eq!(n > 0, share > 0);
            if share > 0 {
                // One each, and of the rest a fair part: in parts of the whole, so that nothing is rounded.
                let (n, whole) = (i64::try_from(n).unwrap(), i64::from(whole));
                let rest = 128 - i64::try_from(takers).unwrap();
                let off = (n - 1) * whole - rest * i64::from(share);
                prop_assert!(off.abs() <= whole, "{} of {}", n, share);
            }
        }
    }

    #[test]
    fn few_slots_but_those_of_who_leaves_change_hands(n in 2..12_usize, leaves in 0..12_usize) {
        let mut own = vec![8; n];
        let before = slots(&shares(&own));
        own[leaves % n] = 0;
        let after = slots(&shares(&own));
        let least = before.values().filter(|own| **own == at(u8::try_from(leaves % n).unwrap() + 1, 6443)).count();
        let moved = moved(&before, &after);
        prop_assert!(moved >= least);
        prop_assert!(moved <= least * 2 + 4, "{moved} moved, {least} had to");
        // And who comes back has what it had.
        own[leaves % n] = 8;
        prop_assert_eq!(slots(&shares(&own)), before);
    }
}
