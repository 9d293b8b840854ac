//! The examples, and what holds for every file.

use std::collections::BTreeSet;

use faros_model::site::Site;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::{
    place::{Mark, item, join},
    schema::Schema,
    tree::{Node, Value},
};

const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../examples/branch-office.yaml"),
    ),
    ("everything", include_str!("../../../../examples/everything.yaml")),
    ("demo", include_str!("../../../../examples/demo.yaml")),
    ("cluster", include_str!("../../../../examples/cluster.yaml")),
    (
        "three-nodes",
        include_str!("../../../../examples/three-nodes.yaml"),
    ),
];

#[test]
fn the_schema_that_is_checked_in_is_what_the_types_say() {
    let held: Json = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(held, json_schema(), "run `cargo run -p xtask -- schema`");
}

#[test]
fn the_examples_are_those_of_the_folder() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples");
    let files: BTreeSet<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let checked = EXAMPLES.iter().map(|(name, _)| format!("{name}.yaml"));
    assert_eq!(files, checked.collect());
}

#[test]
fn every_example_is_accepted() {
    for (name, text) in EXAMPLES {
        if let Err(problems) = load(text) {
            panic!("{}", report(Severity::Error, &problems.problems, name, text));
        }
    }
}

#[test]
fn the_smallest_example_has_about_twenty_lines() {
    assert!(EXAMPLES[0].1.lines().count() <= 22);
}

/// Where an author could write one more key: for each mapping, its path and the place of its first key.
fn mappings(node: &Node, path: &str, out: &mut Vec<(String, Mark)>) {
    match &node.value {
        Value::Mapping(entries) => {
            if let Some((first, _)) = entries.first() {
                out.push((path.to_owned(), first.mark));
            }
            for (key, value) in entries {
                mappings(value, &join(path, &key.text), out);
            }
        }
        Value::Sequence(items) => {
            for (idx, node) in items.iter().enumerate() {
                mappings(node, &item(path, idx), out);
            }
        }
        Value::Scalar { .. } | Value::Told => (),
    }
}

/// The text with `plant: 1` before the key at `mark`.
fn planted(text: &str, mark: Mark) -> String {
    let mut out = String::new();
    for (line, number) in text.lines().zip(1..) {
        if number == mark.line {
            let at = usize::try_from(mark.column).unwrap() - 1;
            let (before, after) = line.split_at(line.char_indices().nth(at).unwrap().0);
            let in_braces = before.trim_end().ends_with('{');
            let then = if in_braces {
                ", ".to_owned()
            } else {
                format!("\n{}", " ".repeat(at))
            };
            out.extend([format!("{before}plant: 1{then}{after}\n")]);
        } else {
            out += line;
            out.push('\n');
        }
    }
    out
}

#[test]
fn an_unknown_key_is_refused_wherever_it_is_planted() {
    for (name, text) in EXAMPLES {
        let (root, _) = tree::parse(text);
        let mut places = Vec::new();
        mappings(&root.unwrap(), "", &mut places);
        assert!(places.len() > 5);
        for (path, mark) in places {
            let text = planted(text, mark);
            if path.ends_with("labels") {
                // Labels have any keys.
                assert!(load(&text).is_ok(), "{name} with a label planted at {path}");
                continue;
            }
            let problems = load(&text).unwrap_err().problems;
            let told: Vec<_> = problems
                .iter()
                .map(|p| (p.code.as_str(), p.path.clone(), p.line, p.column))
                .collect();
            let expected = ("unknown-key", join(&path, "plant"), mark.line, mark.column);
            assert_eq!(told, [expected], "{name}");
        }
    }
}

/// Adds each key that the node has, named by the mapping of the schema that knows it.
fn used(all: &Schema, node: &Node, schema: &Json, out: &mut BTreeSet<(*const Json, String)>) {
    let schema = all.resolve(schema);
    let branches = schema.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    for branch in branches {
        used(all, node, branch, out);
    }
    match &node.value {
        Value::Mapping(entries) => {
            for (key, value) in entries {
                if let Some(inner) = schema.get("properties").and_then(|known| known.get(&key.text)) {
                    out.insert((std::ptr::from_ref(schema), key.text.clone()));
                    used(all, value, inner, out);
                }
            }
        }
        Value::Sequence(items) => {
            for node in items {
                used(all, node, &schema["items"], out);
            }
        }
        Value::Scalar { .. } | Value::Told => (),
    }
}

#[test]
fn the_example_of_everything_uses_every_key() {
    let (root, _) = tree::parse(EXAMPLES[2].1);
    let mut have = BTreeSet::new();
    let all = Schema::read();
    used(&all, &root.unwrap(), all.root(), &mut have);
    let defs = all.root()["$defs"].as_object().unwrap().iter();
    let defs = defs
        .map(|(name, schema)| (name.as_str(), schema))
        .chain([("SiteFile", all.root())]);
    let missing: Vec<String> = defs
        .flat_map(|(name, schema)| {
            let keys = schema
                .get("properties")
                .and_then(Json::as_object)
                .into_iter()
                .flatten();
            keys.filter(|(key, _)| !have.contains(&(std::ptr::from_ref(schema), (*key).clone())))
                .map(move |(key, _)| format!("{name}.{key}"))
        })
        .collect();
    assert!(missing.is_empty(), "not used: {missing:?}");
}

