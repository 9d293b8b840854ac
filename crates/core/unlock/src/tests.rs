//! The policy as a table, and the ledger as a story.

use faros_model::{
    ids::{HostName, MacAddr},
    site::{Node, Site, UnlockPolicy},
};
use jiff::{SignedDuration, Timestamp};

use super::*;

fn site() -> Site {
    faros_site::load(include_str!("../../../../examples/three-nodes.yaml"))
        .unwrap()
        .site
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_000_000 + seconds)
}

fn booting(node: &Node) -> Facts<'_> {
    Facts {
        now: at(0),
        policy: UnlockPolicy::BootSession,
        locked_down: false,
        node: Some(node),
        mac: Some(node.boot_mac),
        booting: Booting::Since(at(-30)),
        is_key: true,
        is_bound: true,
        recent: 0,
    }
}

#[test]
fn a_known_node_that_boots_is_helped_and_everybody_else_hears_why_not() {
    let site = site();
    let node = &site.nodes[&"node-1".parse::<HostName>().unwrap()];
    let good = booting(node);
    let other = Some(MacAddr([2, 0, 0, 0, 0, 9]));
    let table: &[(&str, Facts<'_>, Result<(), Refusal>)] = &[
        ("a boot", good, Ok(())),
        (
            "the kernel does not know the MAC",
            Facts { mac: None, ..good },
            Err(Refusal::WrongMac),
        ),
        (
            "lockdown",
            Facts {
                locked_down: true,
                ..good
            },
            Err(Refusal::LockedDown),
        ),
        (
            "lockdown stops even plain Tang",
            Facts {
                locked_down: true,
                policy: UnlockPolicy::Anyone,
                ..good
            },
            Err(Refusal::LockedDown),
        ),
        (
            "a stranger",
            Facts { node: None, ..good },
            Err(Refusal::UnknownMachine),
        ),
        (
            "a stranger, plain Tang",
            Facts {
                node: None,
                policy: UnlockPolicy::Anyone,
                ..good
            },
            Ok(()),
        ),
        (
            "a stranger with a node's address",
            Facts { mac: other, ..good },
            Err(Refusal::WrongMac),
        ),
        (
            "the same, known nodes",
            Facts {
                mac: other,
                policy: UnlockPolicy::KnownNodes,
                ..good
            },
            Err(Refusal::WrongMac),
        ),
        (
            "never seen to boot",
            Facts {
                booting: Booting::Never,
                ..good
            },
            Err(Refusal::NotBooting),
        ),
        (
            "never seen to boot, known nodes",
            Facts {
                booting: Booting::Never,
                policy: UnlockPolicy::KnownNodes,
                ..good
            },
            Ok(()),
        ),
        (
            "a second disk",
            Facts {
                booting: Booting::Unlocked(at(-60)),
                ..good
            },
            Ok(()),
        ),
        (
            "long after the boot",
            Facts {
                booting: Booting::Unlocked(at(-601)),
                ..good
            },
            Err(Refusal::NotBooting),
        ),
        (
            "long after the boot, and asked to bind its disks anew",
            Facts {
                booting: Booting::Rebinding,
                ..good
            },
            Ok(()),
        ),
        (
            "the bastion was away for hours",
            Facts {
                booting: Booting::Since(at(-6 * 3600)),
                ..good
            },
            Ok(()),
        ),
        (
            "unplugged yesterday",
            Facts {
                booting: Booting::Since(at(-25 * 3600)),
                ..good
            },
            Err(Refusal::NotBooting),
        ),
        (
            "another one's disk",
            Facts {
                is_bound: false,
                ..good
            },
            Err(Refusal::NotBound),
        ),
        (
            "another one's disk, known nodes",
            Facts {
                is_bound: false,
                policy: UnlockPolicy::KnownNodes,
                ..good
            },
            Ok(()),
        ),
        (
            "a key that was retired",
            Facts {
                is_key: false,
                is_bound: false,
                ..good
            },
            Err(Refusal::UnknownKey),
        ),
        (
            "a key that never was, known nodes",
            Facts {
                is_key: false,
                policy: UnlockPolicy::KnownNodes,
                ..good
            },
            Err(Refusal::UnknownKey),
        ),
        (
            "a stranger does not hear which keys there are",
            Facts {
                node: None,
                is_key: false,
                ..good
            },
            Err(Refusal::UnknownMachine),
        ),
        (
            "two machines, one name",
            Facts {
                booting: Booting::Closed,
                ..good
            },
            Err(Refusal::IdentityConflict),
        ),
        (
            "too often",
            Facts { recent: 40, ..good },
            Err(Refusal::RateLimited),
        ),
        ("not yet too often", Facts { recent: 39, ..good }, Ok(())),
    ];
    for (what, facts, expected) in table {
        assert_eq!(decide(facts), *expected, "{what}");
    }
}

#[test]
fn each_refusal_has_its_own_word_and_counter() {
    for (idx, one) in Refusal::ALL.iter().enumerate() {
        for other in &Refusal::ALL[idx + 1..] {
            assert_ne!(one.as_str(), other.as_str());
            assert_ne!(one.label(), other.label());
        }
        assert!(one.status() >= 400);
    }
}

#[test]
fn what_is_let_through_is_counted_for_ten_minutes() {
    let node: HostName = "node-1".parse().unwrap();
    let mut recent = Recent::default();
    for second in 0..50 {
        recent.admitted(&node, at(second));
    }
    assert_eq!(recent.count(&node, at(50)), 50);
    assert_eq!(recent.count(&node, at(620)), 29);
    assert_eq!(recent.count(&"node-2".parse().unwrap(), at(50)), 0);
}

#[test]
fn a_rotation_is_over_when_the_last_node_has_moved() {
    let (one, two): (HostName, HostName) = ("node-1".parse().unwrap(), "node-2".parse().unwrap());
    let mut ledger = Ledger::default();
    let learned = ledger.saw(&one, "old", Seen::Advertised, at(0));
    assert!(learned.is_new && learned.dropped.is_empty());
    assert!(!ledger.saw(&one, "old", Seen::Recovered, at(60)).is_new);
    ledger.saw(&two, "old", Seen::Advertised, at(1));
    assert_eq!(ledger.nodes_of("old").len(), 2);

    assert_eq!(ledger.saw(&one, "new", Seen::Rebound, at(100)).dropped, ["old"]);
    assert_eq!(ledger.nodes_of("old").len(), 1);
    assert!(ledger.is_bound(&one, "new") && !ledger.is_bound(&one, "old"));

    // A data disk that was missed keeps the node on both.
    let learned = ledger.saw(&one, "old", Seen::Recovered, at(200));
    assert!(learned.is_new && learned.dropped.is_empty());
    assert!(ledger.is_bound(&one, "new") && ledger.is_bound(&one, "old"));

    assert_eq!(ledger.forget(&two), ["old"]);
    assert!(!ledger.knows(&two) && ledger.knows(&one));
    let kept = Ledger::of(ledger.bindings().cloned().collect::<Vec<_>>());
    assert_eq!(kept.nodes_of("old")[0].since, at(200));
}

#[test]
fn an_install_is_bound_to_all_that_was_advertised_in_it_and_to_nothing_before() {
    let node: HostName = "node-1".parse().unwrap();
    let mut ledger = Ledger::default();
    ledger.saw(&node, "old", Seen::Recovered, at(0));
    // Armed, and not yet wiped: its disk still opens.
    assert!(
        ledger
            .saw(&node, "new", Seen::Advertised, at(100))
            .dropped
            .is_empty()
    );
    assert!(ledger.is_bound(&node, "old"));
    // Its second disk is bound after a rotation.
    ledger.saw(&node, "newer", Seen::Advertised, at(110));
    assert_eq!(ledger.wiped(&node, at(90)).dropped, ["old"]);
    assert!(ledger.is_bound(&node, "new") && ledger.is_bound(&node, "newer"));

    assert_eq!(ledger.destroyed("new"), std::slice::from_ref(&node));
    assert!(!ledger.is_bound(&node, "new") && ledger.is_bound(&node, "newer"));
}

#[test]
fn a_refusal_is_told_once_a_minute_with_how_often_it_was_repeated() {
    let from = [192, 168, 8, 11].into();
    let mut told = Told::default();
    let mut heard = Vec::new();
    for tick in 0..240 {
        if let Some(repeated) = told.refused(from, Refusal::LockedDown, at(tick / 2)) {
            heard.push((tick / 2, repeated));
        }
    }
    assert_eq!(heard, [(0, 0), (60, 119)]);
    assert_eq!(
        told.refused(from, Refusal::NotBound, at(121)),
        Some(0),
        "another reason"
    );
    assert_eq!(
        told.refused(from, Refusal::LockedDown, at(-900)),
        Some(119),
        "the clock was set back"
    );
}

#[test]
fn a_thousand_strangers_do_not_fill_the_memory() {
    let mut told = Told::default();
    let heard = |told: &mut Told, second: i64| {
        (0..20_000_u32)
            .filter(|host| {
                told.refused((0x0a00_0000 + host).into(), Refusal::UnknownMachine, at(second))
                    .is_some()
            })
            .count()
    };
    assert_eq!(heard(&mut told, 0), 4096);
    assert_eq!(heard(&mut told, 70), 4096);
}
