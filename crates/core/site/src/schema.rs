//! The JSON Schema of the site file, and what the check reads out of it.
//!
//! It is made from the wire types, and checked in as text. Who checks a file reads the text: what makes a schema of types
//! is half a megabyte of code, which no program needs in its memory for that.

use std::{cell::OnceCell, collections::BTreeMap};

use faros_model::wire::v1alpha1::SiteFile;
use serde_json::{Map, Value, json};

/// The JSON Schema of the site file (draft 2020-12), for editors and other tools: [`json_schema`], as it is checked in.
pub const SCHEMA: &str = include_str!("../../../../docs/site.schema.json");

/// The JSON Schema of the site file, made from the wire types.
pub fn json_schema() -> Value {
    let mut schema = schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<SiteFile>()
        .to_value();
    tidy(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("Faros site file, v1alpha1"));
    }
    schema
}

/// The schema, while something is held against it.
pub(crate) struct Schema {
    root: Value,
    homes: OnceCell<BTreeMap<String, Vec<String>>>,
}

impl Schema {
    /// As it is checked in.
    pub(crate) fn read() -> Self {
        // A test sees that it can be read, and that it is what the types say.
        Self::of(serde_json::from_str(SCHEMA).unwrap_or_default())
    }

    /// As the types say.
    pub(crate) fn made() -> Self {
        Self::of(json_schema())
    }

    fn of(root: Value) -> Self {
        Self {
            root,
            homes: OnceCell::new(),
        }
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Follows a reference into `$defs`.
    pub(crate) fn resolve<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let name = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|path| path.strip_prefix("#/$defs/"));
        name.and_then(|name| self.root.get("$defs")?.get(name))
            .unwrap_or(schema)
    }

    /// Paths of the mappings in which `key` may stand; list indexes are `[]`.
    pub(crate) fn homes(&self, key: &str) -> Option<&Vec<String>> {
        let homes = self.homes.get_or_init(|| {
            let mut homes = BTreeMap::new();
            self.visit(&self.root, "", &mut homes);
            homes
        });
        homes.get(key)
    }

    fn visit(&self, schema: &Value, path: &str, homes: &mut BTreeMap<String, Vec<String>>) {
        let schema = self.resolve(schema);
        for branch in schema
            .get("anyOf")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            self.visit(branch, path, homes);
        }
        if let Some(items) = schema.get("items") {
            self.visit(items, &format!("{path}[]"), homes);
        }
        for (key, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            homes.entry(key.clone()).or_default().push(path.to_owned());
            let inside = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            self.visit(inner, &inside, homes);
        }
    }
}

/// The words of an enumeration, if the schema is one.
pub(crate) fn words(schema: &Value) -> Option<Vec<&str>> {
    let consts = schema.get("oneOf").and_then(Value::as_array)?;
    consts
        .iter()
        .map(|word| word.get("const").and_then(Value::as_str))
        .collect()
}

/// The first example of a key's value, or its default, as it would be written in one line of YAML.
pub(crate) fn example(schema: &Value) -> Option<String> {
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
