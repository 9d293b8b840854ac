//! Any bytes as an NTP question, and as the answer of a source.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_ntp::fuzz::packet(bytes));
