//! Any bytes as a DNS query.

#![no_main]

use std::sync::LazyLock;

use faros_dns::Zones;
use faros_model::ids::Generation;

const SITE: &str = include_str!("../../examples/everything.yaml");

static ZONES: LazyLock<Zones> =
    LazyLock::new(|| Zones::compile(&faros_site::load(SITE).expect("an example").site, Generation(1)));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_dns::fuzz::query(&ZONES, bytes));
