//! Any series of datagrams to a DHCP server.

#![no_main]

use std::sync::{Arc, LazyLock};

use faros_dhcp::Tables;

const SITE: &str = include_str!("../../examples/everything.yaml");

static TABLES: LazyLock<Arc<Tables>> =
    LazyLock::new(|| Arc::new(Tables::compile(&faros_site::load(SITE).expect("an example").site)));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_dhcp::fuzz::server(&TABLES, bytes));
