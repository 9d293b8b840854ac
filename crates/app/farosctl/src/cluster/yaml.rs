//! As much of YAML as kubeconfigs are written in: read to JSON, and written from it.

use anyhow::{Context as _, bail, ensure};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// What is deeper is no kubeconfig.
const MAX_DEPTH: usize = 32;

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> anyhow::Result<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    for parsed in Parser::new_from_str(text) {
        let (event, _) = parsed.context("it is no YAML")?;
        let value = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                ensure!(open.len() < MAX_DEPTH, "it is too deep");
                open.push(match event {
                    Event::SequenceStart(..) => Open::List(Vec::new()),
                    _ => Open::Map(Map::new(), None),
                });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(list)) => Value::Array(list),
                Some(Open::Map(map, _)) => Value::Object(map),
                None => bail!("it is no YAML"),
            },
            Event::Alias(_) => bail!("it has aliases, which would be lost"),
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List(list)) => list.push(value),
            Some(Open::Map(_, key @ None)) => match value {
                Value::String(text) => *key = Some(text),
                other => *key = Some(other.to_string()),
            },
            Some(Open::Map(map, key)) => drop(map.insert(key.take().unwrap_or_default(), value)),
            None => {
                ensure!(whole.is_none(), "it has several documents");
                whole = Some(value);
            }
        }
    }
    Ok(whole.unwrap_or(Value::Null))
}

enum Open {
    List(Vec<Value>),
    /// And the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// By the core schema of YAML 1.2; what is quoted is text.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => true.into(),
        "false" => false.into(),
        _ => match text.parse::<i64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_) => text.into(),
        },
    }
}

/// Writes a document in block style; text is quoted, so that it cannot be taken for anything else.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (idx, (key, value)) in map.iter().enumerate() {
                // The first of a list's item stands behind its hyphen.
                if idx > 0 || indent == 0 || !out.ends_with("- ") {
                    out.push_str(&" ".repeat(indent));
                }
                out.push_str(&name(key));
                out.push(':');
                below(out, value, indent + 2);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                out.push_str(&" ".repeat(indent));
                out.push_str("- ");
                match value {
                    Value::Object(map) if !map.is_empty() => block(out, value, indent + 2),
                    other => line(out, other),
                }
            }
        }
        other => line(out, other),
    }
}

/// As JSON, which is YAML.
fn line(out: &mut String, value: &Value) {
    out.push_str(&value.to_string());
    out.push('\n');
}

fn below(out: &mut String, value: &Value, indent: usize) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    out.push(if is_block { '\n' } else { ' ' });
    block(out, value, indent);
}

/// A key as it is, where it cannot be taken for anything else.
fn name(key: &str) -> String {
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && !matches!(scalar(key, ScalarStyle::Plain), Value::Null | Value::Bool(_));
    if is_plain {
        key.to_owned()
    } else {
        Value::from(key).to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_again() -> anyhow::Result<()> {
        let values = [
            json!({}),
            json!([]),
            json!({ "a": { "b": [], "c": {}, "d": null, "e": true, "f": 3 } }),
            json!({ "list": [1, "1", "true", null, [], [1, [2]], { "a": { "b": 1 }, "c": [{ "d": 1 }] }] }),
            json!({ "quoted: key": "a\nb\t\"c\" # d", "true": "yes", "": "- x", "ä": "ö" }),
        ];
        for value in values {
            let text = write(&value);
            assert_eq!(read(&text).with_context(|| text.clone())?, value, "{text}");
        }
        Ok(())
    }

    #[test]
    fn what_people_write_is_read() -> anyhow::Result<()> {
        let text = "---\n# a comment\napiVersion: v1\nclusters:\n- name: a\n  cluster: {server: 'https://a:6443', x: ~}\n\
                    text: |\n  two\n  lines\nport: 6443\nempty:\n";
        let expected = json!({
            "apiVersion": "v1",
            "clusters": [{ "name": "a", "cluster": { "server": "https://a:6443", "x": null } }],
            "text": "two\nlines\n", "port": 6443, "empty": null,
        });
        assert_eq!(read(text)?, expected);
        for bad in ["a: [", "a: &x b\nc: *x\n", "a: b\n---\nc: d\n", &"[".repeat(100)] {
            assert!(read(bad).is_err(), "{bad}");
        }
        Ok(())
    }
}
