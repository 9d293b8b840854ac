//! `farosctl why` and `farosctl timeline` against a real farosd, with faults made for real: packets dropped,
//! transfers broken off, a second DHCP server, a port taken, an interface gone.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use anyhow::ensure;
use faros_conformance::Site;

const NODE: &str = "client:node=52:54:00:08:00:01";
const BASE: &str = "http://192.168.8.1:8080";

fn report(site: &mut Site, facts: &str) -> anyhow::Result<()> {
    let url = format!("{BASE}/report/node-1");
    site.run(NODE, &["curl", "-sf", "-d", facts, &url]).map(drop)
}

/// The node's own address on its interface, as after a boot.
fn address(site: &mut Site) -> anyhow::Result<()> {
    site.run(NODE, &["dhclient", "-4", "-1", "eth0"]).map(drop)
}

/// Keeps the kernel from taking a whole transfer off farosd's hands before the client has read it.
fn small_buffers(site: &mut Site) -> anyhow::Result<()> {
    let set = |which: &str| format!("echo '4096 16384 65536' > /proc/sys/net/ipv4/{which}");
    site.run("bastion", &["sh", "-ec", &set("tcp_wmem")])?;
    site.run(NODE, &["sh", "-ec", &set("tcp_rmem")])?;
    Ok(())
}

#[test]
fn a_node_that_is_not_heard_or_does_not_hear_is_told_apart() -> anyhow::Result<()> {
    let mut site = Site::up("t-why-dhcp")?;
    small_buffers(&mut site)?;
    site.expect_why("node-1", "never-seen")?;

    // A machine boots whose MAC nobody wrote down.
    site.firmware("client:other=52:54:00:ff:00:01", "0007", 2, &[])?;
    site.expect_why("node-1", "wrong-mac")?;

    // A 32-bit firmware, for which there is no loader.
    site.firmware("client:odd=52:54:00:08:00:03", "0006", 2, &[])?;
    site.expect_why("node-3", "no-loader-for-firmware")?;

    // The bastion's answers are lost on their way.
    let lose = "nft add table netdev lose
        nft add chain netdev lose out '{ type filter hook egress device lan0 priority 0; }'
        nft add rule netdev lose out udp dport 68 drop";
    site.run("bastion", &["sh", "-ec", lose])?;
    site.firmware(NODE, "0007", 4, &[])?;
    site.expect_why("node-1", "offer-not-heard")?;
    site.run("bastion", &["nft", "delete", "table", "netdev", "lose"])?;

    // It has its address and does not come for its loader.
    for _ in 0..3 {
        site.firmware(NODE, "0007", 3, &[])?;
    }
    site.expect_why("node-1", "loader-not-fetched")?;

    // It comes for it, and gives up in the middle.
    let (nodes, _) = site.farosctl(&["nodes", "--output", "json"])?;
    let nodes: serde_json::Value = serde_json::from_str(&nodes)?;
    let own = nodes[0]["address"].as_str().unwrap_or_default().to_owned();
    site.run(
        NODE,
        &["ip", "address", "replace", &format!("{own}/24"), "dev", "eth0"],
    )?;
    site.said(
        NODE,
        &[
            "curl",
            "-s",
            "--interface",
            &own,
            "-m",
            "1",
            "--limit-rate",
            "2k",
            "-o",
            "/dev/null",
            &format!("{BASE}/loader/ipxe.efi"),
        ],
    )?;
    site.expect_why("node-1", "loader-transfer-fails")?;

    // The bastion's own cable.
    site.run(
        "bastion",
        &["sh", "-ec", "ip link set lan0 down; ip link set lan0 name gone0"],
    )?;
    site.expect_why("node-1", "lan-lost")?;
    site.run("bastion", &["sh", "-ec", "ip link set gone0 name lan0"])?;
    site.lab.wait_until_ready()?;
    Ok(())
}

#[test]
fn a_second_dhcp_server_is_named() -> anyhow::Result<()> {
    let mut site = Site::up("t-why-rogue")?;
    site.second_dhcp_server("client:rogue")?;
    site.expect_why("node-1", "second-dhcp-server")?;
    let (said, _) = site.farosctl(&["why", "node-1"])?;
    ensure!(said.contains("192.168.8.250"), "{said}");
    ensure!(said.lines().all(|line| line.chars().count() <= 80), "{said}");
    Ok(())
}

