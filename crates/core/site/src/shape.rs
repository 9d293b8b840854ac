//! Holds the tree against the schema: unknown keys, missing keys, wrong types, unknown words, secrets.
//!
//! What does not fit is told and left out; the rest becomes JSON for the wire types. So one mistake hides
//! no other: the later checks see all that is well-formed. A scalar is what the schema wants it to be, and
//! never what YAML would guess: `no` is a name where a name is wanted.

mod say;

use std::collections::{BTreeSet, HashMap};

use faros_model::problem::Problem;
use say::{add, describe, mapping_hint, scalar_hint};
use serde_json::{Map, Value as Json};

use crate::{
    codes::Code,
    place::{Mark, item, join, key as key_path, last, last_key, parent, problem},
    schema::{self, Schema},
    secrets,
    show::{closest, or, show},
    tree::{Key, Node, Value},
};

/// Where each value of the document stands.
#[derive(Default)]
pub(crate) struct Places {
    marks: HashMap<String, Mark>,
    /// The keys before values.
    keys: HashMap<String, Mark>,
    /// For each list of which something was left out: the places in the file of what was kept.
    kept: HashMap<String, Vec<usize>>,
}

impl Places {
    /// Where the value at `path` stands, or the nearest that holds it.
    pub(crate) fn mark(&self, path: &str) -> Mark {
        let mut ways = std::iter::successors(Some(path), |path| parent(path));
        ways.find_map(|path| self.marks.get(path))
            .copied()
            .unwrap_or(Mark::START)
    }

    /// Where the key before the value at `path` stands.
    pub(crate) fn key(&self, path: &str) -> Mark {
        self.keys.get(path).copied().unwrap_or_else(|| self.mark(path))
    }

    /// Whether the file has a value at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.marks.contains_key(path)
    }

    /// The path in the file of item `idx` of the list at `path`.
    pub(crate) fn item(&self, path: &str, idx: usize) -> String {
        let kept = self.kept.get(path).and_then(|kept| kept.get(idx));
        item(path, kept.copied().unwrap_or(idx))
    }
}

pub(crate) struct Shaped {
    /// What fits the schema.
    pub(crate) json: Json,
    pub(crate) places: Places,
    pub(crate) problems: Vec<Problem>,
}

/// Holds a document against the schema.
pub(crate) fn shape(root: &Node) -> Shaped {
    let schema = Schema::read();
    let mut walk = Walk {
        all: &schema,
        places: Places::default(),
        problems: Vec::new(),
    };
    let json = walk.value(root, schema.root(), "");
    Shaped {
        json: json.unwrap_or_else(|| Json::Object(Map::new())),
        places: walk.places,
        problems: walk.problems,
    }
}

struct Walk<'s> {
    all: &'s Schema,
    places: Places,
    problems: Vec<Problem>,
}

impl<'s> Walk<'s> {
    fn tell(&mut self, code: Code, mark: Mark, path: &str, what: String, hint: impl Into<String>) {
        self.problems.push(problem(code, mark, path, what, hint));
    }

    fn value(&mut self, node: &Node, schema: &'s Json, path: &str) -> Option<Json> {
        self.places.marks.insert(path.to_owned(), node.mark);
        let all = self.all;
        let schema = all.resolve(schema);
        match &node.value {
            Value::Told => return None,
            _ if node.is_null() => {
                let what = format!("`{}` has no value", last(path));
                let hint = format!("give it {}, or leave the key out", describe(all, schema));
                self.tell(Code::MissingValue, node.mark, path, what, hint);
                return None;
            }
            Value::Scalar { text, .. } => {
                if let Some(what) = secrets::find(text) {
                    self.tell(
                        Code::SecretInClear,
                        node.mark,
                        path,
                        what.to_owned(),
                        secrets::HINT,
                    );
                    return None;
                }
            }
            Value::Sequence(_) | Value::Mapping(_) => (),
        }
        let fitting = match schema.get("anyOf").and_then(Json::as_array) {
            None => Some(schema),
            Some(branches) => branches
                .iter()
                .map(|branch| all.resolve(branch))
                .find(|branch| fits(node, branch)),
        };
        let Some(branch) = fitting else {
            return self.wrong_type(node, schema, path);
        };
        match (branch.get("type").and_then(Json::as_str), &node.value) {
            (_, Value::Scalar { text, .. }) if schema::words(branch).is_some() => {
                self.word(node, text, schema, branch, path)
            }
            (Some("object"), Value::Mapping(entries)) => Some(self.mapping(node, entries, branch, path)),
            (Some("array"), Value::Sequence(items)) => self.sequence(items, branch, path),
            (Some("string"), Value::Scalar { text, .. }) => Some(Json::String(text.clone())),
            (Some("integer"), Value::Scalar { text, plain: true }) => self.integer(node, text, branch, path),
            (Some("boolean"), Value::Scalar { text, plain: true }) if text == "true" => {
                Some(Json::Bool(true))
            }
            (Some("boolean"), Value::Scalar { text, plain: true }) if text == "false" => {
                Some(Json::Bool(false))
            }
            _ => self.wrong_type(node, schema, path),
        }
    }

