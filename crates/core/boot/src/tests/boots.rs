//! A node's boots: which sightings open a session, and by which its phase changes.

use expect_test::expect;

use super::world::{at, check, run, tracker};
use crate::Tracker;

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
fn firmware_has_a_word_for_each_architecture() {
    let words = [0, 6, 7, 9, 10, 11, 15, 16, 18, 19, 40].map(crate::firmware_word);
    assert_eq!(
        words.join(" "),
        "bios uefi-ia32 uefi-x86_64 uefi-x86_64 uefi-arm uefi-aarch64 uefi-http-ia32 uefi-http-x86_64 \
         uefi-http-arm uefi-http-aarch64 architecture-40",
    );
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
