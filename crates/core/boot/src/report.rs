//! What nodes report of themselves: JSON, posted by name.

use serde_json::{Map, Value};

/// Reads a report: its word, and all that it says; `None` if it is none.
pub fn read_report(body: &[u8]) -> Option<(String, Map<String, Value>)> {
    let Ok(Value::Object(said)) = serde_json::from_slice(body) else {
        return None;
    };
    let report = said.get("report").and_then(Value::as_str)?.to_owned();
    Some((report, said))
}
