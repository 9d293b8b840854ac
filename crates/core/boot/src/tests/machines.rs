//! Whose sightings are whose, and the machines that are nobody's.

use expect_test::expect;
use faros_model::{event::EventKind, ids::SessionId};

use super::world::{at, check, run, sighting, site, tracker};
use crate::Tracker;

#[test]
fn a_bond_member_a_controller_and_a_neighbor_are_told_apart() {
    check(
        "0 bond dhcp-discover vendorClass=PXEClient architecture=7
         1 bond dhcp-ack address=192.168.8.201
         2 192.168.8.201 loader-fetched name=snponly.efi
         3 bmc dhcp-discover
         4 192.168.8.61 dhcp-inform
         5 nas dhcp-request
         6 192.168.8.70 transfer-failed name=x
         7 192.168.8.99 ignition-refused
         8 lan interface-lost",
        &expect![[r"
            0 bond dhcp-discover vendorClass=PXEClient architecture=7
              -> node-2 boot-1 dhcp-discover
              -> node-2 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient)
            1 bond dhcp-ack address=192.168.8.201
              -> node-2 boot-1 dhcp-ack
            2 192.168.8.201 loader-fetched name=snponly.efi
              -> node-2 boot-1 loader-fetched
            3 bmc dhcp-discover
              -> node-1-mgmt - dhcp-discover
            4 192.168.8.61 dhcp-inform
              -> node-1-mgmt - dhcp-inform
            5 nas dhcp-request
              -> nas - dhcp-request
            6 192.168.8.70 transfer-failed name=x
              -> nas - transfer-failed
            7 192.168.8.99 ignition-refused
              -> - - ignition-refused
            8 lan interface-lost
              -> - - interface-lost
            node-1: expected since -, -, -
            node-2: netbooting since 0, boot-1, uefi-x86_64
        "]],
    );
}

#[test]
fn an_unknown_machine_is_discovered_once_with_all_it_says() {
    let mut tracker = tracker();
    let told = run(
        &mut tracker,
        "0 new dhcp-discover vendorClass=PXEClient architecture=7 uuid=ab
         1 new dhcp-discover vendorClass=PXEClient userClass=iPXE
         2 new dhcp-ack address=192.168.8.200
         3 192.168.8.200 boot-script-served action=nothing
         4 new dhcp-inform hostname=box
         5 new rogue-dhcp-server server=192.168.8.200",
    );
    expect![[r"
        0 new dhcp-discover vendorClass=PXEClient architecture=7 uuid=ab
          -> - - dhcp-discover
          -> - - machine-discovered
        1 new dhcp-discover vendorClass=PXEClient userClass=iPXE
          -> - - dhcp-discover
        2 new dhcp-ack address=192.168.8.200
          -> - - dhcp-ack
        3 192.168.8.200 boot-script-served action=nothing
          -> - - boot-script-served
        4 new dhcp-inform hostname=box
          -> - - dhcp-inform
        5 new rogue-dhcp-server server=192.168.8.200
          -> - - rogue-dhcp-server
        node-1: expected since -, -, -
        node-2: expected since -, -, -
    "]]
    .assert_eq(&told);
    let discovered = tracker.discovered();
    expect![[r#"
        [
          {
            "mac": "52:54:00:08:00:09",
            "firstSeen": "1970-01-01T00:00:00Z",
            "lastSeen": "1970-01-01T00:00:04Z",
            "address": "192.168.8.200",
            "said": {
              "vendorClass": "PXEClient",
              "architecture": 7,
              "uuid": "ab",
              "userClass": "iPXE",
              "hostname": "box"
            }
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&discovered).unwrap());
    let changes = tracker.take_changes();
    assert_eq!(changes.discovered, discovered);
    assert!(tracker.take_changes().is_empty());
}

#[test]
fn a_machine_that_says_nothing_new_is_written_down_once_a_minute() {
    let mut tracker = tracker();
    let mut written = vec![];
    for second in (0..200).step_by(10) {
        run(&mut tracker, &format!("{second} new dhcp-discover hostname=box"));
        if !tracker.take_changes().discovered.is_empty() {
            written.push(second);
        }
    }
    assert_eq!(written, [0, 60, 120, 180]);
}

#[test]
fn a_flood_of_invented_machines_is_bounded_and_does_not_wash_the_history_away() {
    let (mut tracker, site) = (tracker(), site());
    let mut n_events = 0;
    for n in 0..5000_u16 {
        let [a, b] = n.to_be_bytes();
        let mut flood = sighting("10 new dhcp-discover");
        flood.mac = Some(faros_model::ids::MacAddr([2, 0, 0, 0, a, b]));
        n_events += tracker.observe(Some(&site), flood).len();
    }
    assert_eq!((n_events, tracker.discovered().len()), (600, 256));
    // Those for whom there was room are told twice of: what they said, and that they are there.
    assert_eq!(tracker.muted(), 5000 + 256 - 600);
    assert_eq!(tracker.take_changes().discovered.len(), 256);
    let first = faros_model::ids::MacAddr([2, 0, 0, 0, 0, 0]);
    assert!(
        tracker.discovered().iter().any(|machine| machine.mac == first),
        "whoever was there first is not forgotten for those who came later"
    );
    let node = tracker.observe(Some(&site), sighting("11 one boot-script-served action=install"));
    assert_eq!(node.len(), 2, "the nodes' events are still recorded");
    let told = |tracker: &mut Tracker, line| tracker.observe(Some(&site), sighting(line)).len();
    assert_eq!(told(&mut tracker, "12 192.168.8.99 ignition-refused"), 0);
    assert_eq!(
        told(&mut tracker, "12 new rogue-dhcp-server"),
        1,
        "an alarm is heard in a flood"
    );
    assert_eq!(told(&mut tracker, "12 lan interface-lost"), 1);
    assert_eq!(told(&mut tracker, "131 new dhcp-discover"), 2);
}

#[test]
fn who_speaks_often_outlives_a_flood_of_invented_machines() {
    let (mut tracker, site) = (tracker(), site());
    let mut told = 0..=u16::MAX;
    for second in 0..200 {
        if second % 10 == 0 {
            run(&mut tracker, &format!("{second} new dhcp-discover hostname=box"));
        }
        // What was invented first is silent by now, and makes room for what is invented now.
        for n in told.by_ref().take(20) {
            let [a, b] = n.to_be_bytes();
            let mut flood = sighting(&format!("{second} new dhcp-discover"));
            flood.mac = Some(faros_model::ids::MacAddr([2, 0, 0, 0, a, b]));
            tracker.observe(Some(&site), flood);
        }
        let machines = tracker.discovered();
        let is_box = |machine: &&faros_model::api::Discovered| machine.said.get("hostname").is_some();
        assert!(machines.iter().any(|machine| is_box(&machine)), "{second}");
    }
    let oldest = tracker.discovered().into_iter().map(|machine| machine.mac);
    assert!(
        oldest.filter(|mac| mac.0 == [2, 0, 0, 0, 0, 0]).count() == 0,
        "room was made"
    );
}

#[test]
fn without_a_site_everyone_is_a_stranger() {
    let mut tracker = tracker();
    let drafts = tracker.observe(None, sighting("0 one dhcp-discover vendorClass=PXEClient"));
    let kinds: Vec<EventKind> = drafts.iter().map(|draft| draft.kind).collect();
    assert_eq!(kinds, [EventKind::DhcpDiscover, EventKind::MachineDiscovered]);
    assert_eq!(
        (tracker.next_session(), tracker.discovered()[0].last_seen),
        (SessionId(1), at(0))
    );
}
