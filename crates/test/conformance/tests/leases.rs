//! A storm of `perfdhcp`'s clients against a farosd that is killed in the middle of it, again and again.
//!
//! What counts is what the clients' side of the wire has seen: each acknowledgment there is a promise.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, Site};
use faros_model::{api::LeaseInfo, ids::MacAddr};

/// A LAN with room for all clients.
const SITE: &str = r#"apiVersion: faros.dev/v1alpha1
kind: Site
metadata: {name: harbour-8}
spec:
  domain: edge.example.com
  sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExample00 ops@example.com]
  uplink: {interface: uplink0}
  lan:
    interfaces: [lan0]
    subnet: 192.168.16.0/20
    dynamicRange: 192.168.18.0-192.168.31.250
  nodes:
    - name: node-1
      roles: [control-plane, worker]
      bootMac: "52:54:00:08:00:01"
      installDisk: /dev/disk/by-path/pci-0000:00:04.0
"#;

/// An acknowledgment on the wire.
struct Ack {
    at: Duration,
    mac: MacAddr,
    address: Ipv4Addr,
}

/// The acknowledgments of a capture, in its order: a file of `tcpdump -w` on a little-endian machine.
fn acknowledgments(capture: &Path) -> anyhow::Result<Vec<Ack>> {
    let bytes = fs::read(capture)?;
    let mut rest = bytes.get(24..).context("no capture")?;
    let mut acks = vec![];
    // The last record may be cut short.
    while let Some((record, after)) = rest.split_at_checked(16) {
        let field =
            |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        let Some((frame, after)) = after.split_at_checked(usize::try_from(field(8))?) else {
            break;
        };
        rest = after;
        let at = Duration::new(field(0).into(), field(4) * 1000);
        acks.extend(acknowledgment(frame).map(|(mac, address)| Ack { at, mac, address }));
    }
    Ok(acks)
}

/// The client and its address, if an Ethernet frame with a DHCP message acknowledges one.
fn acknowledgment(frame: &[u8]) -> Option<(MacAddr, Ipv4Addr)> {
    let header = usize::from(frame.get(14)? & 0x0f) * 4;
    let message = frame.get(14 + header + 8..)?;
    let mut options = message.get(240..)?;
    while let [code, length, rest @ ..] = options {
        let (value, after) = rest.split_at_checked(usize::from(*length))?;
        if (*code, value) == (53, &[5]) {
            let address: [u8; 4] = message[16..20].try_into().ok()?;
            return Some((MacAddr(message[28..34].try_into().ok()?), address.into()));
        }
        options = after;
    }
    None
}

#[test]
fn no_acknowledged_lease_is_lost_or_given_twice_when_farosd_is_killed_in_a_storm() -> anyhow::Result<()> {
    let path = std::env::temp_dir().join(format!("faros-leases-{}.yaml", std::process::id()));
    fs::write(&path, SITE)?;
    let site = Site::up_with("t-leases", &path);
    fs::remove_file(&path)?;
    let mut site = site?;
    let host = "client:load";
    site.run(
        host,
        &["ip", "address", "add", "192.168.17.250/20", "dev", "eth0"],
    )?;
    let capture = site.lab.folder().path().join("storm.pcap");
    let mut beside = |words: &[&str], out: Stdio| -> anyhow::Result<Running> {
        let mut command = site.lab.command(host, words)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Running(child))
    };
    // A client of the lab has its own folders, so the capture comes through the test.
    let dump = [
        "tcpdump",
        "-n",
        "-U",
        "-B",
        "16384",
        "-i",
        "eth0",
        "-w",
        "-",
        "udp src port 67",
    ];
    let _dump = beside(&dump, fs::File::create(&capture)?.into())?;
    for _ in 0..50 {
        if fs::metadata(&capture)?.len() >= 24 {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let storm = [
        "perfdhcp",
        "-4",
        "-l",
        "eth0",
        "-r",
        "300",
        "-R",
        "3000",
        "-p",
        "10",
        "192.168.16.1",
    ];
    let mut storm = beside(&storm, Stdio::null())?;

    let now = || SystemTime::now().duration_since(UNIX_EPOCH);
    let mut kills = vec![];
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(1300));
        kills.push(now()?);
        site.kill_and_start()?;
    }
    storm.0.wait()?;
    let ended = now()?;
    // What is told afterwards comes from the disk.
    site.kill_and_start()?;

    let acks = acknowledgments(&capture)?;
    for (from, to) in kills.iter().zip(kills.iter().skip(1).chain([&ended])) {
        let between = acks.iter().filter(|ack| (*from..*to).contains(&ack.at)).count();
        ensure!(
            between > 20,
            "only {between} acknowledgments between two kills: no storm"
        );
    }
    let mut held: BTreeMap<MacAddr, Ipv4Addr> = BTreeMap::new();
    let mut holders: BTreeMap<Ipv4Addr, BTreeSet<MacAddr>> = BTreeMap::new();
    for ack in &acks {
        held.insert(ack.mac, ack.address);
        holders.entry(ack.address).or_default().insert(ack.mac);
    }
    ensure!(held.len() > 500, "only {} clients: no storm", held.len());
    let twice: Vec<_> = holders.iter().filter(|(_, macs)| macs.len() > 1).collect();
    ensure!(twice.is_empty(), "given to more than one client: {twice:?}");

    let (said, code) = site.farosctl(&["leases", "--output", "json"])?;
    ensure!(code == 0, "{said}");
    let leases: Vec<LeaseInfo> = serde_json::from_str(&said)?;
    let active = leases.iter().filter(|lease| lease.state == "active");
    let on_disk: BTreeMap<Ipv4Addr, MacAddr> = active.map(|lease| (lease.address, lease.mac)).collect();
    let lost: Vec<_> = held
        .iter()
        .filter(|(mac, address)| on_disk.get(address) != Some(mac))
        .collect();
    ensure!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    Ok(())
}
