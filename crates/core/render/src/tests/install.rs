//! What is put on a node's disks, and what cannot be.

use expect_test::expect;
use faros_model::{
    content::{Family, ImageManifest},
    site::{Architecture, DiskHints, DiskRef, UnlockBy},
};

use super::given::{THUMBPRINT, config, image, site};
use crate::{Install, installable};

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
