//! Any bytes as a manifest of an image.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_registry::fuzz::manifest(bytes));
