//! Snapshots of the texts, and Ignition's own verdict on the configs. The parser that is asked is the one
//! of Debian's `ignition` package.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use expect_test::expect;
use faros_cluster::Bond;
use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::{Digest, Nonce},
    kubernetes::{Image, Release},
    site::{Architecture, DiskHints, DiskRef, Distribution, Node, Site, UnlockBy},
};

use super::*;

const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../examples/branch-office.yaml"),
    ),
    ("everything", include_str!("../../../../examples/everything.yaml")),
    (
        "three-nodes",
        include_str!("../../../../examples/three-nodes.yaml"),
    ),
];

fn site(name: &str) -> Site {
    let (_, text) = EXAMPLES.iter().find(|(own, _)| *own == name).unwrap();
    faros_site::load(text).unwrap().site
}

fn config(site: &Site, node: &Node) -> String {
    let image = image();
    let install = Install {
        image: &image,
        thumbprint: THUMBPRINT,
        joining: None,
    };
    ignition(site, node, &install)
}

/// A thumbprint of the right form.
const THUMBPRINT: &str = "_sEEzidniqAKvEbJXv6rV-F4C8aja8M5CvfOC0Kogi8";

fn image() -> ImageManifest {
    let blob = |file: &str, byte| Blob {
        file: file.into(),
        digest: Digest([byte; 32]),
        size: 1,
    };
    ImageManifest {
        name: "debian-13".parse().unwrap(),
        architecture: Architecture::X86_64,
        family: Family::Faros,
        kernel: blob("vmlinuz", 0xaa),
        initramfs: blob("initramfs.img", 0xbb),
        root: Some(blob("root.tar.zst", 0xcc)),
        root_bytes: 400 << 20,
        local_boot: Some(blob("local-boot.efi", 0xdd)),
        kernel_arguments: vec!["quiet".into()],
        packages: vec![],
    }
}

