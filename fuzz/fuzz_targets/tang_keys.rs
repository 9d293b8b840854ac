//! Any bytes as stored keys of a Tang server, or as a key file of `tangd`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_tang::fuzz::keys(bytes));
