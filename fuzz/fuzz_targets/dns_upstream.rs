//! Any bytes as the answer of a forwarder.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_dns::fuzz::upstream(bytes));
