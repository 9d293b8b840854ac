//! Any bytes as an HTTP request.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_http::fuzz::request(bytes));
