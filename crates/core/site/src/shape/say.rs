//! What the schema wants, in words.

use serde_json::Value as Json;

use crate::{
    schema::{self, Schema},
    show::{or, show},
};

/// Says what to add: the key with an example, or with its meaning.
pub(super) fn add(all: &Schema, key: &str, schema: &Json) -> String {
    match schema::example(schema) {
        Some(example) => format!("add `{key}: {example}`: {}", meaning(all, schema)),
        None => format!("add `{key}`: {}", meaning(all, schema)),
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
pub(super) fn describe(all: &Schema, schema: &Json) -> String {
    or(&alternatives(all, schema))
}

fn alternatives(all: &Schema, schema: &Json) -> Vec<String> {
    let schema = all.resolve(schema);
    if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
        return branches
            .iter()
            .flat_map(|branch| alternatives(all, branch))
            .collect();
    }
    if let Some(words) = schema::words(schema) {
        return words.iter().map(|word| format!("`{word}`")).collect();
    }
    let kind = match schema.get("type").and_then(Json::as_str) {
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        Some("array") => "a list",
        Some("object") => "a mapping",
        _ => "a value",
    };
    let keys = schema.get("required").and_then(Json::as_array);
    let keys: Vec<&str> = keys.into_iter().flatten().filter_map(Json::as_str).collect();
    match keys.as_slice() {
        [] => vec![kind.to_owned()],
        keys => vec![format!("{kind} with {}", keys.join(", "))],
    }
}

/// First sentence of a key's description.
fn meaning(all: &Schema, schema: &Json) -> String {
    let text = schema
        .get("description")
        .or_else(|| all.resolve(schema).get("description"));
    let text = text.and_then(Json::as_str).unwrap_or_default();
    let first = text
        .split(['.', ';'])
        .next()
        .unwrap_or_default()
        .replace('\n', " ");
    // `MAC` stays as it is.
    let mut letters = first.chars();
    match (letters.next(), letters.as_str().starts_with(char::is_uppercase)) {
        (Some(start), false) => start.to_lowercase().collect::<String>() + letters.as_str(),
        _ => first,
    }
}
