//! Snapshots of the texts, and Ignition's own verdict on the configs. The parser that is asked is the one
//! of Debian's `ignition` package.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use expect_test::expect;
use faros_model::{
    content::{Blob, ImageManifest},
    ids::Digest,
    site::{Architecture, Site},
};

use super::*;

const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../examples/branch-office.yaml"),
    ),
    ("everything", include_str!("../../../../examples/everything.yaml")),
    ("demo", include_str!("../../../../examples/demo.yaml")),
];

fn site(name: &str) -> Site {
    let (_, text) = EXAMPLES.iter().find(|(own, _)| *own == name).unwrap();
    faros_site::load(text).unwrap().site
}

fn image() -> ImageManifest {
    let blob = |file: &str, byte| Blob {
        file: file.into(),
        digest: Digest([byte; 32]),
        size: 1,
    };
    ImageManifest {
        name: "debian-13".parse().unwrap(),
        architecture: Architecture::X86_64,
        kernel: blob("vmlinuz", 0xaa),
        initramfs: blob("initramfs.img", 0xbb),
        kernel_arguments: vec!["quiet".into()],
        packages: vec![],
    }
}

#[test]
fn an_armed_node_is_told_to_install() {
    let site = site("demo");
    let script = install_script(&site, site.nodes.values().next().unwrap(), &image());
    expect![[r"
        #!ipxe
        echo Faros: node-1 of harbour-7.edge.example.com is armed and will be installed
        :kernel
        kernel http://192.168.8.1:8080/content/sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/vmlinuz quiet initrd=initramfs.img ip=dhcp rd.neednet=1 ignition.firstboot ignition.platform.id=metal ignition.config.url=http://192.168.8.1:8080/ignition/node-1 faros.report=http://192.168.8.1:8080/report/node-1 BOOTIF=01-52-54-00-08-00-01 console=ttyS0 || goto again
        :initrd
        initrd --name initramfs.img http://192.168.8.1:8080/content/sha256/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb/initramfs.img || goto again
        boot || goto again
        :again
        echo Faros: the bastion did not answer; trying again in 5 seconds
        imgfree
        sleep 5
        goto kernel
    "]]
    .assert_eq(&script);
}

#[test]
fn nothing_in_a_reason_runs_as_a_command() {
    let script = local_disk_script("a && shell || ${mac}\nreboot");
    assert!(script.contains("(a __ shell __ __mac_ reboot)"), "{script}");
    assert_eq!(script.lines().count(), 6);
    assert_eq!(nothing_script("x\ny").lines().count(), 3);
}

#[test]
fn a_static_bond_has_a_device_its_members_and_an_address() {
    let site = site("everything");
    let config: serde_json::Value =
        serde_json::from_str(&ignition(&site, site.nodes.values().next().unwrap())).unwrap();
    let files = config["storage"]["files"].as_array().unwrap();
    let shown: Vec<String> = files
        .iter()
        .filter(|file| file["path"].as_str().unwrap().contains("/network/"))
        .map(|file| format!("{}\n{}", file["path"].as_str().unwrap(), decoded(file)))
        .collect();
    expect![[r"
        /etc/systemd/network/10-bond0.netdev
        [NetDev]
        Name=bond0
        Kind=bond
        MACAddress=52:54:00:08:00:01

        [Bond]
        Mode=active-backup
        MIIMonitorSec=100ms

        /etc/systemd/network/20-bond0.network
        [Match]
        Name=bond0

        [Network]
        Address=192.168.8.11/24
        Gateway=192.168.8.1
        DNS=192.168.8.1
        NTP=192.168.8.1
        Domains=harbour-7.edge.example.com
        LinkLocalAddressing=no
        IPv6AcceptRA=no

        /etc/systemd/network/15-bond0-0.network
        [Match]
        MACAddress=52:54:00:08:00:01
        Type=ether

        [Network]
        Bond=bond0

        /etc/systemd/network/15-bond0-1.network
        [Match]
        MACAddress=52:54:00:08:01:01
        Type=ether

        [Network]
        Bond=bond0
    "]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn labels_and_taints_are_arguments_of_the_kubelet() {
    let site = site("demo");
    let config: serde_json::Value =
        serde_json::from_str(&ignition(&site, site.nodes.values().nth(1).unwrap())).unwrap();
    let files = config["storage"]["files"].as_array().unwrap();
    let kubelet = files
        .iter()
        .find(|file| file["path"] == "/etc/default/kubelet")
        .unwrap();
    expect![[r"
        KUBELET_EXTRA_ARGS=--hostname-override=node-2 --node-ip=192.168.8.12 --node-labels=role.faros.dev/control-plane=true,role.faros.dev/worker=true,rack=a --register-with-taints=media=true:NoSchedule
    "]]
    .assert_eq(&decoded(kubelet));
}

/// Asks Debian's `ignition-validate`.
#[test]
#[expect(clippy::disallowed_methods, reason = "the verdict is another program's")]
fn ignition_accepts_the_config_of_every_node_of_every_example() {
    for (name, _) in EXAMPLES {
        let site = site(name);
        for node in site.nodes.values() {
            let mut validate = Command::new("ignition-validate")
                .arg("-")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("install the Debian package ignition");
            validate
                .stdin
                .take()
                .unwrap()
                .write_all(ignition(&site, node).as_bytes())
                .unwrap();
            let output = validate.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name}/{}: {said}", node.name);
            assert!(!said.contains("warning"), "{name}/{}: {said}", node.name);
        }
    }
}

fn decoded(file: &serde_json::Value) -> String {
    let text = file["contents"]["source"]
        .as_str()
        .unwrap()
        .strip_prefix("data:,")
        .unwrap();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        out.push(char::from(u8::from_str_radix(&after[..2], 16).unwrap()));
        rest = &after[2..];
    }
    out + rest
}
