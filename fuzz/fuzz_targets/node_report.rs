//! Any lines as what a node reports, one after the other.

#![no_main]

use std::sync::LazyLock;

use faros_cluster::{Said, upgrade};
use faros_model::site::Site;

const EXAMPLE: &str = include_str!("../../examples/everything.yaml");

static SITE: LazyLock<Site> = LazyLock::new(|| faros_site::load(EXAMPLE).expect("an example").site);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let node = SITE.nodes.values().next().expect("the example has nodes");
    faros_boot::fuzz::reports(&SITE, node, bytes);
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some((report, said)) = faros_boot::read_report(line) {
            drop((Said::of(&report, &said), upgrade::Said::of(&report, &said)));
        }
    }
});
