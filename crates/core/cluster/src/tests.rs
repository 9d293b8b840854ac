//! What nodes are given, in whole.

use faros_model::site::{Node, Site};

use super::{control_plane::Pair, *};
use crate::host::{Bond, NodeParts, node_parts};

pub(crate) const BRANCH_OFFICE: &str = include_str!("../../../../examples/branch-office.yaml");

pub(crate) fn site(text: &str) -> Site {
    faros_site::load(text).unwrap().site
}

pub(crate) fn node<'a>(site: &'a Site, name: &str) -> &'a Node {
    site.nodes.get(&name.parse().unwrap()).unwrap()
}

/// A small site of these nodes, by name and roles.
pub(crate) fn small_site(nodes: &[(&str, &str)]) -> Site {
    let nodes: Vec<String> = nodes
        .iter()
        .zip(1..)
        .map(|((name, roles), mac)| {
            format!("    - {{name: {name}, roles: [{roles}], bootMac: '02:00:00:00:00:{mac:02x}'}}")
        })
        .collect();
    let nodes = nodes.join("\n");
    site(&format!(
        "
apiVersion: faros.dev/v1alpha1
kind: Site
metadata: {{name: kiosk}}
spec:
  domain: edge.example.com
  sshAuthorizedKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample]
  uplink: {{interface: up0}}
  lan: {{interfaces: [lan0]}}
  nodeDefaults: {{installDisk: /dev/disk/by-id/x}}
  nodes:
{nodes}"
    ))
}

fn images() -> Images {
    Images {
        kubernetes: "v1.36.3".to_owned(),
        repository: "faros.dev/kubernetes".to_owned(),
        etcd: "3.7.3".to_owned(),
        dns: "v1.15.0".to_owned(),
        pause: "faros.dev/kubernetes/pause:3.10.2".to_owned(),
    }
}

fn parts(site: &Site, node: &Node) -> NodeParts {
    let bond = Bond {
        site_ca: "-----BEGIN CERTIFICATE-----\n",
        secret: "0123",
    };
    node_parts(site, node, &images(), &bond).unwrap()
}

fn control_plane() -> Vec<File> {
    let pair = Pair {
        public: "public",
        private: "private",
    };
    let authorities = Authorities {
        kubernetes: pair,
        etcd: pair,
        front_proxy: pair,
        service_accounts: pair,
    };
    let key = EncryptionKey {
        name: "key-1".to_owned(),
        bytes: [7; 32],
    };
    control_plane_files(&authorities, &[key])
}

/// Everything that is rendered for the first node of an example.
fn everything() -> String {
    let site = site(BRANCH_OFFICE);
    let first = site.nodes.values().next().unwrap();
    let mut text = init_config(&site, first, &images());
    for file in control_plane().into_iter().chain(parts(&site, first).files) {
        text += &file.text;
    }
    text
}

#[test]
fn what_the_hardening_page_says_is_what_nodes_are_told() {
    let rendered = everything();
    let missing: Vec<&str> = hardening::CHECKS
        .iter()
        .filter_map(|check| match check.held {
            hardening::Held::Rendered(words) => Some(words),
            _ => None,
        })
        .flatten()
        .filter(|word| !rendered.contains(**word))
        .copied()
        .collect();
    assert!(missing.is_empty(), "not rendered: {missing:#?}");
}

#[test]
fn only_who_takes_no_workload_keeps_it_away() {
    let taints = |text: &str, name: &str| {
        let site = site(text);
        let config = init_config(&site, node(&site, name), &images());
        config.contains("node-role.kubernetes.io/control-plane")
    };
    assert!(!taints(BRANCH_OFFICE, "node-1"));
    let only = BRANCH_OFFICE.replace("roles: [control-plane, worker]", "roles: [control-plane]");
    assert!(taints(&only, "node-1"));
}

#[test]
fn secrets_are_hidden_and_closed() {
    for file in control_plane() {
        let is_key = file.text == "private" || file.path.ends_with("encryption.yaml");
        assert_eq!((file.is_secret, file.mode == 0o600), (is_key, is_key), "{file:?}");
        assert_eq!(format!("{file:?}").contains("[hidden]"), is_key);
    }
    let site = site(BRANCH_OFFICE);
    let parts = parts(&site, site.nodes.values().next().unwrap());
    let secret = parts.files.iter().filter(|file| file.text.contains("0123"));
    assert!(secret.clone().all(|file| file.is_secret && file.mode == 0o600));
    assert_eq!(secret.count(), 1);
}

#[test]
fn a_node_runs_pods_on_its_own_block_and_has_images_from_the_bastion() {
    let site = site(BRANCH_OFFICE);
    let first = site.nodes.values().next().unwrap();
    let parts = parts(&site, first);
    let text = |path: &str| {
        let file = parts.files.iter().find(|file| file.path == path);
        file.map(|file| file.text.as_str()).unwrap_or_default()
    };
    expect_test::expect_file!["../testdata/faros.conflist"]
        .assert_eq(text("/etc/cni/net.d/10-faros.conflist"));
    expect_test::expect_file!["../testdata/hosts.toml"]
        .assert_eq(text("/etc/containerd/certs.d/_default/hosts.toml"));
    expect_test::expect_file!["../testdata/pods.nft"].assert_eq(text("/etc/faros/pods.nft"));
    expect_test::expect_file!["../testdata/join.env"].assert_eq(text("/etc/faros/join.env"));
}

#[test]
fn an_upgrade_is_told_what_an_install_is_told() {
    let site = site(BRANCH_OFFICE);
    let first = site.nodes.values().next().unwrap();
    let files = |way| crate::upgrade::files(&site, first, &images(), way);
    let cluster = |way| {
        let own = files(way).into_iter();
        own.map(|file| file.text)
            .find(|text| *text == init_config(&site, first, &images()))
    };
    assert!(cluster(crate::upgrade::Way::Apply).is_some());
    assert!(cluster(crate::upgrade::Way::Node).is_none());
    expect_test::expect_file!["../testdata/upgrade.yaml"].assert_eq(&upgrade_config(&images()));
}

#[test]
fn nothing_of_an_older_version_wants_to_write_where_programs_are() {
    let site = site(BRANCH_OFFICE);
    let first = site.nodes.values().next().unwrap();
    let says = |version: &str| {
        let own = Images {
            kubernetes: version.to_owned(),
            ..images()
        };
        init_config(&site, first, &own).contains("flex-volume-plugin-dir")
    };
    assert!(says("v1.34.4") && says("v1.35.4") && !says("v1.36.0"));
}

#[test]
fn kubeadm_is_told_the_same_as_ever() {
    let site = site(BRANCH_OFFICE);
    let first = site.nodes.values().next().unwrap();
    expect_test::expect_file!["../testdata/init.yaml"].assert_eq(&init_config(&site, first, &images()));
    expect_test::expect_file!["../testdata/join.yaml"].assert_eq(&join_config(
        first,
        "/run/faros-join/discovery.conf",
        "abcdef.0123456789abcdef",
    ));
}
