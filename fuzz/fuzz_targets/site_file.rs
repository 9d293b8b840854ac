//! Any bytes as a site file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_site::fuzz::site_file(bytes));
