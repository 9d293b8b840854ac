//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use crate::{Select, parse, route, select};

/// Whatever the bytes, parsing ends within them; a head that was read is read again when more follows.
pub fn request(bytes: &[u8]) {
    let Ok(Some((request, length))) = parse(bytes) else {
        return;
    };
    assert!(length <= bytes.len());
    assert_eq!(parse(&bytes[..length]), Ok(Some((request.clone(), length))));
    drop(route(&request.path));
    range(&request.range.unwrap_or_default(), 1000);
}

/// Whatever the range, the parts chosen are bytes of the file, and do not overlap.
pub fn range(text: &str, size: u64) {
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\nRange: {text}\r\n\r\n");
    let Ok(Some((request, _))) = parse(text.as_bytes()) else {
        return;
    };
    let mut parts = match select(&request, size, "tag") {
        Select::One(part) => vec![part],
        Select::Many(parts) => parts,
        Select::Whole | Select::NotModified | Select::Unsatisfiable => return,
    };
    parts.sort_by_key(|part| part.first);
    assert!(
        parts
            .iter()
            .all(|part| part.first <= part.last && part.last < size)
    );
    assert!(parts.windows(2).all(|pair| pair[0].last < pair[1].first));
}
