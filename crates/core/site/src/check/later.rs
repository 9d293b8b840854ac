//! What the file says and no service of this version acts on: told once for each part, and kept.

use std::collections::BTreeMap;

use faros_model::wire::v1alpha1 as wire;

use super::Check;
use crate::{
    codes::Code,
    place::{join, problem},
};

/// Parts of the format that a later version keeps, by the key under which they are told.
const PARTS: &[(&str, &[&str])] = &[
    ("uplink", &["proxy"]),
    ("cluster", &["pullSecretRef", "fips"]),
    ("machines", &[]),
    ("storage", &[]),
    ("monitoring", &[]),
    ("secrets", &[]),
    ("hub", &[]),
];

impl Check<'_> {
    /// Says of each part that it is not acted on, and keeps it as the file has it.
    pub(super) fn later(&mut self, spec: &wire::Spec) -> BTreeMap<String, serde_json::Value> {
        let whole = serde_json::to_value(spec).unwrap_or_default();
        let mut later = BTreeMap::new();
        let cluster = spec.cluster.as_ref();
        let distribution = cluster.and_then(|cluster| cluster.distribution);
        let plugin = cluster.and_then(|cluster| cluster.network_plugin);
        for (part, keys) in PARTS {
            // Only the machines are made for another distribution, and for another plug-in nothing but the rest.
            let keys: &[&str] = match (*part, distribution, plugin) {
                ("cluster", Some(wire::Distribution::Openshift), _) => &[],
                ("cluster", _, None | Some(wire::NetworkPlugin::Bridge)) => keys,
                ("cluster", ..) => &["pullSecretRef", "fips", "networkPlugin"],
                _ => keys,
            };
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
        later
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
