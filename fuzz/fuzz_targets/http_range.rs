//! Any text as a range of a file.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let [size, range @ ..] = bytes {
        faros_http::fuzz::range(&String::from_utf8_lossy(range), u64::from(*size));
    }
});
