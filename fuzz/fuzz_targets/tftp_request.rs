//! Any bytes as a TFTP request.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_tftp::fuzz::request(bytes));
