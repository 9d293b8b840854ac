//! The matrix, what is made of it, and what is held against it, in the examples' sites.

mod rows;
mod texts;
mod verify;

use faros_model::site::Site;
use proptest::prelude::*;

use super::*;

const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../examples/branch-office.yaml"),
    ),
    ("everything", include_str!("../../../../examples/everything.yaml")),
    ("demo", include_str!("../../../../examples/three-nodes.yaml")),
];

fn site(name: &str) -> Site {
    changed(name, &[])
}

/// An example with other words in places.
fn changed(name: &str, words: &[(&str, &str)]) -> Site {
    let (_, text) = EXAMPLES.iter().find(|(own, _)| *own == name).unwrap();
    let mut text = (*text).to_owned();
    for (from, to) in words {
        assert!(text.contains(from), "{from} is not in {name}");
        text = text.replacen(from, to, 1);
    }
    faros_site::load(&text).unwrap().site
}

/// Anything that a site may have.
fn facts() -> impl Strategy<Value = Facts> {
    let of = |words: &'static [Distribution]| prop::sample::select(words);
    let plugins = prop::sample::select(Plugin::ALL);
    let features = prop::sample::subsequence(Feature::ALL, 0..=Feature::ALL.len());
    (of(Distribution::ALL), plugins, features).prop_map(|(distribution, plugin, features)| Facts {
        distribution,
        plugin,
        features: features.into_iter().collect(),
    })
}
