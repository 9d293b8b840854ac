//! The tracker's books: what outlives it, what follows the site, and that each change has its event.

use expect_test::expect;
use faros_model::{
    api::Transfer,
    event::{EventKind, Phase},
};

use super::world::{mac, run, sighting, site, tracker};
use crate::Tracker;

#[test]
fn a_tracker_goes_on_where_the_one_before_it_ended() {
    let mut before = tracker();
    run(
        &mut before,
        "0 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0
         1 one boot-script-served action=install
         2 new dhcp-ack address=192.168.8.200",
    );
    let event = before
        .observe(Some(&site()), sighting("3 192.168.8.11 ignition-served"))
        .remove(0)
        .numbered(7);
    before.recorded(&event);
    let kept = before.take_changes();
    let kept_as_json = serde_json::to_string(&kept.nodes).unwrap();
    let nodes = serde_json::from_str(&kept_as_json).unwrap();
    let mut after = Tracker::new(nodes, kept.discovered, before.next_session());
    expect![[r"
        9 192.168.8.200 boot-script-served action=nothing
          -> - - boot-script-served
        50 192.168.8.11 node-report report=installed
          -> node-1 boot-1 node-report
          -> node-1 boot-1 phase-changed: provisioning to installed, by node-report (installed)
        60 two dhcp-discover vendorClass=PXEClient architecture=0
          -> node-2 boot-2 dhcp-discover
          -> node-2 boot-2 phase-changed: expected to netbooting, by dhcp-discover (PXEClient)
        node-1: installed since 50, boot-1, bios
        node-2: netbooting since 60, boot-2, bios
    "]]
    .assert_eq(&run(
        &mut after,
        "9 192.168.8.200 boot-script-served action=nothing
         50 192.168.8.11 node-report report=installed
         60 two dhcp-discover vendorClass=PXEClient architecture=0",
    ));
    assert_eq!(after.nodes(&site(), |_| true)[0].last_event, Some(event));
}

#[test]
fn a_node_that_left_the_site_is_forgotten_and_an_adopted_machine_is_no_stranger() {
    let mut tracker = tracker();
    run(
        &mut tracker,
        "0 one boot-script-served action=install
         1 new dhcp-discover",
    );
    tracker.take_changes();
    let mut site = site();
    let mut node = site.nodes.pop_first().unwrap().1;
    node.name = "node-9".parse().unwrap();
    node.boot_mac = mac(9);
    site.nodes.insert(node.name.clone(), node);
    tracker.follow(&site);
    let changes = tracker.take_changes();
    assert_eq!(changes.gone, ["node-1".parse().unwrap()]);
    assert_eq!(changes.forgotten, [mac(9)]);
    let phases: Vec<Phase> = tracker
        .nodes(&site, |_| false)
        .iter()
        .map(|node| node.phase)
        .collect();
    assert_eq!(phases, [Phase::Expected, Phase::Expected]);
}

#[test]
fn a_transfer_shows_until_it_ends() {
    let (mut tracker, site) = (tracker(), site());
    let shown = |tracker: &Tracker| tracker.nodes(&site, |_| false)[0].transfer.clone();
    tracker.progress([192, 168, 8, 11].into(), "vmlinuz", 10, 100);
    let (bytes, of) = (10, 100);
    let name = "vmlinuz".to_owned();
    assert_eq!(shown(&tracker), Some(Transfer { name, bytes, of }));
    tracker.observe(
        Some(&site),
        sighting("9 192.168.8.11 kernel-fetched name=vmlinuz"),
    );
    assert_eq!(shown(&tracker), None);
}

/// Every order of sightings keeps the books straight: sessions are numbered without a gap, a phase changes only
/// together with an event that says so, and a session opens only with one.
#[test]
fn in_any_storm_each_change_has_its_event() {
    const LINES: [&str; 14] = [
        "one dhcp-discover vendorClass=PXEClient architecture=0",
        "one dhcp-discover vendorClass=HTTPClient architecture=16",
        "one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0",
        "one dhcp-discover vendorClass=systemd",
        "one dhcp-ack address=192.168.8.11",
        "192.168.8.11 loader-fetched",
        "192.168.8.11 kernel-fetched",
        "192.168.8.11 transfer-failed",
        "192.168.8.11 ignition-served",
        "one boot-script-served action=install",
        "one boot-script-served action=local-disk",
        "one boot-script-served action=nothing",
        "192.168.8.11 node-report report=installed",
        "192.168.8.11 node-report report=failed",
    ];
    let (mut tracker, site) = (tracker(), site());
    let stands = |tracker: &Tracker| {
        let node = &tracker.nodes(&site, |_| false)[0];
        (node.phase, node.session)
    };
    let (mut dice, mut second) = (12_345_u64, 0);
    let mut roll = move |sides: u64| {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    for _ in 0..20_000 {
        let before = stands(&tracker);
        let line = LINES[usize::try_from(roll(14)).unwrap()];
        second += [0, 1, 30, 200, 1000][usize::try_from(roll(5)).unwrap()];
        let drafts = tracker.observe(Some(&site), sighting(&format!("{second} {line}")));
        let after = stands(&tracker);
        let changed = drafts.iter().any(|draft| draft.kind == EventKind::PhaseChanged);
        assert_eq!(changed, before != after, "{line}: {before:?} to {after:?}");
        let opened = after.1.map_or(0, |id| id.0) - before.1.map_or(0, |id| id.0);
        assert!(opened <= 1, "{line}: {before:?} to {after:?}");
        assert_eq!(tracker.next_session().0, after.1.map_or(1, |id| id.0 + 1));
        for draft in drafts {
            assert!(
                draft.session.is_none() || draft.session == after.1,
                "{line}: {draft:?}"
            );
        }
    }
}
