//! Who is helped, and who is not whatever he has.

use std::{thread::sleep, time::Duration};

use faros_conformance::Site;

use crate::world::{
    NODE, OTHER, REPORT, STRANGER, address, bind, boot, carry, last_refusal, ledger, opens, own_address,
    phase, refusals, say, sh, site, take,
};

#[test]
fn a_node_that_boots_is_helped_and_the_ledger_has_it() -> anyhow::Result<()> {
    let mut site = Site::up("t-unlock")?;
    address(&mut site, NODE)?;
    assert_eq!(ledger(&site)?[0].3, "");
    bind(&mut site, NODE, "disk")?;
    assert_eq!(ledger(&site)?[0].3, "node-1 advertised");
    say(&mut site, NODE, "node-1", r#"{"report":"installed"}"#)?;
    boot(&mut site)?;
    assert!(opens(&mut site, NODE, "disk")?);
    assert_eq!(ledger(&site)?[0].3, "node-1 recovered");
    assert_eq!(phase(&site, "node-1")?, "unlocked");
    site.kill_and_start()?;
    assert_eq!(ledger(&site)?[0].3, "node-1 recovered");
    assert!(opens(&mut site, NODE, "disk")?, "its other disk");
    assert!(refusals(&site)?.is_empty());

    // A stranger has all it may have: the advertisement.
    address(&mut site, STRANGER)?;
    bind(&mut site, STRANGER, "own")?;
    assert!(!opens(&mut site, STRANGER, "own")?);
    assert_eq!(last_refusal(&site)?, "unknown-machine");
    carry(&mut site, NODE, STRANGER, "disk")?;
    assert!(!opens(&mut site, STRANGER, "disk")?);

    // Another node, with the disk of this one, and with one of its own that nobody saw it bind.
    address(&mut site, OTHER)?;
    carry(&mut site, NODE, OTHER, "disk")?;
    assert!(!opens(&mut site, OTHER, "disk")?);
    assert_eq!(last_refusal(&site)?, "not-bound");
    site.expect_why("node-2", "unlock-not-bound")?;

    // The node's address, taken by someone else.
    let own = own_address(&site)?;
    take(&mut site, NODE, STRANGER, &own)?;
    assert!(!opens(&mut site, STRANGER, "disk")?);
    assert_eq!(last_refusal(&site)?, "wrong-mac");
    let words = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-d",
        r#"{"report":"rebound"}"#,
        &format!("{REPORT}node-1"),
    ];
    let report = site.said(STRANGER, &words)?;
    assert_eq!(report, "403", "it may not speak for the node either");
    Ok(())
}

#[test]
fn a_node_that_was_never_seen_to_boot_is_refused_until_it_is() -> anyhow::Result<()> {
    let mut site = Site::up("t-unlock-boot")?;
    let own = own_address(&site)?;
    // A static address: no DHCP is seen of it.
    sh(&mut site, NODE, &format!("ip address add {own}/24 dev eth0"))?;
    bind(&mut site, NODE, "disk")?;
    assert_eq!(ledger(&site)?[0].3, "node-1 advertised");
    for _ in 0..2 {
        assert!(!opens(&mut site, NODE, "disk")?);
    }
    assert_eq!(last_refusal(&site)?, "not-booting");
    site.expect_why("node-1", "unlock-not-booting")?;
    boot(&mut site)?;

    // Meanwhile somebody else takes its address.
    carry(&mut site, NODE, STRANGER, "disk")?;
    take(&mut site, NODE, STRANGER, &own)?;
    assert!(!opens(&mut site, STRANGER, "disk")?);
    assert_eq!(last_refusal(&site)?, "wrong-mac");
    site.expect_why("node-1", "unlock-wrong-mac")?;
    take(&mut site, STRANGER, NODE, &own)?;
    assert!(opens(&mut site, NODE, "disk")?);
    Ok(())
}

/// Asks for an address as the firmware of a machine with this UUID does.
fn firmware(site: &mut Site, host: &str, uuid: &str) -> anyhow::Result<()> {
    let own = format!("0x61:00{uuid}");
    site.firmware(host, "0007", 3, &["-x", &own])?;
    sleep(Duration::from_millis(100));
    Ok(())
}

#[test]
fn two_machines_by_one_mac_get_nothing_until_it_is_clear_which_one_is_the_node() -> anyhow::Result<()> {
    let first = "11111111222233334444555555555555";
    let second = "99999999222233334444555555555555";
    let mut site = site("t-unlock-twins")?;
    site.add_dummy_image()?;
    firmware(&mut site, NODE, first)?;
    assert!(opens(&mut site, NODE, "disk")?);
    site.farosctl(&["install", "node-1", "--yes"])?;
    firmware(&mut site, NODE, first)?;
    let path = site.ignition_path(NODE, "52-54-00-08-00-01")?;

    // The same MAC, and another board.
    firmware(&mut site, NODE, second)?;
    assert!(site.saw("identity-conflict")?);
    assert_eq!(phase(&site, "node-1")?, "failed");
    for _ in 0..2 {
        let script = site.run(
            NODE,
            &[
                "curl",
                "-sf",
                "http://192.168.8.1:8080/boot/52-54-00-08-00-01.ipxe",
            ],
        )?;
        assert!(!script.contains("ignition.config.url"), "{script}");
    }
    assert!(
        sh(
            &mut site,
            NODE,
            &format!("curl -sf http://192.168.8.1:8080{path}")
        )
        .is_err()
    );
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "identity-conflict");
    site.expect_why("node-1", "identity-conflict")?;
    // Nor after a crash, nor by asking as a system that shows no UUID.
    site.kill_and_start()?;
    address(&mut site, NODE)?;
    boot(&mut site)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    let (said, _) = site.farosctl(&["why", "node-1"])?;
    assert!(said.contains("UUID"), "{said}");

    // The machine that is known boots.
    firmware(&mut site, NODE, first)?;
    assert!(opens(&mut site, NODE, "disk")?);

    // Or the operator says that the other one is the node from now on.
    firmware(&mut site, NODE, second)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    let (said, code) = site.farosctl(&["install", "node-1", "--yes"])?;
    assert_eq!(code, 0, "{said}");
    firmware(&mut site, NODE, second)?;
    site.ignition_path(NODE, "52-54-00-08-00-01")?;
    Ok(())
}
