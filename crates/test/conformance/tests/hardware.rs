//! Emulated machines with more than one disk, more than one network interface and a TPM: they install themselves
//! as the site file says, and are looked at from inside, over SSH.

use std::{fs, path::Path, thread, time::Duration};

use anyhow::{Context as _, ensure};
use faros_conformance::{
    Site, root,
    story::{of, reports},
};
use faros_lab::machine::{Boot, Firmware, Hardware};
use faros_model::{event::EventKind, ids::MacAddr};
use tempfile::TempDir;

/// Where the operator sits.
const OPS: &str = "client:ops";

/// Two machines: one with a static bond, disks by their serial numbers and a TPM that has to help; one with a bond
/// that asks for its address, and a data disk with a path of its own.
const NODES: &str = r#"
    - name: node-1
      roles: [control-plane, worker]
      bootMac: "52:54:00:08:00:01"
      network: {bond: {mode: active-backup, macs: ["52:54:00:08:00:01", "52:54:00:08:01:01"]}, addressing: static}
      installDisk: {hints: {serialNumber: SYSTEM1, minSize: 4Gi}}
      dataDisks:
        - {disk: {hints: {serialNumber: KUBE1}}, use: kubelet}
        - {disk: {hints: {serialNumber: MEDIA1}}, use: {mount: /var/lib/media}}
      encryption: {unlock: tang+tpm2}
    - name: node-2
      roles: [worker]
      bootMac: "52:54:00:08:00:02"
      network: {bond: {mode: active-backup, macs: ["52:54:00:08:00:02", "52:54:00:08:01:02"]}}
      dataDisks:
        - {disk: {hints: {serialNumber: MEDIA2}}, use: {mount: /var/lib/media}}
"#;

/// The site, and the folder with the operator's key.
fn site() -> anyhow::Result<(Site, TempDir)> {
    let folder = tempfile::tempdir()?;
    let (file, key) = (folder.path().join("site.yaml"), folder.path().join("key"));
    let demo = fs::read_to_string(root().join("examples/demo.yaml"))?;
    let (site, _) = demo.split_once("  nodes:\n").context("the demo has no nodes")?;
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "ops", "-f"])
        .arg(&key)
        .status()?;
    ensure!(made.success(), "no SSH key");
    let public = fs::read_to_string(key.with_extension("pub"))?;
    let lines = site.lines().map(|line| {
        if line.trim_start().starts_with("- ssh-ed25519") {
            format!("    - {}", public.trim())
        } else {
            line.to_owned()
        }
    });
    let text: Vec<String> = lines.collect();
    fs::write(&file, format!("{}\n  nodes:{NODES}", text.join("\n")))?;
    Ok((Site::up_with("t-hardware", &file)?, folder))
}

/// Runs commands on nodes, over SSH.
struct Ssh<'a>(&'a Path);

impl Ssh<'_> {
    /// What a command on a node says.
    fn on(&self, site: &mut Site, node: &str, command: &str) -> anyhow::Result<String> {
        let key = self.0.display();
        let address = site.lab.node(node)?.address;
        let words = format!(
            "ssh -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
             -o ConnectTimeout=60 core@{address}"
        );
        let words: Vec<&str> = words.split_whitespace().chain([command]).collect();
        site.run(OPS, &words)
    }
}

fn has(said: &str, wanted: &[&str]) -> anyhow::Result<()> {
    for word in wanted {
        ensure!(said.contains(word), "no {word} in:\n{said}");
    }
    Ok(())
}

