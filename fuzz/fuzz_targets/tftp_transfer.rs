//! Any series of acknowledgments to a TFTP transfer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faros_tftp::fuzz::transfer(bytes));
