//! Any bytes as an ARP frame.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_dhcp::fuzz::arp(bytes));
