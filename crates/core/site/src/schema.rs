//! The JSON Schema of the site file, made from the wire types, and what the check reads out of it.

use std::{collections::BTreeMap, sync::LazyLock};

use faros_model::wire::v1alpha1::SiteFile;
use serde_json::{Map, Value, json};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<SiteFile>()
        .to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("Faros site file, v1alpha1"));
    }
    schema
});

/// The JSON Schema of the site file (draft 2020-12), for editors and other tools.
pub fn json_schema() -> Value {
    SCHEMA.clone()
}

pub(crate) fn root() -> &'static Value {
    &SCHEMA
}

/// Follows a reference into `$defs`.
pub(crate) fn resolve(schema: &'static Value) -> &'static Value {
    let name = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| SCHEMA["$defs"].get(name)).unwrap_or(schema)
}

/// The words of an enumeration, if the schema is one.
pub(crate) fn words(schema: &'static Value) -> Option<Vec<&'static str>> {
    let consts = schema.get("oneOf").and_then(Value::as_array)?;
    consts
        .iter()
        .map(|word| word.get("const").and_then(Value::as_str))
        .collect()
}

/// Paths of the mappings in which `key` may stand; list indexes are `[]`.
pub(crate) fn homes(key: &str) -> Option<&'static Vec<String>> {
    static HOMES: LazyLock<BTreeMap<&'static str, Vec<String>>> = LazyLock::new(|| {
        let mut homes = BTreeMap::new();
        visit(root(), "", &mut homes);
        homes
    });
    HOMES.get(key)
}

/// The first example of a key's value, or its default, as it would be written in one line of YAML.
pub(crate) fn example(schema: &'static Value) -> Option<String> {
    let examples = schema.get("examples").and_then(Value::as_array);
    examples.and_then(|examples| examples.first()).map(yaml)
}

/// A JSON value in YAML's flow style.
pub(crate) fn yaml(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./ …@".contains(c);
            let word =
                text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/');
            if word { text.clone() } else { format!("{text:?}") }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(yaml).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{key}: {}", yaml(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn visit(schema: &'static Value, path: &str, homes: &mut BTreeMap<&'static str, Vec<String>>) {
    let schema = resolve(schema);
    for branch in schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        visit(branch, path, homes);
    }
    if let Some(items) = schema.get("items") {
        visit(items, &format!("{path}[]"), homes);
    }
    for (key, inner) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        homes.entry(key).or_default().push(path.to_owned());
        let inside = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        visit(inner, &inside, homes);
    }
}

/// Takes out what only says that a wire field is an `Option`: the file knows no null.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(object) => {
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|word| word != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type") != Some(&json!("null")));
                if branches.len() == 1
                    && let Some(Value::Object(only)) = branches.pop()
                {
                    object.remove("anyOf");
                    merge(object, only);
                }
            }
            if object.get("default") == Some(&Value::Null) {
                object.remove("default");
            }
            object.values_mut().for_each(tidy);
        }
        _ => (),
    }
}

/// Adds what `more` says to `object`; what a field says about itself wins over what its type says.
fn merge(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        object.entry(key).or_insert(value);
    }
}
