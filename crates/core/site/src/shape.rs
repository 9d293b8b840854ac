//! Holds the tree against the schema: unknown keys, missing keys, wrong types, unknown words.
//!
//! What does not fit is told and left out; the rest becomes JSON for the wire types. So one mistake hides
//! no other: the later checks see all that is well-formed.

use std::collections::HashMap;

use faros_model::problem::Problem;
use serde_json::{Map, Value as Json};

use crate::{
    schema,
    tree::{Key, Mark, Node, Value, problem},
};

/// Where each value of the document stands.
#[derive(Default)]
pub(crate) struct Places {
    marks: HashMap<String, Mark>,
    /// For each list of which something was left out: the places in the file of what was kept.
    kept: HashMap<String, Vec<usize>>,
}

impl Places {
    /// Where the value at `path` stands, or the nearest that holds it.
    pub(crate) fn mark(&self, path: &str) -> Mark {
        let mut path = path;
        loop {
            if let Some(mark) = self.marks.get(path) {
                return *mark;
            }
            let Some(end) = path.rfind(['.', '[']) else {
                return self.marks.get("").copied().unwrap_or(Mark {
                    line: 1,
                    column: 1,
                    width: 1,
                });
            };
            path = &path[..end];
        }
    }

    /// The path in the file of item `idx` of the list at `path`.
    pub(crate) fn item(&self, path: &str, idx: usize) -> String {
        let idx = self
            .kept
            .get(path)
            .and_then(|kept| kept.get(idx))
            .copied()
            .unwrap_or(idx);
        format!("{path}[{idx}]")
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
    let mut walk = Walk {
        places: Places::default(),
        problems: Vec::new(),
    };
    let json = walk
        .value(root, schema::root(), "")
        .unwrap_or_else(|| Json::Object(Map::new()));
    Shaped {
        json,
        places: walk.places,
        problems: walk.problems,
    }
}

struct Walk {
    places: Places,
    problems: Vec<Problem>,
}

impl Walk {
    fn tell(&mut self, code: &str, mark: Mark, path: &str, what: String, hint: impl Into<String>) {
        self.problems.push(problem(code, mark, path, what, hint));
    }

    fn value(&mut self, node: &Node, schema: &'static Json, path: &str) -> Option<Json> {
        self.places.marks.insert(path.to_owned(), node.mark);
        let own = schema;
        let schema = schema::resolve(schema);
        if node.is_null() && !path.is_empty() {
            let what = format!("`{}` has no value", last(path));
            let hint = format!("give {}, or leave the key out", describe(schema));
            self.tell("missing-value", node.mark, path, what, hint);
            return None;
        }
        if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
            return match branches.iter().find(|branch| fits(node, schema::resolve(branch))) {
                Some(branch) => self.value(node, branch, path),
                None => self.wrong_type(node, schema, path),
            };
        }
        if let Some(words) = schema::words(schema) {
            return self.word(node, schema, &words, path);
        }
        match (schema.get("type").and_then(Json::as_str), &node.value) {
            (Some("object"), Value::Mapping(entries)) => Some(self.mapping(node, entries, schema, path)),
            (Some("array"), Value::Sequence(items)) => {
                let of = schema.get("items").or_else(|| own.get("items"))?;
                let mut kept = Vec::new();
                let mut list = Vec::new();
                for (idx, item) in items.iter().enumerate() {
                    if let Some(item) = self.value(item, of, &format!("{path}[{idx}]")) {
                        kept.push(idx);
                        list.push(item);
                    }
                }
                if kept.len() < items.len() {
                    self.places.kept.insert(path.to_owned(), kept);
                }
                Some(Json::Array(list))
            }
            (Some("string"), Value::Scalar { text, .. }) => Some(Json::String(text.clone())),
            (Some("integer"), Value::Scalar { text, plain: true }) => self.integer(node, text, schema, path),
            (Some("boolean"), Value::Scalar { text, plain: true }) => match text.as_str() {
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                _ => self.wrong_type(node, schema, path),
            },
            _ => self.wrong_type(node, schema, path),
        }
    }

    fn wrong_type(&mut self, node: &Node, schema: &'static Json, path: &str) -> Option<Json> {
        let (found, hint) = match &node.value {
            Value::Scalar { text, .. } if is_list(schema) => {
                (format!("`{text}`"), format!("write a list: [{text}]"))
            }
            Value::Scalar { text, .. } => (format!("`{text}`"), boolean_hint(schema, text)),
            Value::Sequence(_) => ("a list".to_owned(), String::new()),
            Value::Mapping(_) => ("a mapping".to_owned(), String::new()),
        };
        let name = if path.is_empty() {
            "the site file".to_owned()
        } else {
            format!("`{}`", last(path))
        };
        let what = format!("{name} must be {}, and this is {found}", describe(schema));
        self.tell("wrong-type", node.mark, path, what, hint);
        None
    }

    fn integer(&mut self, node: &Node, text: &str, schema: &'static Json, path: &str) -> Option<Json> {
        let Some(number) = text.parse::<i64>().ok().filter(|_| !text.starts_with('+')) else {
            return self.wrong_type(node, schema, path);
        };
        let low = schema.get("minimum").and_then(Json::as_i64).unwrap_or(i64::MIN);
        let high = schema
            .get("maximum")
            .and_then(Json::as_i64)
            .unwrap_or(i64::from(u32::MAX));
        if !(low..=high).contains(&number) {
            let what = format!(
                "`{}` is {number}, which is not between {low} and {high}",
                last(path)
            );
            self.tell("number-out-of-range", node.mark, path, what, "");
            return None;
        }
        Some(number.into())
    }

