//! A node's whole config: Ignition takes it, and what joins a cluster is in it.

use expect_test::expect;
use faros_cluster::Bond;
use faros_model::{
    content::{Family, ImageManifest},
    site::{Node, Site},
};

use super::given::{EXAMPLES, THUMBPRINT, config, decoded, image, release, site, validate};
use crate::{Install, Joining, ignition, node_config};

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
