//! Any text as the target of a request to the registry.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_registry::fuzz::request(&String::from_utf8_lossy(bytes)));