#[test]
fn what_stops_an_install_is_named_and_its_story_can_be_had() -> anyhow::Result<()> {
    let mut site = Site::up("t-why-boot")?;
    small_buffers(&mut site)?;
    address(&mut site)?;
    let script = format!("{BASE}/boot/52-54-00-08-00-01.ipxe");
    let fetch = |site: &mut Site, words: &str| site.said(NODE, &["sh", "-c", words]);

    // Somebody follows it from before its first packet.
    let mut follow = site.lab.farosctl_command()?;
    follow.args(["timeline", "node-1", "--follow", "--output", "json"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn()?;
    let told = follow.stdout.take().map(BufReader::new);

    fetch(&mut site, &format!("curl -sf {script}"))?;
    site.expect_why("node-1", "image-missing")?;
    let first = told.and_then(|told| told.lines().next()).transpose();
    follow.kill()?;
    follow.wait()?;
    let first: serde_json::Value = serde_json::from_str(&first?.unwrap_or_default())?;
    ensure!(first["node"] == "node-1" && first["open"] == true, "{first}");

    // An image, of which the initramfs breaks off.
    let folder = site.lab.folder().path().join("image");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("vmlinuz"), vec![1; 1 << 20])?;
    fs::write(folder.join("initramfs.img"), vec![2; 8 << 20])?;
    let digest = |name: &str| -> anyhow::Result<String> {
        let path = folder.join(name).display().to_string();
        let said = std::process::Command::new("sha256sum").arg(path).output()?;
        Ok(String::from_utf8_lossy(&said.stdout).chars().take(64).collect())
    };
    let (kernel, initramfs) = (digest("vmlinuz")?, digest("initramfs.img")?);
    let manifest = serde_json::json!({
        "name": "debian-13-cloud", "architecture": "x86_64",
        "kernel": { "file": "vmlinuz", "digest": kernel, "size": 1 << 20 },
        "initramfs": { "file": "initramfs.img", "digest": initramfs, "size": 8 << 20 },
        "root": { "file": "vmlinuz", "digest": kernel, "size": 1 << 20 },
    });
    fs::write(folder.join("image.json"), manifest.to_string())?;
    let (said, code) = site.farosctl(&["content", "add", &folder.display().to_string()])?;
    ensure!(code == 0, "{said}");
    let content = |digest: &str, name: &str| format!("{BASE}/content/sha256/{digest}/{name}");
    let config = format!("{BASE}{}", site.ignition_path(NODE, "52-54-00-08-00-01")?);
    fetch(
        &mut site,
        &format!("curl -sf -o /dev/null {}", content(&kernel, "vmlinuz")),
    )?;
    let slow = format!(
        "curl -s -m 2 --limit-rate 200k -o /dev/null {}",
        content(&initramfs, "initramfs.img")
    );
    fetch(&mut site, &slow)?;
    site.expect_why("node-1", "transfer-fails")?;

    fetch(
        &mut site,
        &format!("curl -sf -o /dev/null {}", content(&initramfs, "initramfs.img")),
    )?;
    site.expect_why("node-1", "on-its-way")?;
    // Another machine asks for its config.
    let other = "client:other=52:54:00:08:00:02";
    site.run(other, &["dhclient", "-4", "-1", "eth0"])?;
    site.said(other, &["curl", "-s", &config])?;
    site.expect_why("node-1", "ignition-wrong-address")?;

    fetch(&mut site, &format!("curl -sf -o /dev/null {config}"))?;
    report(
        &mut site,
        r#"{"report":"ignition-fetched","clock":"2016-01-01T00:00:00Z"}"#,
    )?;
    site.expect_why("node-1", "clock-off")?;
    site.kill_and_start()?;
    report(
        &mut site,
        r#"{"report":"failed","stage":"disk","code":"disk-missing","message":"no /dev/vda"}"#,
    )?;
    site.expect_why("node-1", "disk-missing")?;

    let (told, code) = site.farosctl(&["timeline", "node-1"])?;
    ensure!(code == 0 && told.contains("FAILED: disk-missing"), "{told}");
    ensure!(told.contains("not recorded"), "{told}");
    ensure!(told.lines().all(|line| line.chars().count() <= 80), "{told}");
    let (told, _) = site.farosctl(&["timeline", "node-1", "--output", "json"])?;
    let told: serde_json::Value = serde_json::from_str(&told)?;
    ensure!(told["reached"] == "failed" && told["open"] == false, "{told}");
    let session = told["session"].as_str().unwrap_or_default();
    let (list, _) = site.farosctl(&["timeline", "node-1", "--sessions"])?;
    ensure!(list.contains(session) && list.contains("failed"), "{list}");
    let (again, code) = site.farosctl(&["timeline", "node-1", "--session", session])?;
    ensure!(code == 0 && again.contains(session), "{again}");

    let picture = site.lab.folder().path().join("boots.svg");
    let (said, code) =
        site.farosctl(&["timeline", "--last", "9", "--svg", &picture.display().to_string()])?;
    ensure!(code == 0, "{said}");
    let drawn = fs::read_to_string(&picture)?;
    ensure!(drawn.starts_with("<svg") && drawn.contains("node-1"), "{drawn}");
    let (table, code) = site.farosctl(&["timeline"])?;
    ensure!(
        code == 0 && table.contains("node-1") && table.contains("in all"),
        "{table}"
    );
    Ok(())
}

#[test]
fn a_name_that_is_no_node_s_is_an_error_with_a_hint() -> anyhow::Result<()> {
    let site = Site::up("t-why-name")?;
    for words in [["why", "node-l"], ["timeline", "node-l"]] {
        let (said, code) = site.farosctl(&words)?;
        ensure!(
            code == 1 && said.contains("did you mean `node-1`?"),
            "{code}: {said}"
        );
    }
    assert_eq!(site.farosctl(&["why"])?.1, 2);
    assert_eq!(site.farosctl(&["timeline", "--session", "boot-1"])?.1, 2);
    let (said, code) = site.farosctl(&["timeline", "node-1", "--session", "boot-99"])?;
    ensure!(code == 1 && said.contains("--sessions"), "{said}");
    let (said, code) = site.farosctl(&["timeline"])?;
    ensure!(code == 0 && said.contains("No node has booted yet"), "{said}");
    faros_lab::daemon::stop(site.lab.folder(), false)?;
    assert_eq!(site.farosctl(&["why", "node-1"])?.1, 5, "no daemon");
    Ok(())
}
