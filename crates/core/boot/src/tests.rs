//! The tracker against scripts of sightings.

mod identity;
mod pass;
mod world;

use expect_test::{Expect, expect};
use faros_model::{
    api::Transfer,
    event::{EventKind, Phase},
    ids::SessionId,
};

use self::world::{at, mac, run, sighting, site, tracker};
use crate::Tracker;

fn check(script: &str, expected: &Expect) {
    expected.assert_eq(&run(&mut tracker(), script));
}

#[test]
fn a_bios_node_installs_itself_in_one_session() {
    check(
        "0 one dhcp-discover vendorClass=PXEClient:Arch:00000 architecture=0
         1 one dhcp-offer address=192.168.8.11
         2 one dhcp-ack address=192.168.8.11
         3 192.168.8.11 loader-fetched name=undionly.kpxe
         5 one dhcp-discover vendorClass=PXEClient:Arch:00000 userClass=iPXE architecture=0
         6 one dhcp-ack address=192.168.8.11
         7 one boot-script-served action=install
         9 192.168.8.11 kernel-fetched name=vmlinuz
         12 192.168.8.11 initramfs-fetched name=initrd
         30 one dhcp-discover vendorClass=dracut
         31 one dhcp-ack address=192.168.8.11
         32 192.168.8.11 ignition-served
         33 192.168.8.11 node-report report=ignition-fetched
         90 192.168.8.11 node-report report=installed
         120 one dhcp-discover vendorClass=systemd",
        &expect![[r"
            0 one dhcp-discover vendorClass=PXEClient:Arch:00000 architecture=0
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient:Arch:00000)
            1 one dhcp-offer address=192.168.8.11
              -> node-1 boot-1 dhcp-offer
            2 one dhcp-ack address=192.168.8.11
              -> node-1 boot-1 dhcp-ack
            3 192.168.8.11 loader-fetched name=undionly.kpxe
              -> node-1 boot-1 loader-fetched
            5 one dhcp-discover vendorClass=PXEClient:Arch:00000 userClass=iPXE architecture=0
              -> node-1 boot-1 dhcp-discover
            6 one dhcp-ack address=192.168.8.11
              -> node-1 boot-1 dhcp-ack
            7 one boot-script-served action=install
              -> node-1 boot-1 boot-script-served
            9 192.168.8.11 kernel-fetched name=vmlinuz
              -> node-1 boot-1 kernel-fetched
            12 192.168.8.11 initramfs-fetched name=initrd
              -> node-1 boot-1 initramfs-fetched
            30 one dhcp-discover vendorClass=dracut
              -> node-1 boot-1 dhcp-discover
            31 one dhcp-ack address=192.168.8.11
              -> node-1 boot-1 dhcp-ack
            32 192.168.8.11 ignition-served
              -> node-1 boot-1 ignition-served
              -> node-1 boot-1 phase-changed: netbooting to provisioning, by ignition-served
            33 192.168.8.11 node-report report=ignition-fetched
              -> node-1 boot-1 node-report
            90 192.168.8.11 node-report report=installed
              -> node-1 boot-1 node-report
              -> node-1 boot-1 phase-changed: provisioning to installed, by node-report (installed)
            120 one dhcp-discover vendorClass=systemd
              -> node-1 boot-1 dhcp-discover
            node-1: installed since 90, boot-1, bios
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn a_node_that_is_not_armed_boots_its_own_disk_each_time_anew() {
    check(
        "0 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
         2 one boot-script-served action=local-disk
         3 one boot-script-served action=local-disk
         40 one dhcp-discover vendorClass=systemd
         2000 one dhcp-request state=renewing
         3000 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
         3002 one boot-script-served action=local-disk",
        &expect![[r"
            0 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient)
            2 one boot-script-served action=local-disk
              -> node-1 boot-1 boot-script-served
              -> node-1 boot-1 phase-changed: netbooting to local-boot, by boot-script-served (local-disk)
            3 one boot-script-served action=local-disk
              -> node-1 boot-1 boot-script-served
            40 one dhcp-discover vendorClass=systemd
              -> node-1 boot-1 dhcp-discover
            2000 one dhcp-request state=renewing
              -> node-1 boot-1 dhcp-request
            3000 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
              -> node-1 boot-2 dhcp-discover
              -> node-1 boot-2 phase-changed: local-boot to netbooting, by dhcp-discover (PXEClient)
            3002 one boot-script-served action=local-disk
              -> node-1 boot-2 boot-script-served
              -> node-1 boot-2 phase-changed: netbooting to local-boot, by boot-script-served (local-disk)
            node-1: local-boot since 3002, boot-2, uefi-x86_64
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn firmware_that_repeats_itself_is_one_boot_and_one_that_starts_over_is_two() {
    check(
        "0 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
         4 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
         20 one loader-fetched name=snponly.efi
         60 one dhcp-discover vendorClass=HTTPClient:Arch:00016 architecture=16
         70 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
         71 one boot-script-served action=install
         80 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
         600 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7",
        &expect![[r"
            0 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient:Arch:00007)
            4 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
              -> node-1 boot-1 dhcp-discover
            20 one loader-fetched name=snponly.efi
              -> node-1 boot-1 loader-fetched
            60 one dhcp-discover vendorClass=HTTPClient:Arch:00016 architecture=16
              -> node-1 boot-1 dhcp-discover
            70 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7
              -> node-1 boot-1 dhcp-discover
            71 one boot-script-served action=install
              -> node-1 boot-1 boot-script-served
            80 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
              -> node-1 boot-2 dhcp-discover
              -> node-1 boot-2 phase-changed: netbooting to netbooting, by dhcp-discover (PXEClient:Arch:00007)
            600 one dhcp-discover vendorClass=PXEClient:Arch:00007 architecture=7
              -> node-1 boot-3 dhcp-discover
              -> node-1 boot-3 phase-changed: netbooting to netbooting, by dhcp-discover (PXEClient:Arch:00007)
            node-1: netbooting since 600, boot-3, uefi-x86_64
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn power_cut_in_the_installer_opens_a_new_session() {
    check(
        "0 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0
         1 one boot-script-served action=install
         9 192.168.8.11 ignition-served
         12 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0
         13 one boot-script-served action=install",
        &expect![[r"
            0 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient)
            1 one boot-script-served action=install
              -> node-1 boot-1 boot-script-served
            9 192.168.8.11 ignition-served
              -> node-1 boot-1 ignition-served
              -> node-1 boot-1 phase-changed: netbooting to provisioning, by ignition-served
            12 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=0
              -> node-1 boot-2 dhcp-discover
              -> node-1 boot-2 phase-changed: provisioning to netbooting, by dhcp-discover (PXEClient)
            13 one boot-script-served action=install
              -> node-1 boot-2 boot-script-served
            node-1: netbooting since 12, boot-2, bios
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn a_failure_is_told_with_its_reason_and_a_later_success_ends_it() {
    check(
        "0 one boot-script-served action=install
         9 192.168.8.11 ignition-served
         10 192.168.8.11 node-report report=failed stage=disk message=no_disk_matches
         11 192.168.8.11 node-report report=failed stage=disk message=no_disk_matches
         50 192.168.8.11 node-report report=installed
         60 192.168.8.11 node-report report=failed",
        &expect![[r"
            0 one boot-script-served action=install
              -> node-1 boot-1 boot-script-served
              -> node-1 boot-1 phase-changed: expected to netbooting, by boot-script-served (install)
            9 192.168.8.11 ignition-served
              -> node-1 boot-1 ignition-served
              -> node-1 boot-1 phase-changed: netbooting to provisioning, by ignition-served
            10 192.168.8.11 node-report report=failed stage=disk message=no_disk_matches
              -> node-1 boot-1 node-report
              -> node-1 boot-1 phase-changed: provisioning to failed, by node-report (failed), because disk: no disk matches
            11 192.168.8.11 node-report report=failed stage=disk message=no_disk_matches
              -> node-1 boot-1 node-report
            50 192.168.8.11 node-report report=installed
              -> node-1 boot-1 node-report
              -> node-1 boot-1 phase-changed: failed to installed, by node-report (installed)
            60 192.168.8.11 node-report report=failed
              -> node-1 boot-1 node-report
              -> node-1 boot-1 phase-changed: installed to failed, by node-report (failed), because the node reported a failure
            node-1: failed since 60, boot-1, -
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn an_operating_system_that_asks_for_an_address_boots_from_its_disk() {
    check(
        "0 one dhcp-discover vendorClass=systemd hostname=node-1
         1 one dhcp-ack address=192.168.8.11
         2 one dhcp-release",
        &expect![[r"
            0 one dhcp-discover vendorClass=systemd hostname=node-1
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to local-boot, by dhcp-discover (systemd)
            1 one dhcp-ack address=192.168.8.11
              -> node-1 boot-1 dhcp-ack
            2 one dhcp-release
              -> node-1 boot-1 dhcp-release
            node-1: local-boot since 0, boot-1, -
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn a_system_on_a_slow_disk_is_still_the_one_that_was_unlocked() {
    check(
        "0 192.168.8.11 node-report report=booting
         9 192.168.8.11 unlock-recovered
         400 one dhcp-discover vendorClass=systemd
         420 192.168.8.11 node-report report=started
         700 one dhcp-discover vendorClass=systemd",
        &expect![[r"
            0 192.168.8.11 node-report report=booting
              -> node-1 boot-1 node-report
              -> node-1 boot-1 phase-changed: expected to local-boot, by node-report (booting)
            9 192.168.8.11 unlock-recovered
              -> node-1 boot-1 unlock-recovered
              -> node-1 boot-1 phase-changed: local-boot to unlocked, by unlock-recovered
            400 one dhcp-discover vendorClass=systemd
              -> node-1 boot-1 dhcp-discover
            420 192.168.8.11 node-report report=started
              -> node-1 boot-1 node-report
            700 one dhcp-discover vendorClass=systemd
              -> node-1 boot-2 dhcp-discover
              -> node-1 boot-2 phase-changed: unlocked to local-boot, by dhcp-discover (systemd)
            node-1: local-boot since 700, boot-2, -
            node-2: expected since -, -, -
        "]],
    );
}

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
         4 new machine-discovered hostname=box
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
        4 new machine-discovered hostname=box
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

#[test]
fn firmware_has_a_word_for_each_architecture() {
    let words = [0, 6, 7, 9, 10, 11, 15, 16, 18, 19, 40].map(crate::firmware_word);
    assert_eq!(
        words.join(" "),
        "bios uefi-ia32 uefi-x86_64 uefi-x86_64 uefi-arm uefi-aarch64 uefi-http-ia32 uefi-http-x86_64 \
         uefi-http-arm uefi-http-aarch64 architecture-40",
    );
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

#[test]
fn a_refusal_does_not_make_a_boot_live_that_is_not() {
    let mut tracker = tracker();
    run(&mut tracker, "0 one boot-script-served action=local-disk");
    let node = "node-1".parse().unwrap();
    let heard = |tracker: &Tracker| tracker.life(&node).unwrap().boot().unwrap().heard;
    for reason in ["not-booting", "wrong-mac", "identity-conflict", "unknown-machine"] {
        run(
            &mut tracker,
            &format!("90000 192.168.8.11 unlock-refused reason={reason}"),
        );
        assert_eq!(heard(&tracker), at(0), "{reason}");
    }
    run(
        &mut tracker,
        "90001 192.168.8.11 ignition-refused reason=wrong-mac",
    );
    assert_eq!(heard(&tracker), at(0));
    // A node that waits for the end of a lockdown waits as long as it takes.
    run(
        &mut tracker,
        "90002 192.168.8.11 unlock-refused reason=locked-down",
    );
    assert_eq!(heard(&tracker), at(90_002));
}