    fn word(&mut self, node: &Node, schema: &'static Json, words: &[&str], path: &str) -> Option<Json> {
        let Value::Scalar { text, .. } = &node.value else {
            return self.wrong_type(node, schema, path);
        };
        if words.contains(&text.as_str()) {
            return Some(Json::String(text.clone()));
        }
        let hint = match closest(text, words.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known: {}", words.join(", ")),
        };
        let code = match path {
            "apiVersion" => "unsupported-version",
            "kind" => "unsupported-kind",
            _ => "unknown-value",
        };
        self.tell(
            code,
            node.mark,
            path,
            format!("`{text}` is no value of `{}`", last(path)),
            hint,
        );
        None
    }

    fn mapping(&mut self, node: &Node, entries: &[(Key, Node)], schema: &'static Json, path: &str) -> Json {
        let mut out = Map::new();
        let Some(known) = schema.get("properties").and_then(Json::as_object) else {
            // Free keys: labels.
            for (key, value) in entries {
                let inside = join(path, &key.text);
                let of = schema.get("additionalProperties").unwrap_or(&Json::Bool(true));
                if let Some(value) = self.value(value, of, &inside) {
                    out.insert(key.text.clone(), value);
                }
            }
            return Json::Object(out);
        };
        for (key, value) in entries {
            let inside = join(path, &key.text);
            match known.get(&key.text) {
                Some(schema) => {
                    let fitted = self.value(value, schema, &inside);
                    out.extend(fitted.map(|value| (key.text.clone(), value)));
                }
                None => self.unknown_key(key, known, path, &inside),
            }
        }
        let required = schema.get("required").and_then(Json::as_array);
        let absent = required.into_iter().flatten().filter_map(Json::as_str);
        for key in absent.filter(|key| entries.iter().all(|(have, _)| have.text != *key)) {
            let what = if path.is_empty() {
                format!("the site file has no `{key}`")
            } else {
                format!("`{}` has no `{key}`", last(path))
            };
            let hint = known.get(key).map(meaning).unwrap_or_default();
            // The place of what is missing is its parent, and only the beginning of it.
            let mark = Mark {
                width: 1,
                ..node.mark
            };
            self.tell("missing-key", mark, &join(path, key), what, hint);
        }
        Json::Object(out)
    }

    fn unknown_key(&mut self, key: &Key, known: &'static Map<String, Json>, path: &str, inside: &str) {
        let place = if path.is_empty() {
            "a site file".to_owned()
        } else {
            format!("`{}`", last(path))
        };
        if is_secret_name(&key.text) {
            let what = format!(
                "`{}` looks like a secret, and a site file may hold none",
                key.text
            );
            let hint = "put the secret into the bastion's store and refer to it with a `…Ref: {name: …}`";
            return self.tell("secret-in-clear", key.mark, inside, what, hint);
        }
        let hint = if let Some(word) = closest(&key.text, known.keys().map(String::as_str)) {
            format!("did you mean `{word}`?")
        } else if let Some(homes) = schema::homes().get(key.text.as_str()) {
            let homes: Vec<_> = homes
                .iter()
                .map(|home| {
                    if home.is_empty() {
                        "the top".to_owned()
                    } else {
                        format!("`{home}`")
                    }
                })
                .take(3)
                .collect();
            format!("it belongs at {}", homes.join(" or "))
        } else {
            format!(
                "known here: {}",
                known.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )
        };
        self.tell(
            "unknown-key",
            key.mark,
            inside,
            format!("{place} has no key `{}`", key.text),
            hint,
        );
    }
}

fn fits(node: &Node, schema: &'static Json) -> bool {
    match &node.value {
        Value::Scalar { .. } => {
            schema::words(schema).is_some()
                || matches!(
                    schema.get("type").and_then(Json::as_str),
                    Some("string" | "integer" | "boolean")
                )
        }
        Value::Sequence(_) => is_list(schema),
        Value::Mapping(_) => schema.get("type").and_then(Json::as_str) == Some("object"),
    }
}

fn is_list(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("array")
}

fn boolean_hint(schema: &Json, text: &str) -> String {
    let word = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => "true",
        "no" | "off" | "false" => "false",
        _ => return String::new(),
    };
    match schema.get("type").and_then(Json::as_str) {
        Some("boolean") => format!("write {word}, without quotes"),
        _ => String::new(),
    }
}

/// What a value must be, in words.
fn describe(schema: &'static Json) -> String {
    let schema = schema::resolve(schema);
    if let Some(branches) = schema.get("anyOf").and_then(Json::as_array) {
        return branches.iter().map(describe).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = schema::words(schema) {
        return match words.as_slice() {
            [only] => format!("`{only}`"),
            _ => format!("one of {}", words.join(", ")),
        };
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
        .split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.')
        .replace('\n', " ");
    let mut letters = first.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

/// The known word that was most likely meant.
pub(crate) fn closest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    let wanted = plain(text);
    let near = |word: &&str| {
        let word = plain(word);
        let distance = strsim::damerau_levenshtein(&wanted, &word);
        let enough = distance <= 1.max(word.len().min(wanted.len()) / 3);
        // One is the other's plural or beginning: `host` for `hosts`, `mac` for `macs`.
        let begins = wanted.len() >= 3 && (word.starts_with(&wanted) || wanted.starts_with(&word));
        (enough || begins).then_some(distance)
    };
    known
        .filter_map(|word| near(&word).map(|distance| (distance, word)))
        .min()
        .map(|(_, word)| word)
}

/// Whether a key's name says that its value is a secret.
fn is_secret_name(key: &str) -> bool {
    let key = key.to_lowercase();
    let words = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "privatekey",
        "private_key",
        "apikey",
    ];
    words.iter().any(|word| key.contains(word)) && !key.ends_with("ref")
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
