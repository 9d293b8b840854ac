//! Two machines by one name.

use expect_test::expect;
use faros_model::event::Phase;

use super::world::{check, run, site, tracker};

#[test]
fn a_second_machine_by_a_node_s_name_closes_its_boot_until_the_first_one_boots() {
    check(
        "0 one dhcp-discover vendorClass=PXEClient architecture=7 uuid=11111111-2222-3333-4444-555555555555
         1 one boot-script-served action=local-disk
         60 192.168.8.11 unlock-recovered
         5000 one dhcp-discover vendorClass=PXEClient architecture=7 uuid=99999999-2222-3333-4444-555555555555
         5001 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7 uuid=99999999-2222-3333-4444-555555555555
         5002 one boot-script-served action=nothing
         5003 one boot-script-served action=nothing
         5004 192.168.8.11 unlock-refused reason=identity-conflict
         9000 one dhcp-discover vendorClass=systemd
         9001 192.168.8.11 node-report report=booting
         9100 192.168.8.11 node-report report=booting uuid=11111111-2222-3333-4444-555555555555
         9101 192.168.8.11 unlock-recovered",
        &expect![[r"
            0 one dhcp-discover vendorClass=PXEClient architecture=7 uuid=11111111-2222-3333-4444-555555555555
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 phase-changed: expected to netbooting, by dhcp-discover (PXEClient)
            1 one boot-script-served action=local-disk
              -> node-1 boot-1 boot-script-served
              -> node-1 boot-1 phase-changed: netbooting to local-boot, by boot-script-served (local-disk)
            60 192.168.8.11 unlock-recovered
              -> node-1 boot-1 unlock-recovered
              -> node-1 boot-1 phase-changed: local-boot to unlocked, by unlock-recovered
            5000 one dhcp-discover vendorClass=PXEClient architecture=7 uuid=99999999-2222-3333-4444-555555555555
              -> node-1 boot-1 dhcp-discover
              -> node-1 boot-1 identity-conflict
              -> node-1 boot-1 phase-changed: unlocked to failed, by dhcp-discover (PXEClient), because another machine than before: its SMBIOS UUID is 99999999222233334444555555555555 and was 11111111222233334444555555555555
            5001 one dhcp-discover vendorClass=PXEClient userClass=iPXE architecture=7 uuid=99999999-2222-3333-4444-555555555555
              -> node-1 boot-1 dhcp-discover
            5002 one boot-script-served action=nothing
              -> node-1 boot-1 boot-script-served
            5003 one boot-script-served action=nothing
              -> node-1 boot-1 boot-script-served
            5004 192.168.8.11 unlock-refused reason=identity-conflict
              -> node-1 boot-1 unlock-refused
            9000 one dhcp-discover vendorClass=systemd
              -> node-1 - dhcp-discover
            9001 192.168.8.11 node-report report=booting
              -> node-1 - node-report
            9100 192.168.8.11 node-report report=booting uuid=11111111-2222-3333-4444-555555555555
              -> node-1 boot-2 node-report
              -> node-1 boot-2 phase-changed: failed to local-boot, by node-report (booting)
            9101 192.168.8.11 unlock-recovered
              -> node-1 boot-2 unlock-recovered
              -> node-1 boot-2 phase-changed: local-boot to unlocked, by unlock-recovered
            node-1: unlocked since 9101, boot-2, uefi-x86_64
            node-2: expected since -, -, -
        "]],
    );
}

#[test]
fn the_operator_says_that_the_next_machine_is_the_node() {
    let mut tracker = tracker();
    let first = "0 one dhcp-discover vendorClass=PXEClient uuid=11111111-2222-3333-4444-555555555555";
    let second = "vendorClass=PXEClient uuid=99999999-2222-3333-4444-555555555555";
    run(&mut tracker, first);
    run(&mut tracker, &format!("9 one dhcp-discover {second}"));
    let node = "node-1".parse().unwrap();
    assert!(tracker.life(&node).unwrap().is_closed());
    assert!(tracker.expect_any_machine(&node));
    assert!(!tracker.expect_any_machine(&node));
    assert!(!tracker.life(&node).unwrap().is_closed());
    run(&mut tracker, &format!("300 one dhcp-discover {second}"));
    assert_eq!(tracker.nodes(&site(), |_| true)[0].phase, Phase::Netbooting);
    run(&mut tracker, &format!("400 {}", &first[2..]));
    assert!(
        tracker.life(&node).unwrap().is_closed(),
        "the first machine is the wrong one now"
    );
}
