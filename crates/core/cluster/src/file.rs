//! A file for a node.

use std::fmt;

/// A text file that a node is given.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Where it stands.
    pub path: String,
    /// Its permissions.
    pub mode: u32,
    /// What is in it.
    pub text: String,
    /// Whether nobody else may see it.
    pub is_secret: bool,
}

impl File {
    pub(crate) fn open(path: &str, text: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            mode: 0o644,
            text: text.into(),
            is_secret: false,
        }
    }

    pub(crate) fn secret(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: 0o600,
            text: text.into(),
            is_secret: true,
        }
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.is_secret { "[hidden]" } else { &self.text };
        f.debug_struct("File")
            .field("path", &self.path)
            .field("mode", &format_args!("{:o}", self.mode))
            .field("text", &text)
            .finish_non_exhaustive()
    }
}
