//! Any bytes as a DHCP message.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_dhcp::fuzz::message(bytes));
