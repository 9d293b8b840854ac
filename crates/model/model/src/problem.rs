//! What is wrong with an input, told so that its author can mend it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing wrong (or worth a warning) in a site file.
///
/// Lines and columns count from 1; columns count characters, not bytes. The JSON shape is a stable contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable word such as `unknown-key` or `address-outside-subnet`.
    pub code: String,
    /// Line of the offending text, from 1.
    pub line: u32,
    /// Column of the offending text, from 1.
    pub column: u32,
    /// Where in the document, such as `spec.nodes[2].macs[0]`.
    pub path: String,
    /// What is wrong: starts small, has no full stop.
    pub message: String,
    /// What to do about it; empty if there is nothing to add.
    pub hint: String,
    /// Number of characters to underline, at least 1. Not part of the JSON contract.
    #[serde(skip, default)]
    pub width: u32,
}

/// All problems of one input, in the order of the file: the JSON that every refusal carries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problems {
    /// Why the file is refused; empty when it is accepted.
    pub problems: Vec<Problem>,
    /// What is accepted although it may surprise: nothing acts on it yet, or it is unwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Problem>,
}