#[test]
#[ignore = "takes some ten minutes: make trouble"]
fn machines_with_bonds_data_disks_and_a_tpm_are_what_the_site_file_says() -> anyhow::Result<()> {
    let (mut site, folder) = site()?;
    let key = folder.path().join("key");
    let ssh = Ssh(&key);
    site.run(OPS, &["dhclient", "-4", "-1", "eth0"])?;
    let disk = |serial: &str, gib| faros_lab::machine::Disk {
        gib,
        serial: serial.to_owned(),
    };
    let hardware = [
        Hardware {
            firmware: Firmware::Uefi,
            more_nics: vec![MacAddr([0x52, 0x54, 0, 8, 1, 1])],
            more_disks: vec![disk("MEDIA1", 1), disk("SYSTEM1", 8), disk("KUBE1", 2)],
            tpm: true,
            ..Hardware::default()
        },
        Hardware {
            more_nics: vec![MacAddr([0x52, 0x54, 0, 8, 1, 2])],
            more_disks: vec![disk("MEDIA2", 1)],
            ..Hardware::default()
        },
    ];
    let nodes = ["node-1", "node-2"];
    let with_tpm = hardware[0].clone();
    for (node, hardware) in nodes.iter().zip(&hardware) {
        site.lab.start_machine(node, hardware, &mut |_| ())?;
    }
    let mut at = 0;
    for node in nodes {
        let seen = site.wait_for(0, node, |event| reports(event, node, "started"))?;
        at = at.max(seen);
    }

    let disks = ssh.on(
        &mut site,
        "node-1",
        "lsblk -n -l -o NAME,SERIAL,TYPE,MOUNTPOINT; findmnt -n -o TARGET,SOURCE",
    )?;
    has(
        &disks,
        &[
            "SYSTEM1",
            "/var/lib/media",
            "/var/lib/kubelet",
            "/var/lib/containerd",
            "/dev/mapper/root",
        ],
    )?;
    let devices = "for name in SYSTEM1 MEDIA1 KUBE1; do
          disk=$(lsblk -n -d -o NAME,SERIAL | awk -v s=$name '$2 == s { print $1 }')
          echo $name $(lsblk -n -l -o FSTYPE,TYPE,MOUNTPOINT /dev/$disk | tr -s ' \\n' ' ')
        done";
    let devices = ssh.on(&mut site, "node-1", devices)?;
    for line in devices.lines() {
        has(line, &["crypto_LUKS", "crypt"])?;
    }
    has(&devices, &["MEDIA1", "KUBE1"])?;
    let pins = ssh.on(&mut site,
        "node-1",
        "for d in $(lsblk -n -l -p -o NAME,FSTYPE | awk '$2 == \"crypto_LUKS\" { print $1 }'); do sudo clevis luks list -d $d; done",
    )?;
    ensure!(
        pins.matches("tpm2").count() == 3 && pins.matches("tang").count() == 3,
        "{pins}"
    );
    let media = ssh.on(&mut site, "node-2", "findmnt -n -o SOURCE,FSTYPE /var/lib/media")?;
    has(&media, &["/dev/mapper/data-0", "ext4"])?;

    // One cable out of each bond: they go on.
    for (idx, node) in nodes.iter().enumerate() {
        let bond = ssh.on(
            &mut site,
            node,
            "cat /proc/net/bonding/bond0; ip -4 -o address show",
        )?;
        let macs = [
            format!("52:54:00:08:00:0{}", idx + 1),
            format!("52:54:00:08:01:0{}", idx + 1),
        ];
        has(
            &bond,
            &["active-backup", &macs[0], &macs[1], "bond0    inet 192.168.8.1"],
        )?;
        for out in [0, 1] {
            site.lab.machine(node).plug(out, false)?;
            thread::sleep(Duration::from_secs(2));
            let bond = ssh.on(&mut site, node, "cat /proc/net/bonding/bond0")?;
            ensure!(bond.contains("MII Status: down"), "{bond}");
            site.lab.machine(node).plug(out, true)?;
            thread::sleep(Duration::from_secs(2));
        }
    }

    // With its boot interface's cable out, it starts from its disk and is unlocked by way of the other one.
    for (node, hardware) in nodes.iter().zip(hardware) {
        let machine = site.lab.machine(node);
        machine.stop()?;
        let hardware = Hardware {
            boot: Boot::DiskFirst,
            ..hardware
        };
        // The first disk of node-1 is empty; its firmware goes on to the one with a system.
        site.lab.start_machine(node, &hardware, &mut |_| ())?;
        machine.plug(0, false)?;
        let unlocked = site.wait_for(at, "the unlocking", |event| {
            of(event, node) && event.kind == EventKind::UnlockRecovered
        })?;
        site.wait_for(unlocked, "its own system", |event| {
            reports(event, node, "started")
        })?;
        machine.stop()?;
    }

    // The same disks behind another TPM: the bastion helps, and alone it is not enough.
    let machine = site.lab.machine(nodes[0]);
    machine.forget_tpm()?;
    let last = site.events_in_trouble(0)?.last().context("no event")?.seq;
    site.lab.start_machine(nodes[0], &with_tpm, &mut |_| ())?;
    site.wait_for(last, "the unlocking", |event| {
        of(event, nodes[0]) && event.kind == EventKind::UnlockRecovered
    })?;
    thread::sleep(Duration::from_mins(2));
    let events = site.events_in_trouble(last)?;
    ensure!(
        !events.iter().any(|event| reports(event, nodes[0], "started")),
        "it opened without its TPM"
    );
    machine.cut()
}