    fn wrong_type(&mut self, node: &Node, schema: &'s Json, path: &str) -> Option<Json> {
        let (found, hint) = match &node.value {
            Value::Scalar { text, plain: true } => (show(text), scalar_hint(schema, text)),
            Value::Scalar { text, plain: false } => (
                format!("the quoted text {}", show(text)),
                scalar_hint(schema, text),
            ),
            Value::Sequence(items) if items.is_empty() => ("an empty list".to_owned(), String::new()),
            Value::Sequence(_) => ("a list".to_owned(), String::new()),
            Value::Mapping(_) => ("a mapping".to_owned(), mapping_hint(schema)),
            Value::Told => return None,
        };
        let name = if path.is_empty() {
            "the file".to_owned()
        } else {
            format!("`{}`", last(path))
        };
        let what = format!(
            "{name} must be {}, and this is {found}",
            describe(self.all, schema)
        );
        self.tell(Code::WrongType, node.mark, path, what, hint);
        None
    }

    fn integer(&mut self, node: &Node, text: &str, schema: &'s Json, path: &str) -> Option<Json> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let decimal =
            digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        if digits.is_empty() || !decimal {
            return self.wrong_type(node, schema, path);
        }
        let bound = |key| schema.get(key).and_then(Json::as_i64);
        let low = bound("minimum").unwrap_or(0);
        let high = bound("maximum").unwrap_or(i64::from(u32::MAX));
        match text.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Some(number.into()),
            _ => {
                let range = match bound("maximum") {
                    None if text.len() < 10 => format!("{low} or more"),
                    _ => format!("between {low} and {high}"),
                };
                let what = format!("`{}` is {}, and must be {range}", last(path), show(text));
                let usual = schema.get("default");
                let hint = usual.map(|usual| format!("{usual} is usual")).unwrap_or_default();
                self.tell(Code::NumberOutOfRange, node.mark, path, what, hint);
                None
            }
        }
    }

    fn word(
        &mut self,
        node: &Node,
        text: &str,
        whole: &'s Json,
        branch: &'s Json,
        path: &str,
    ) -> Option<Json> {
        let words = schema::words(branch)?;
        if words.contains(&text) {
            return Some(Json::String(text.to_owned()));
        }
        let code = match path {
            "apiVersion" => Code::UnsupportedVersion,
            "kind" => Code::UnsupportedKind,
            _ => Code::UnknownValue,
        };
        let hint = match (closest(text, words.iter().copied()), words.as_slice()) {
            (Some(word), _) => format!("did you mean `{word}`?"),
            (None, [only]) => format!("write `{only}`"),
            (None, _) => format!("write {}", describe(self.all, whole)),
        };
        let what = format!("{} is no value of `{}`", show(text), last_key(path));
        self.tell(code, node.mark, path, what, hint);
        None
    }

    fn sequence(&mut self, items: &[Node], schema: &'s Json, path: &str) -> Option<Json> {
        let of = schema.get("items")?;
        let mut kept = Vec::new();
        let mut list = Vec::new();
        for (idx, node) in items.iter().enumerate() {
            if let Some(value) = self.value(node, of, &item(path, idx)) {
                kept.push(idx);
                list.push(value);
            }
        }
        if kept.len() < items.len() {
            self.places.kept.insert(path.to_owned(), kept);
        }
        Some(Json::Array(list))
    }

    fn mapping(&mut self, node: &Node, entries: &[(Key, Node)], schema: &'s Json, path: &str) -> Json {
        let mut out = Map::new();
        let Some(known) = schema.get("properties").and_then(Json::as_object) else {
            // Free keys: labels.
            let of = schema.get("additionalProperties").unwrap_or(&Json::Bool(true));
            for (key, value) in entries {
                let inside = key_path(path, &key.text);
                if secrets::is_label(&key.text) {
                    self.secret_key(key, &inside);
                    continue;
                }
                self.places.keys.insert(inside.clone(), key.mark);
                if let Some(value) = self.value(value, of, &inside) {
                    out.insert(key.text.clone(), value);
                }
            }
            return Json::Object(out);
        };
        let mut meant = BTreeSet::new();
        for (key, value) in entries {
            let inside = key_path(path, &key.text);
            match known.get(&key.text) {
                Some(schema) => {
                    self.places.keys.insert(inside.clone(), key.mark);
                    let fitted = self.value(value, schema, &inside);
                    out.extend(fitted.map(|value| (key.text.clone(), value)));
                }
                None if matches!(value.value, Value::Told) => (),
                None if secrets::is_name(&key.text) && !known.contains_key(&format!("{}s", key.text)) => {
                    self.secret_key(key, &inside);
                }
                None => meant.extend(self.unknown_key(key, known, path, &inside)),
            }
        }
        let required = schema.get("required").and_then(Json::as_array);
        let absent = required.into_iter().flatten().filter_map(Json::as_str);
        for key in absent.filter(|key| entries.iter().all(|(have, _)| have.text != *key)) {
            // A key that is there under a wrong name is one mistake, not two.
            if !meant.contains(key) {
                let what = format!("{} has no `{key}`", owner(node, path));
                let hint = known
                    .get(key)
                    .map(|schema| add(self.all, key, schema))
                    .unwrap_or_default();
                self.tell(Code::MissingKey, node.mark, &join(path, key), what, hint);
            }
        }
        Json::Object(out)
    }

    fn secret_key(&mut self, key: &Key, path: &str) {
        let what = format!("{} looks like a secret", show(&key.text));
        self.tell(Code::SecretInClear, key.mark, path, what, secrets::HINT);
    }

    /// Tells of a key that is not known; says which was meant.
    fn unknown_key(
        &mut self,
        key: &Key,
        known: &'s Map<String, Json>,
        path: &str,
        inside: &str,
    ) -> Option<&'s str> {
        let meant = closest(&key.text, known.keys().map(String::as_str));
        let hint = if let Some(word) = meant {
            format!("did you mean `{word}`?")
        } else if let Some(homes) = self.all.homes(&key.text).filter(|homes| homes.len() <= 3) {
            let homes: Vec<String> = homes
                .iter()
                .map(|home| {
                    if home.is_empty() {
                        "at the top".to_owned()
                    } else {
                        format!("in `{home}`")
                    }
                })
                .collect();
            format!("it belongs {}", or(&homes))
        } else {
            format!(
                "known: {}",
                known.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )
        };
        let place = if path.is_empty() {
            "a site file".to_owned()
        } else {
            format!("`{}`", last(path))
        };
        let what = format!("{place} has no key {}", show(&key.text));
        self.tell(Code::UnknownKey, key.mark, inside, what, hint);
        meant
    }
}

/// What lacks a key, with its name if it has one.
fn owner(node: &Node, path: &str) -> String {
    let name = node.get("name").map(|name| &name.value);
    match name {
        _ if path.is_empty() => "the file".to_owned(),
        Some(Value::Scalar { text, .. }) => format!("`{}` ({})", last(path), show(text).trim_matches('`')),
        _ => format!("`{}`", last(path)),
    }
}

fn fits(node: &Node, schema: &Json) -> bool {
    let kind = schema.get("type").and_then(Json::as_str);
    match &node.value {
        Value::Scalar { .. } => {
            schema::words(schema).is_some() || matches!(kind, Some("string" | "integer" | "boolean"))
        }
        Value::Sequence(_) => kind == Some("array"),
        Value::Mapping(_) => kind == Some("object"),
        Value::Told => false,
    }
}
