use proptest::prelude::*;

use super::*;

fn addresses(subnet: &str, names: &[String]) -> BTreeMap<String, Given> {
    let subnet: Subnet = subnet.parse().unwrap();
    let hosts = subnet.hosts().unwrap();
    let half = Ipv4Addr::from_bits(subnet.network().to_bits() + (1 << (31 - subnet.prefix())));
    let places = places(subnet, Range::new(half, hosts.last()).unwrap());
    let taken = hosts.iter().take(3).collect();
    let claims = names
        .iter()
        .map(|name| Claim {
            kind: Kind::Node,
            name: name.clone(),
        })
        .collect();
    give(subnet, &places, &taken, claims)
        .into_iter()
        .map(|(claim, given)| (claim.name, given))
        .collect()
}

#[test]
fn numbered_nodes_have_round_addresses() {
    let names: Vec<String> = (1..=4).map(|n| format!("node-{n}")).collect();
    let given: Vec<String> = addresses("192.168.8.0/24", &names)
        .values()
        .map(|g| g.address.to_string())
        .collect();
    assert_eq!(
        given,
        ["192.168.8.11", "192.168.8.12", "192.168.8.13", "192.168.8.14"]
    );
}

#[test]
fn a_small_subnet_is_used_to_its_last_address() {
    // A /27 has 15 static addresses, of which the site itself has 3.
    let names: Vec<String> = (1..=12).map(|n| format!("host{n}x")).collect();
    assert_eq!(addresses("192.168.8.0/27", &names).len(), 12);
    let names: Vec<String> = (1..=13).map(|n| format!("host{n}x")).collect();
    assert_eq!(addresses("192.168.8.0/27", &names).len(), 12);
}

proptest! {
    /// Whoever is not told to be sent on stays where it is, whoever else comes.
    #[test]
    fn a_new_host_moves_nobody_who_had_its_own_place(
        names in proptest::collection::btree_set("[a-z]{1,6}(-[0-9]{1,2})?", 1..30),
        new in "[a-z]{1,6}(-[0-9]{1,2})?",
    ) {
        let names: Vec<String> = names.into_iter().filter(|name| *name != new).collect();
        let before = addresses("10.0.0.0/24", &names);
        let all: Vec<String> = names.iter().cloned().chain([new]).collect();
        let after = addresses("10.0.0.0/24", &all);
        for (name, given) in &before {
            let now = &after[name];
            prop_assert!(now.address == given.address || given.sent_on || now.sent_on, "{name}: {given:?} -> {now:?}");
        }
    }

    /// A host with a higher number, or a later name, moves nobody at all who has the same kind of name.
    #[test]
    fn the_next_number_moves_nobody(count in 1_u32..40, prefix in "[a-z]{1,8}") {
        let names: Vec<String> = (1..=count).map(|n| format!("{prefix}-{n}")).collect();
        let before = addresses("10.0.0.0/24", &names);
        let all: Vec<String> = (1..=count + 1).map(|n| format!("{prefix}-{n}")).collect();
        let after = addresses("10.0.0.0/24", &all);
        for (name, given) in &before {
            prop_assert_eq!(after[name].address, given.address);
        }
    }
}
