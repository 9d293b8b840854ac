//! What the schema wants, in words.

use serde_json::Value as Json;

use crate::{
    schema,
    show::{or, show},
};

/// Says what to add: the key with an example, or with its meaning.
pub(super) fn add(key: &str, schema: &'static Json) -> String {
    match schema::example(schema) {
        Some(example) => format!("add `{key}: {example}`: {}", meaning(schema)),
        None => format!("add `{key}`: {}", meaning(schema)),
    }
}

/// What to do about text where something else is wanted.
pub(super) fn scalar_hint(schema: &Json, text: &str) -> String {
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => format!("write a list: [{}]", show(text).trim_matches('`')),
        Some("boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "true" => "write `true`, without quotes".to_owned(),
            "no" | "off" | "false" => "write `false`, without quotes".to_owned(),
            _ => String::new(),
        },
        Some("integer") => {
            let digits = text.trim_start_matches('0');
            let number =
                !digits.is_empty() && digits.len() < 10 && digits.bytes().all(|b| b.is_ascii_digit());
            if number {
                format!("write {digits}, in decimal and without quotes")
            } else {
                String::new()
            }
        }
        _ => String::new(),
    }
}

/// What to do about a mapping where a list of mappings is wanted.
pub(super) fn mapping_hint(schema: &Json) -> String {
    match schema.get("type").and_then(Json::as_str) {
        Some("array") => "begin each item with `- `".to_owned(),
        _ => String::new(),
    }
}

/// What a value must be, in words.
pub(super) fn describe(schema: &'static Json) -> String {
    let schema = schema::resolve(schema);
    if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
        return or(&branches.iter().map(describe).collect::<Vec<_>>());
    }
    if let Some(words) = schema::words(schema) {
        return or(&words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>());
    }
    match schema.get("type").and_then(Json::as_str) {
        Some("string") => "text".to_owned(),
        Some("integer") => "a whole number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => "a list".to_owned(),
        Some("object") => match schema.get("required").and_then(Json::as_array) {
            Some(keys) => {
                let keys: Vec<_> = keys.iter().filter_map(Json::as_str).collect();
                format!("a mapping with {}", keys.join(", "))
            }
            None => "a mapping".to_owned(),
        },
        _ => "a value".to_owned(),
    }
}

/// First sentence of a key's description.
fn meaning(schema: &'static Json) -> String {
    let text = schema
        .get("description")
        .or_else(|| schema::resolve(schema).get("description"));
    let text = text.and_then(Json::as_str).unwrap_or_default();
    let first = text
        .split(['.', ';'])
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    let mut letters = first.chars();
    let start = letters.next().map(|first| first.to_lowercase().to_string());
    start.unwrap_or_default() + letters.as_str()
}
