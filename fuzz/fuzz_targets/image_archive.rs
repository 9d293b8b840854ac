//! Any bytes as an archive of container images.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_kubernetes::fuzz::archive(bytes));
