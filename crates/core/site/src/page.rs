//! The reference page of the site file, made from its schema: a section for each mapping, a row for each key.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{
    codes::Code,
    place::join,
    schema::{self, Schema, yaml},
    show::or,
};

const SMALLEST: &str = include_str!("../../../../examples/smallest.yaml");

/// A mapping of the format.
struct Section<'s> {
    title: String,
    schema: &'s Value,
    /// All places where it may stand.
    paths: Vec<String>,
}

/// The reference page of the site file, in Markdown.
pub fn reference_page() -> String {
    // From the types, so that page and schema are right at once when they change.
    let all = Schema::made();
    let mut sections = Vec::new();
    collect(&all, all.root(), "Site", "", &mut sections);
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        out,
        "<!-- Made by `cargo run -p xtask -- schema`; the texts stand in `crates/model/model/src/wire`. -->\n\
         # The site file\n\n\
         One YAML file describes a site. What is left out has the default that stands here, and `farosctl plan` shows \
         what follows from it. Check a file with `farosctl check FILE`: it tells all problems at once. Editors complete \
         and check keys with [`site.schema.json`](site.schema.json); whole files are in [`examples/`](../examples).\n\n\
         The smallest useful site:\n\n```yaml\n{SMALLEST}```\n\n\
         Text needs quotes only where YAML would read something else, as in a list of MACs: `\"52:54:00:08:00:01\"`. \
         Keys are known or refused; anchors, tags and further documents are refused; a file has at most 1 MiB. No \
         secret stands in it: secrets are named (`{{name: bmc}}`) and kept in the bastion's store.\n\n\
         ## Addresses\n\n\
         Every host of the LAN has an address that follows from the file: the one that its `address` says, or one that \
         follows from its name. In a /24 with its usual `dynamicRange`, `node-1` has .11 and its controller .91, `node-2` \
         .12 and .92, and so on; names of other kinds have other places. Neither the order in the file nor who else is in \
         it decides. Only where two names ask for the same place, one of them is sent on to another: a warning \
         (`address-by-collision`) then says what to write into the file to keep it there.\n\n\
         ## Keys"
    );
    for section in &sections {
        write_section(&mut out, &all, section);
    }
    let _ = writeln!(
        out,
        "\n## Problems\n\n\
         Each problem has a line and a column (both from 1, in characters), the path of the key, a message, a hint, and \
         one of these codes. Scripts may rely on the codes; new ones are added, none is changed.\n\n\
         | code | what it says |\n| --- | --- |"
    );
    for code in Code::ALL {
        let _ = writeln!(out, "| `{}` | {} |", code.as_str(), code.meaning());
    }
    out
}

/// The mappings of the format in the order in which a reader comes by them.
fn collect<'s>(all: &'s Schema, of: &'s Value, title: &str, path: &str, sections: &mut Vec<Section<'s>>) {
    let title = name(of).unwrap_or(title);
    let schema = all.resolve(of);
    for branch in branches(schema) {
        collect(all, branch, title, path, sections);
    }
    if let Some(items) = schema.get("items") {
        collect(all, items, title, &format!("{path}[]"), sections);
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    if let Some(known) = sections
        .iter_mut()
        .find(|section| std::ptr::eq(section.schema, schema))
    {
        known.paths.push(path.to_owned());
    } else {
        sections.push(Section {
            title: words(title),
            schema,
            paths: vec![path.to_owned()],
        });
    }
    for (key, inner) in properties {
        collect(all, inner, key, &join(path, key), sections);
    }
}

fn write_section(out: &mut String, all: &Schema, section: &Section<'_>) {
    let Section { title, schema, paths } = section;
    let _ = writeln!(out, "\n### {title}\n");
    let at: Vec<String> = paths
        .iter()
        .filter(|path| !path.is_empty())
        .map(|path| format!("`{path}`"))
        .collect();
    let at = if at.is_empty() {
        String::new()
    } else {
        format!(" Stands at {}.", at.join(", "))
    };
    let _ = writeln!(
        out,
        "{}{at}\n\n| key | type | default | meaning |\n| --- | --- | --- | --- |",
        description(all, schema)
    );
    let properties = schema.get("properties").and_then(Value::as_object);
    let mut example = String::new();
    for (key, inner) in properties.into_iter().flatten() {
        let required = schema.get("required").and_then(Value::as_array);
        let required = required.is_some_and(|keys| keys.iter().any(|own| own == key));
        let (meaning, default) = split_default(description(all, inner));
        let default = match inner.get("default") {
            _ if required => "**required**".to_owned(),
            Some(value) => format!("`{}`", yaml(value)),
            None => default,
        };
        let choices = choices(all, inner);
        let _ = writeln!(
            out,
            "| `{key}` | {} | {default} | {meaning}{choices} |",
            kind(all, inner)
        );
        if let Some(value) = schema::example(inner) {
            let _ = writeln!(example, "{key}: {value}");
        }
    }
    if !example.is_empty() {
        let _ = writeln!(out, "\n```yaml\n{example}```");
    }
}

/// A description in two parts: what the key means, and the default that is told in words.
fn split_default(text: &str) -> (&str, String) {
    match text.split_once("Default: ") {
        Some((meaning, default)) => (meaning.trim_end(), default.trim_end_matches('.').to_owned()),
        None => (text, String::new()),
    }
}

/// The type of a key's value, with a link where there is a section about it.
fn kind(all: &Schema, of: &Value) -> String {
    let schema = all.resolve(of);
    if schema::words(schema).is_some() {
        return "word".to_owned();
    }
    let parts: Vec<String> = branches(schema).map(|branch| kind(all, branch)).collect();
    if !parts.is_empty() {
        return or(&parts);
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") if schema.get("properties").is_some() => {
            let title = words(name(of).unwrap_or("mapping"));
            format!(
                "[{}](#{})",
                title.to_lowercase(),
                title.to_lowercase().replace(' ', "-")
            )
        }
        Some("object") => "mapping of text to text".to_owned(),
        Some("array") => match schema.get("items") {
            Some(items) => format!("list of {}", kind(all, items)),
            None => "list".to_owned(),
        },
        Some("string") => "text".to_owned(),
        Some("integer") => match (schema.get("minimum"), schema.get("maximum")) {
            (Some(low), Some(high)) => format!("number, {low} to {high}"),
            (Some(low), None) => format!("number, {low} or more"),
            _ => "number".to_owned(),
        },
        Some("boolean") => "`true` or `false`".to_owned(),
        _ => "value".to_owned(),
    }
}

/// The words that a key may have, with what each means.
fn choices(all: &Schema, of: &Value) -> String {
    let schema = all.resolve(of);
    let listed = schema
        .get("items")
        .map(|items| choices(all, items))
        .unwrap_or_default();
    let inner: String = branches(schema).map(|branch| choices(all, branch)).collect();
    let words = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let words: String = words
        .filter_map(|word| {
            let text = word.get("const")?.as_str()?;
            Some(format!("<br>`{text}`: {}", description(all, word)))
        })
        .collect();
    listed + &inner + &words
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    schema
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn description<'s>(all: &'s Schema, schema: &'s Value) -> &'s str {
    let own = schema.get("description");
    let text = own.or_else(|| all.resolve(schema).get("description"));
    text.and_then(Value::as_str).unwrap_or_default()
}

/// The name of the type that a schema refers to.
fn name(schema: &Value) -> Option<&str> {
    schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.strip_prefix("#/$defs/"))
}

/// `NodeNetwork` as words: `Node network`.
fn words(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}