#[test]
fn an_armed_node_is_told_to_install() {
    let site = site("three-nodes");
    let script = install_script(
        &site,
        site.nodes.values().next().unwrap(),
        &image(),
        &Nonce::of([0x5a; 16]),
    );
    expect![[r"
        #!ipxe
        echo Faros: node-1 of harbour-7.edge.example.com is armed and will be installed
        :kernel
        kernel http://192.168.8.1:8080/content/sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/vmlinuz quiet initrd=initramfs.img ip=dhcp rd.neednet=1 ignition.firstboot ignition.platform.id=metal ignition.config.url=http://192.168.8.1:8080/ignition/node-1/5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a faros.report=http://192.168.8.1:8080/report/node-1 BOOTIF=01-52-54-00-08-00-01 console=ttyS0 || goto again
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
    let site = site("three-nodes");
    let script = local_disk_script(&site, None, "a && shell || ${mac}\nreboot");
    assert!(script.contains("(a __ shell __ __mac_ reboot)"), "{script}");
    assert_eq!(script.lines().count(), 10);
    let with_program = local_disk_script(&site, Some(&image()), "x");
    assert!(with_program.contains("/local-boot.efi ||"), "{with_program}");
    assert_eq!(nothing_script("x\ny").lines().count(), 3);
}

#[test]
fn a_static_bond_has_a_device_its_members_and_an_address() {
    let site = site("everything");
    let config: serde_json::Value =
        serde_json::from_str(&config(&site, site.nodes.values().next().unwrap())).unwrap();
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
    let site = site("three-nodes");
    let config: serde_json::Value =
        serde_json::from_str(&config(&site, site.nodes.values().nth(1).unwrap())).unwrap();
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
fn ignition_accepts_the_config_of_every_node_of_every_example_and_family() {
    for (name, _) in EXAMPLES {
        let site = site(name);
        for node in site.nodes.values() {
            for family in [Family::Faros, Family::Coreos, Family::Flatcar] {
                let image = ImageManifest { family, ..image() };
                let install = Install {
                    image: &image,
                    thumbprint: THUMBPRINT,
                    joining: None,
                };
                let what = format!("{name}/{}/{family:?}", node.name);
                validate(&ignition(&site, node, &install), &what);
                validate(&node_config(&site, node, &install), &what);
            }
        }
    }
}

fn release() -> Release {
    let image = |name: &str| Image {
        name: format!("faros.dev/kubernetes/{name}").parse().unwrap(),
        digest: Digest([1; 32]),
    };
    let blob = |file: &str, byte| Blob {
        file: file.into(),
        digest: Digest([byte; 32]),
        size: 1,
    };
    Release {
        version: "v1.36.3".parse().unwrap(),
        architecture: Architecture::X86_64,
        components: vec![],
        images: ["coredns:v1.15.0", "etcd:3.7.3", "pause:3.10.2"]
            .map(image)
            .into(),
        extension: blob("kubernetes-v1.36.3.raw", 0xee),
        sbom: blob("sbom.json", 0xff),
    }
}

/// The config of a node that is to join a cluster.
fn joining(site: &Site, node: &Node, family: Family) -> serde_json::Value {
    let image = ImageManifest { family, ..image() };
    let release = release();
    let bond = Bond {
        site_ca: "-----BEGIN CERTIFICATE-----\n",
        secret: "0123",
    };
    let install = Install {
        image: &image,
        thumbprint: THUMBPRINT,
        joining: Some(Joining {
            release: &release,
            bond,
        }),
    };
    let config = node_config(site, node, &install);
    validate(&config, &format!("{}/{family:?}", node.name));
    serde_json::from_str(&config).unwrap()
}

#[test]
fn a_node_of_a_cluster_has_its_programs_and_all_that_joins_it() {
    for family in [Family::Faros, Family::Coreos, Family::Flatcar] {
        let site = site("three-nodes");
        let config = joining(&site, site.nodes.values().next().unwrap(), family);
        let files = config["storage"]["files"].as_array().unwrap();
        let file = |path: &str| files.iter().find(|file| file["path"] == path);
        let extension = file("/var/lib/extensions/kubernetes-v1.36.3.raw").unwrap();
        let digest = "ee".repeat(32);
        assert_eq!(
            extension["contents"]["verification"]["hash"],
            format!("sha256-{digest}")
        );
        assert_eq!(
            extension["contents"]["source"],
            format!("http://192.168.8.1:8080/content/sha256/{digest}/kubernetes-v1.36.3.raw")
        );
        assert_eq!(file("/etc/faros/join.secret").unwrap()["mode"], 0o600);
        assert_eq!(file("/etc/faros/join").unwrap()["mode"], 0o755);
        let units = config["systemd"]["units"].as_array().unwrap();
        let unit = |name: &str| units.iter().find(|unit| unit["name"] == name).unwrap();
        assert_eq!(unit("faros-join.service")["enabled"], true);
        assert_eq!(unit("systemd-sysext.service")["enabled"], true);
        assert_eq!(unit("swap.target")["mask"], true);
    }
}

#[test]
fn a_node_knows_the_way_to_the_pods_of_the_others() {
    let site = site("three-nodes");
    let node = site.nodes.values().next().unwrap();
    let networkd = network::networkd(&site, node);
    expect![[r"
        [Match]
        MACAddress=52:54:00:08:00:01
        Type=ether

        [Network]
        DHCP=ipv4
        LinkLocalAddressing=no
        IPv6AcceptRA=no

        [DHCPv4]
        ClientIdentifier=mac
        UseDomains=yes
        UseNTP=yes

        [Route]
        Destination=10.128.12.0/24
        Gateway=192.168.8.12

        [Route]
        Destination=10.128.13.0/24
        Gateway=192.168.8.13
    "]]
    .assert_eq(&networkd[0].1);
    let manager = network::network_manager(&site, node);
    assert!(manager[0].1.contains("route1=10.128."), "{}", manager[0].1);
    let mut other = site.clone();
    other.cluster.network_plugin = "cilium".to_owned();
    let node = other.nodes.values().next().unwrap();
    assert!(!network::networkd(&other, node)[0].1.contains("[Route]"));
}

#[expect(clippy::disallowed_methods, reason = "the verdict is another program's")]
fn validate(config: &str, what: &str) {
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
        .write_all(config.as_bytes())
        .unwrap();
    let output = validate.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}\n{config}");
    assert!(!said.contains("warning"), "{what}: {said}");
}

#[test]
fn disks_are_bound_to_the_bastion_by_its_thumbprint() {
    let site = site("three-nodes");
    let config: serde_json::Value =
        serde_json::from_str(&config(&site, site.nodes.values().next().unwrap())).unwrap();
    expect![[r#"
        [
          {
            "name": "root",
            "label": "root",
            "device": "/dev/faros/install-part3",
            "wipeVolume": true,
            "options": [
              "--pbkdf",
              "pbkdf2",
              "--pbkdf-force-iterations",
              "1000"
            ],
            "clevis": {
              "tang": [
                {
                  "url": "http://192.168.8.1:8082",
                  "thumbprint": "_sEEzidniqAKvEbJXv6rV-F4C8aja8M5CvfOC0Kogi8"
                }
              ],
              "threshold": 1
            }
          }
        ]"#]]
    .assert_eq(&serde_json::to_string_pretty(&config["storage"]["luks"]).unwrap());
}

#[test]
fn data_disks_are_volumes_of_their_own_save_those_of_the_storage_provider() {
    let site = site("everything");
    let node = site
        .nodes
        .values()
        .find(|node| node.data_disks.len() > 1)
        .unwrap();
    let image = image();
    let install = Install {
        image: &image,
        thumbprint: THUMBPRINT,
        joining: None,
    };
    let recipe = crate::install::recipe(&site, node, &install);
    expect![[r#"
        {
          "disks": {
            "install": {
              "path": "/dev/disk/by-path/pci-0000:00:04.0",
              "leastBytes": 2113929216
            },
            "data-0": {
              "path": "/dev/disk/by-id/nvme-eui.0025385b01404a3f",
              "leastBytes": 0
            },
            "data-1": {
              "hints": {
                "minSizeBytes": null,
                "rotational": null,
                "serialNumber": "S3EVNX0K",
                "model": "EVO",
                "wwn": "0x5002538d"
              },
              "leastBytes": 0
            }
          },
          "root": {
            "url": "http://192.168.8.1:8080/content/sha256/cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc/root.tar.zst",
            "sha256": "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
          },
          "encrypted": true,
          "unlockUrl": "http://192.168.8.1:8082",
          "mounts": [
            {
              "name": "data-0",
              "part": "/dev/faros/data-0-part1",
              "device": "/dev/mapper/data-0",
              "path": "/var/lib/faros/kubelet"
            },
            {
              "name": "data-1",
              "part": "/dev/faros/data-1-part1",
              "device": "/dev/mapper/data-1",
              "path": "/var/lib/media"
            }
          ],
          "binds": [
            {
              "path": "/var/lib/kubelet",
              "from": "/var/lib/faros/kubelet/kubelet"
            },
            {
              "path": "/var/lib/containerd",
              "from": "/var/lib/faros/kubelet/containerd"
            }
          ],
          "kernelArguments": [
            "quiet",
            "console=ttyS0",
            "mitigations=auto"
          ]
        }"#]].assert_eq(&serde_json::to_string_pretty(&recipe).unwrap());
}

#[test]
fn an_initramfs_that_is_told_on_the_command_line_has_the_same_network() {
    let site = site("everything");
    let arguments = crate::network::kernel_arguments(&site, site.nodes.values().next().unwrap());
    expect!["rd.neednet=1 ifname=lan0:52:54:00:08:00:01 ifname=lan1:52:54:00:08:01:01 bond=bond0:lan0,lan1:mode=active-backup,miimon=100 ip=192.168.8.11::192.168.8.1:255.255.255.0:node-1:bond0:none nameserver=192.168.8.1"].assert_eq(&arguments.join(" "));
}

#[test]
fn what_cannot_be_installed_is_refused_with_its_reason() {
    let mut site = site("three-nodes");
    let node = site.nodes.values().next().unwrap().clone();
    let good = image();
    assert_eq!(installable(&site, &node, &good), Ok(()));
    let mut arm = good.clone();
    arm.architecture = Architecture::Aarch64;
    let rootless = ImageManifest {
        root: None,
        ..good.clone()
    };
    let coreos = ImageManifest {
        family: Family::Coreos,
        ..good.clone()
    };
    let mut by_hints = node.clone();
    by_hints.install_disk = DiskRef::Hints(DiskHints::default());
    let mut with_peers = node.clone();
    with_peers.encryption.of.push(UnlockBy::Peers);
    let mut said = vec![
        installable(&site, &node, &arm),
        installable(&site, &node, &rootless),
        installable(&site, &by_hints, &good),
        installable(&site, &by_hints, &coreos),
        installable(&site, &with_peers, &good),
    ];
    site.services.unlock = false;
    said.push(installable(&site, &node, &good));
    let said: Vec<String> = said
        .into_iter()
        .map(|one| one.err().unwrap_or_else(|| "yes".to_owned()))
        .collect();
    expect![[r"
        the image debian-13 is for aarch64, and node-1 is x86_64
        the image debian-13 has no root file system
        yes
        the installer of debian-13 takes a disk by its path only, not by `hints`
        no node of this version helps another to unlock; take `peers` out of `encryption`
        the unlock service is switched off, and the disks are to be unlocked by it"]]
    .assert_eq(&said.join("\n"));
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

#[test]
fn an_installed_node_loads_its_filter_before_it_has_a_network() {
    let image = image();
    let of = |site: &Site, family| {
        let image = ImageManifest {
            family,
            ..image.clone()
        };
        let install = Install {
            image: &image,
            thumbprint: THUMBPRINT,
            joining: None,
        };
        let node = site.nodes.values().next().unwrap();
        serde_json::from_str::<serde_json::Value>(&node_config(site, node, &install)).unwrap()
    };
    let parts = |config: &serde_json::Value| {
        let files = config["storage"]["files"].as_array().unwrap().clone();
        let units = config["systemd"]["units"].as_array().unwrap().clone();
        let file = files
            .into_iter()
            .find(|file| file["path"] == "/etc/faros/node.nft");
        let unit = units
            .into_iter()
            .find(|unit| unit["name"] == "faros-firewall.service");
        (file, unit)
    };
    for family in [Family::Faros, Family::Coreos, Family::Flatcar] {
        let (file, unit) = parts(&of(&site("three-nodes"), family));
        assert!(file.is_some(), "{family:?}");
        let unit = unit.unwrap();
        assert_eq!(unit["enabled"], true);
        let text = unit["contents"].as_str().unwrap();
        assert!(text.contains("Before=network-pre.target"), "{text}");
        assert!(
            !text.contains("Condition"),
            "it would be skipped without a word: {text}"
        );
    }
    for distribution in [Distribution::Openshift, Distribution::None] {
        let mut other = site("three-nodes");
        other.cluster.distribution = distribution;
        assert_eq!(parts(&of(&other, Family::Coreos)), (None, None));
    }
}

#[test]
fn nodes_that_are_alike_have_the_filter_that_each_would_have_alone() {
    for (name, text) in EXAMPLES {
        let site = faros_site::load(text).unwrap().site;
        let all = node_filters(&site);
        assert_eq!(
            all.iter().map(|(_, nodes)| nodes.len()).sum::<usize>(),
            site.nodes.len()
        );
        for (filter, nodes) in all {
            for node in nodes {
                assert_eq!(node_filter(&site, node), filter, "{name}: {}", node.name);
            }
        }
    }
}

/// Runs the commands that start the unit, with other folders.
#[expect(clippy::disallowed_methods, reason = "the filter is the kernel's")]
fn in_a_network_of_its_own(folder: &std::path::Path, script: &str) -> String {
    let folder_of = |text: &str| {
        let text = text.replace("/etc/faros/", &format!("{}/", folder.display()));
        text.replace("/run/faros", &folder.display().to_string())
    };
    let output = Command::new("unshare")
        .args(["-n", "bash", "-c", &folder_of(script)])
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    text.concat()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the filter is the kernel's")]
fn a_node_tells_whether_its_filter_is_loaded_and_whether_it_is_as_it_was() {
    let site = site("three-nodes");
    let node = site.nodes.values().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let rules = crate::node_filter(&site, node).unwrap();
    std::fs::write(folder.path().join("node.nft"), &rules).unwrap();
    let unit = crate::firewall::unit();
    let starts: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("ExecStart="))
        .collect();
    let load = starts.join("\n");
    // What would be sent.
    let tell = crate::firewall::report("URL").replace("exec curl", "echo");
    let add = "nft add rule inet faros_node arriving accept";
    for (before, said) in [
        ("", "\"filtered\":false,\"filterChanged\":false"),
        (load.as_str(), "\"filtered\":true,\"filterChanged\":false"),
        (
            &format!("{load}\n{add}"),
            "\"filtered\":true,\"filterChanged\":true",
        ),
    ] {
        let told = in_a_network_of_its_own(folder.path(), &format!("{before}\n{tell}"));
        assert!(told.contains(said), "{told}");
        let digest = told.split("\"filter\":\"").nth(1).and_then(|rest| rest.get(..64));
        assert!(
            digest.is_some_and(|own| own.bytes().all(|c| c.is_ascii_hexdigit())),
            "{told}"
        );
    }
}
