//! Which bytes of a file a request gets (RFC 9110 section 14).

use crate::head::Request;

/// Most ranges of one request; more is a way to make a server work, not a way to read a file.
const MAX_PARTS: usize = 16;

/// A part of a file: `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Offset of its first byte.
    pub first: u64,
    /// Offset of its last byte.
    pub last: u64,
}

impl Part {
    /// How many bytes it has; never none.
    #[expect(clippy::len_without_is_empty, reason = "a part has at least one byte")]
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// The `Content-Range` of an answer that carries it.
    pub fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.first, self.last)
    }
}

/// Which bytes a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    /// All of them (200).
    Whole,
    /// One part (206).
    One(Part),
    /// Several parts, as `multipart/byteranges` (206).
    Many(Vec<Part>),
    /// None: the client has them already (304).
    NotModified,
    /// None: no byte of the ranges exists (416).
    Unsatisfiable,
}

/// Decides which bytes of a file of `size` bytes with the strong entity tag `etag` (without quotes) a
/// request gets. A `Range` that is malformed, or whose parts overlap, is ignored, as the RFC allows.
pub fn select(request: &Request, size: u64, etag: &str) -> Select {
    if request
        .if_none_match
        .as_deref()
        .is_some_and(|list| lists(list, etag))
    {
        return Select::NotModified;
    }
    // A date in `If-Range` cannot match: files are known by their digest alone.
    if request
        .if_range
        .as_deref()
        .is_some_and(|tag| tag.trim_matches('"') != etag || tag.starts_with("W/"))
    {
        return Select::Whole;
    }
    let Some(specs) = request
        .range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes="))
    else {
        return Select::Whole;
    };
    let mut parts: Vec<Part> = Vec::new();
    for (idx, spec) in specs
        .split(',')
        .map(str::trim)
        .filter(|spec| !spec.is_empty())
        .enumerate()
    {
        if idx >= MAX_PARTS {
            return Select::Whole;
        }
        let Some((first, last)) = spec.split_once('-') else {
            return Select::Whole;
        };
        let Some(part) = part(first, last, size) else {
            return Select::Whole;
        };
        parts.extend(part);
    }
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.first);
    if sorted.windows(2).any(|pair| pair[1].first <= pair[0].last) {
        return Select::Whole;
    }
    match parts.as_slice() {
        [] => Select::Unsatisfiable,
        [only] => Select::One(*only),
        _ => Select::Many(parts),
    }
}

/// One range: `None` if it is malformed, `Some(None)` if no byte of it exists.
#[expect(clippy::option_option, reason = "malformed and out of reach are two answers")]
fn part(first: &str, last: &str, size: u64) -> Option<Option<Part>> {
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())?
    };
    Some(match (first, last) {
        ("", "") => return None,
        ("", suffix) => {
            let length = number(suffix)?.min(size);
            (length > 0).then(|| Part {
                first: size - length,
                last: size - 1,
            })
        }
        (first, last) => {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            (first < size).then(|| Part {
                first,
                last: last.min(size - 1),
            })
        }
    })
}

/// Whether a list of entity tags has this one; weak comparison (RFC 9110 section 13.1.2).
fn lists(list: &str, etag: &str) -> bool {
    let tag = |item: &str| item.trim().trim_start_matches("W/").trim_matches('"') == etag;
    list.trim() == "*" || list.split(',').any(tag)
}
