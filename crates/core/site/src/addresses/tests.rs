use proptest::prelude::*;

use super::*;

fn claims(names: impl IntoIterator<Item = impl Into<String>>) -> BTreeSet<Claim> {
    let node = |name: String| Claim {
        kind: Kind::Node,
        name,
    };
    names.into_iter().map(|name| node(name.into())).collect()
}

/// The LAN with its usual dynamic range, of which the site itself has the first three addresses.
fn lan(subnet: &str) -> (Places, BTreeSet<Ipv4Addr>) {
    let subnet: Subnet = subnet.parse().unwrap();
    let hosts = subnet.hosts().unwrap();
    let half = Ipv4Addr::from_bits(subnet.network().to_bits() + (1 << (31 - subnet.prefix())));
    let places = Places::new(subnet, Range::new(half, hosts.last()).unwrap());
    (places, hosts.iter().take(3).collect())
}

fn addresses(subnet: &str, claims: BTreeSet<Claim>) -> BTreeMap<Claim, Given> {
    let (places, taken) = lan(subnet);
    give(&places, &taken, claims)
}

fn last_octets(given: &BTreeMap<Claim, Given>) -> Vec<u8> {
    given.values().map(|given| given.address.octets()[3]).collect()
}

#[test]
fn numbered_nodes_have_round_addresses() {
    let names = (1..=4).map(|n| format!("node-{n}"));
    let mut all = claims(names.clone());
    all.extend(names.map(|name| Claim {
        kind: Kind::Bmc,
        name,
    }));
    let given = addresses("192.168.8.0/24", all);
    assert_eq!(last_octets(&given), [11, 12, 13, 14, 91, 92, 93, 94]);
    assert!(given.values().all(|given| !given.sent_on));
}

#[test]
fn nodes_fill_a_small_subnet_from_below_and_controllers_from_above() {
    let names = (1..=6).map(|n| format!("node-{n}"));
    let mut all = claims(names.clone());
    all.extend(names.map(|name| Claim {
        kind: Kind::Bmc,
        name,
    }));
    let given = addresses("192.168.8.0/27", all);
    assert_eq!(last_octets(&given), [4, 5, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]);
    assert!(given.values().all(|given| !given.sent_on));
}

#[test]
fn a_small_subnet_is_used_to_its_last_address() {
    // A /27 has 15 static addresses, of which the site itself has 3.
    for n in 1..=14 {
        let names = (1..=n).map(|n| format!("host{n}x"));
        assert_eq!(addresses("192.168.8.0/27", claims(names)).len(), n.min(12));
    }
}

#[test]
fn the_places_of_a_large_network_are_not_listed_one_by_one() {
    let given = addresses("10.0.0.0/8", claims(["node-1", "gateway"]));
    assert_eq!(given.len(), 2);
    assert_eq!(
        given[&claims(["node-1"]).pop_first().unwrap()].address,
        Ipv4Addr::new(10, 0, 0, 11)
    );
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let kind = prop_oneof![Just(Kind::Node), Just(Kind::Bmc), Just(Kind::Host)];
    let name = prop_oneof!["(node|cp|worker)-[0-9]{1,2}", "[a-z]{1,6}(-?[0-9]{1,2})?"];
    (kind, name).prop_map(|(kind, name)| Claim { kind, name })
}

fn any_subnet() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("10.0.0.0/24"),
        Just("10.0.0.0/27"),
        Just("10.0.0.0/22"),
        Just("10.0.0.0/28")
    ]
}

proptest! {
    /// Everyone has an address of its own, outside of what is taken, as long as there are any.
    #[test]
    fn no_address_is_given_twice(
        subnet in any_subnet(),
        claims in proptest::collection::btree_set(any_claim(), 0..40),
    ) {
        let (places, taken) = lan(subnet);
        let given = give(&places, &taken, claims.clone());
        let free = usize::try_from(places.len()).unwrap() - taken.len();
        prop_assert_eq!(given.len(), claims.len().min(free));
        let distinct: BTreeSet<Ipv4Addr> = given.values().map(|given| given.address).collect();
        prop_assert_eq!(distinct.len(), given.len());
        prop_assert!(distinct.iter().all(|address| places.contains(*address) && !taken.contains(address)));
    }

    /// Whoever was not warned stays where it is when one more host comes, except that the new one may have
    /// the same home as one other, which is then sent on and told so.
    #[test]
    fn a_new_host_moves_at_most_one_that_had_no_warning(
        subnet in any_subnet(),
        claims in proptest::collection::btree_set(any_claim(), 1..40),
        new in any_claim(),
    ) {
        prop_assume!(!claims.contains(&new));
        let before = addresses(subnet, claims.clone());
        let mut all = claims;
        all.insert(new);
        let after = addresses(subnet, all);
        let settled = before.iter().filter(|(_, given)| !given.sent_on);
        let moved: Vec<_> = settled.filter(|(claim, given)| after.get(*claim) != Some(*given)).collect();
        prop_assert!(moved.len() <= 1, "{moved:?}");
        for (claim, _) in moved {
            prop_assert!(after.get(claim).is_none_or(|given| given.sent_on));
        }
    }

    /// Machines of one kind, numbered: none is ever sent on, and whoever comes or goes, in whatever order, nobody
    /// moves.
    #[test]
    fn numbered_machines_never_move(
        family in "[a-z]{1,8}-?",
        numbers in proptest::collection::btree_set(1_u32..=37, 1..37),
        more in proptest::collection::btree_set(1_u32..=37, 1..37),
    ) {
        let some = addresses("10.0.0.0/24", claims(numbers.iter().map(|n| format!("{family}{n}"))));
        prop_assert!(some.values().all(|given| !given.sent_on));
        let all = addresses("10.0.0.0/24", claims(numbers.union(&more).map(|n| format!("{family}{n}"))));
        for (claim, given) in &some {
            prop_assert_eq!(&all[claim], given);
        }
    }

    /// Writing an address into the file that a host has anyway changes nothing for the others.
    #[test]
    fn setting_an_address_moves_nobody(
        subnet in any_subnet(),
        claims in proptest::collection::btree_set(any_claim(), 1..40),
        which in any::<prop::sample::Index>(),
    ) {
        let (places, mut taken) = lan(subnet);
        let before = give(&places, &taken, claims.clone());
        prop_assume!(!before.is_empty());
        let (claim, given) = before.iter().nth(which.index(before.len())).unwrap();
        taken.insert(given.address);
        let mut rest = claims;
        rest.remove(claim);
        let after = give(&places, &taken, rest);
        for (other, given) in before.iter().filter(|(other, _)| *other != claim) {
            prop_assert_eq!(after[other].address, given.address);
        }
    }
}
