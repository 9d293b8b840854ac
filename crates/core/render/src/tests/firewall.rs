//! The filter of an installed node: when it is loaded, and what the node tells of it.

use std::process::Command;

use faros_model::{
    content::{Family, ImageManifest},
    site::{Distribution, Site},
};

use super::given::{EXAMPLES, THUMBPRINT, image, site};
use crate::{Install, node_config, node_filter, node_filters};

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
