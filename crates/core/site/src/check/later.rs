//! What the file says and no service of this version acts on: told once for each part, and kept.

use std::collections::BTreeMap;

use faros_model::wire::v1alpha1 as wire;

use super::Check;
use crate::{
    codes::Code,
    place::{item, join, problem},
    tree::{Node, Value},
};

/// Parts of the format that a later version keeps, by the key under which they are told.
const PARTS: &[(&str, &[&str])] = &[
    (
        "uplink",
        &["addressing", "gatewayMode", "trustedNetworks", "publish", "proxy"],
    ),
    ("lan", &["firewall"]),
    ("time", &[]),
    ("cluster", &[]),
    ("machines", &[]),
    ("storage", &[]),
    ("monitoring", &[]),
    ("secrets", &[]),
    ("unlock", &[]),
    ("hub", &[]),
];

/// The same for keys of a node.
const OF_NODES: &[&str] = &["installDisk", "dataDisks", "encryption"];

impl Check<'_> {
    /// Says of each part that it is not acted on, and keeps it as the file has it.
    pub(super) fn later(&mut self, root: &Node, spec: &wire::Spec) -> BTreeMap<String, serde_json::Value> {
        let whole = serde_json::to_value(spec).unwrap_or_default();
        let mut later = BTreeMap::new();
        for (part, keys) in PARTS {
            let Some(value) = whole.get(part) else {
                continue;
            };
            let path = join("spec", part);
            if keys.is_empty() {
                later.insert((*part).to_owned(), value.clone());
                self.not_yet(&path, &[part]);
                continue;
            }
            let used: Vec<&str> = keys
                .iter()
                .copied()
                .filter(|key| value.get(key).is_some())
                .collect();
            for key in &used {
                later.insert(format!("{part}.{key}"), value[*key].clone());
            }
            if let Some(first) = used.first() {
                self.not_yet(&join(&path, first), &used);
            }
        }
        self.later_of_nodes(root);
        later
    }

    /// One warning for all nodes, where the first of its keys stands.
    fn later_of_nodes(&mut self, root: &Node) {
        let mut used: Vec<(&str, String)> = Vec::new();
        for key in OF_NODES {
            let spec = root.get("spec");
            let defaults = spec
                .and_then(|spec| spec.get("nodeDefaults"))
                .and_then(|defaults| defaults.get(key));
            let in_nodes = || match spec?.get("nodes")?.value {
                Value::Sequence(ref nodes) => nodes.iter().position(|node| node.get(key).is_some()),
                Value::Scalar { .. } | Value::Mapping(_) | Value::Told => None,
            };
            if defaults.is_some() {
                used.push((key, join("spec.nodeDefaults", key)));
            } else if let Some(idx) = in_nodes() {
                used.push((key, join(&item("spec.nodes", idx), key)));
            }
        }
        let keys: Vec<&str> = used.iter().map(|(key, _)| *key).collect();
        let first = used.iter().min_by_key(|(_, path)| {
            let mark = self.places.mark(path);
            (mark.line, mark.column)
        });
        if let Some((_, path)) = first.cloned() {
            self.not_yet(&path, &keys);
        }
    }

    fn not_yet(&mut self, path: &str, keys: &[&str]) {
        let names: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let what = match names.as_slice() {
            [only] => format!("{only} is checked and kept, but no service acts on it yet"),
            _ => format!(
                "{} are checked and kept, but no service acts on them yet",
                names.join(", ")
            ),
        };
        let mark = self.places.key(path);
        self.warnings
            .push(problem(Code::NotActedOnYet, mark, path, what, ""));
    }
}
