//! Places in the file: lines and columns, and paths such as `spec.nodes[2].bootMac`.

use faros_model::problem::Problem;

use crate::codes::Code;

/// Where something stands: line and column from 1, and how many characters to underline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

impl Mark {
    /// The first character of the file.
    pub(crate) const START: Self = Self {
        line: 1,
        column: 1,
        width: 1,
    };
}

/// A problem at a place.
pub(crate) fn problem(
    code: Code,
    mark: Mark,
    path: &str,
    message: impl Into<String>,
    hint: impl Into<String>,
) -> Problem {
    Problem {
        code: code.as_str().to_owned(),
        line: mark.line,
        column: mark.column,
        path: path.to_owned(),
        message: message.into(),
        hint: hint.into(),
        width: mark.width.max(1),
    }
}

/// The lines of a text as YAML counts them: ended by LF, CR LF or CR alone.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    // The parser does not count a byte order mark as a column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split_inclusive('\n').flat_map(|line| {
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).split('\r')
    })
}

/// A line or column, from 1, as an index.
pub(crate) fn index(from_one: u32) -> usize {
    usize::try_from(from_one.saturating_sub(1)).unwrap_or(usize::MAX)
}

/// The path of a key of the format, or of several joined by dots, in the mapping at `path`.
pub(crate) fn join(path: &str, keys: &str) -> String {
    if path.is_empty() {
        keys.to_owned()
    } else {
        format!("{path}.{keys}")
    }
}

/// The path of a key that the author chose. One that is no plain word is quoted.
pub(crate) fn key(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if key.is_empty() || !key.chars().all(plain) {
        format!("{path}[{key:?}]")
    } else {
        join(path, key)
    }
}

/// The path of an item of the list at `path`.
pub(crate) fn item(path: &str, idx: usize) -> String {
    format!("{path}[{idx}]")
}

/// The last step of a path: `nodes[2]` of `spec.nodes[2]`.
pub(crate) fn last(path: &str) -> &str {
    let quoted = path.find("[\"").unwrap_or(path.len());
    match path[..quoted].rfind('.') {
        Some(dot) => &path[dot + 1..],
        None => path,
    }
}

/// The last key of a path, without the number of an item: `roles` of `spec.nodes[2].roles[0]`.
pub(crate) fn last_key(path: &str) -> &str {
    let last = last(path);
    last.split('[')
        .next()
        .filter(|key| !key.is_empty())
        .unwrap_or(last)
}

/// The path of what holds `path`; `None` for the document itself.
pub(crate) fn parent(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    if let Some(quoted) = path.find("[\"") {
        return Some(&path[..quoted]);
    }
    Some(path.rfind(['.', '[']).map_or("", |end| &path[..end]))
}