/// Texts are what they are, whatever YAML would make of them.
#[test]
fn a_scalar_is_what_the_key_wants() {
    let text = EXAMPLES[0].1;
    let text = text
        .replace("name: kiosk", "name: no")
        .replace("name: node-1", "name: 0644");
    let text = text.replace("interfaces: [enp2s0]", "interfaces: [1e3]").replace(
        "  nodes:",
        "  cluster: {version: 1.36}\n  dns: {records: [{name: when, txt: 2026-11-21}, {name: say, txt: true}]}\n  nodes:",
    );
    let site = load(&text).unwrap().site;
    assert_eq!(site.name.as_str(), "no");
    assert_eq!(site.nodes.keys().next().unwrap().as_str(), "0644");
    assert_eq!(site.lan.interfaces, ["1e3"]);
    assert_eq!(site.cluster.version.as_deref(), Some("1.36"));
    assert_eq!(
        format!("{:?}", site.dns.records.last().unwrap().data),
        "Txt(\"true\")"
    );
}

/// A site of nodes and hosts in some order, as a file.
fn file(nodes: &[String], hosts: &[String]) -> String {
    let mac = |idx: usize, kind: u8| format!("02:00:00:00:{kind:02x}:{idx:02x}");
    let mut text = EXAMPLES[0].1.split_once("  nodes:").unwrap().0.to_owned();
    text += "    hosts:\n";
    for name in hosts {
        text.extend([format!("      - {{name: {name}}}\n")]);
    }
    text += "  nodeDefaults: {installDisk: /dev/disk/by-id/x}\n  nodes:\n";
    for (idx, name) in nodes.iter().enumerate() {
        let role = if idx == 0 { "control-plane" } else { "worker" };
        let (boot, bmc) = (mac(idx, 1), mac(idx, 2));
        text.extend([format!(
            "    - {{name: {name}, roles: [{role}], bootMac: \"{boot}\", bmc: {{mac: \"{bmc}\"}}}}\n"
        )]);
    }
    text
}

fn addresses(site: &Site) -> BTreeSet<(String, String)> {
    let nodes = site
        .nodes
        .values()
        .map(|node| (node.name.to_string(), node.address.to_string()));
    let bmcs = site.nodes.values().filter_map(|node| {
        Some((
            format!("{}-mgmt", node.name),
            node.bmc.as_ref()?.address.to_string(),
        ))
    });
    let hosts = site
        .lan
        .hosts
        .values()
        .map(|host| (host.name.to_string(), host.address.to_string()));
    nodes.chain(bmcs).chain(hosts).collect()
}

proptest! {
    #[test]
    fn the_order_of_the_file_decides_no_address(
        nodes in proptest::collection::btree_set("(node|cp|w|[a-c]{2})-?[0-9]{1,2}", 1..12),
        hosts in proptest::collection::btree_set("[d-z]{3,6}x", 1..6),
        seed in any::<u64>(),
    ) {
        let (nodes, hosts): (Vec<String>, Vec<String>) = (nodes.into_iter().collect(), hosts.into_iter().collect());
        let mut shuffled = nodes.clone();
        let turn = usize::try_from(seed % nodes.len() as u64).unwrap();
        shuffled.rotate_left(turn);
        shuffled.reverse();
        let reversed: Vec<String> = hosts.iter().rev().cloned().collect();
        let one = load(&file(&nodes, &hosts)).unwrap().site;
        let other = load(&file(&shuffled, &reversed)).unwrap().site;
        prop_assert_eq!(addresses(&one), addresses(&other));
    }

    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}") {
        fuzz::site_file(text.as_bytes());
    }

    #[test]
    fn any_yaml_is_judged(text in "([ \\-]{0,6}[a-z&*!|>'\"\\[\\]{},:#%?~]{1,6}(: |:|, |\n)?){0,40}") {
        fuzz::site_file(text.as_bytes());
    }

    /// The examples with some characters replaced, taken out or put in.
    #[test]
    fn a_damaged_example_is_judged(
        which in 0..EXAMPLES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_usize, "[\\PC\n\t\r\u{1b}]{0,3}"), 1..8),
    ) {
        let mut text: Vec<char> = EXAMPLES[which].1.chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
            if text.is_empty() {
                text.push('-');
            }
        }
        fuzz::site_file(text.iter().collect::<String>().as_bytes());
    }

    /// The examples with lines doubled, taken out or moved.
    #[test]
    fn a_shuffled_example_is_judged(
        which in 0..EXAMPLES.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8), 1..8),
    ) {
        let mut lines: Vec<&str> = EXAMPLES[which].1.lines().collect();
        for (at, to, what) in edits {
            let (at, to) = (at.index(lines.len()), to.index(lines.len()));
            match what {
                0 => lines.swap(at, to),
                1 => lines.insert(to, lines[at]),
                _ if lines.len() > 1 => drop(lines.remove(at)),
                _ => (),
            }
        }
        fuzz::site_file(lines.join("\n").as_bytes());
    }
}
