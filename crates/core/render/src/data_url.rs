//! Texts as `data:` URLs (RFC 2397), which is how a config carries the files in it.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Text that people may want to read in the config: all but unreserved characters are encoded.
pub(crate) fn readable(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold("data:,".to_owned(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Text for programs.
pub(crate) fn compact(text: &str) -> String {
    format!("data:;base64,{}", STANDARD.encode(text))
}
