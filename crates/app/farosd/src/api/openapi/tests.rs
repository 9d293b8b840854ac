//! Makes the document, and holds the one that is checked in against it.

use std::{fs, path::Path};

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::{
    super::{Route, routes},
    DOCUMENT,
};

#[test]
fn the_document_that_is_checked_in_is_what_the_types_say() -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&document())? + "\n";
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/openapi.json");
        fs::write(path, text)?;
    } else {
        let same = text == DOCUMENT;
        assert!(same, "run `UPDATE_EXPECT=1 cargo test -p farosd openapi`");
    }
    Ok(())
}

#[test]
fn what_events_may_be_asked_by_is_in_the_document() {
    let document = document();
    let parameters = document["paths"]["/v1/events"]["get"]["parameters"].as_array();
    let names: Vec<_> = parameters
        .into_iter()
        .flatten()
        .map(|own| (own["in"].as_str(), own["name"].as_str()))
        .collect();
    let wanted = ["after", "follow", "node", "session", "limit"].map(|name| (Some("query"), Some(name)));
    assert_eq!(names, wanted);
}

/// The document, from the table of routes and the schemas of the API's types.
fn document() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for route in routes() {
        let operation = operation(&route, &mut generator);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Value::Object(path) = path {
            path.insert(route.method.to_owned(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "farosd local API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Over a unix socket that only root may use.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": { "schemas": generator.take_definitions(true) },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect();
    let parameters = [parameters, query(route)].concat();
    let failure = generator.subschema_for::<faros_model::api::Failure>();
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": { "description": "done", "content": { route.media: { "schema": (route.gives.schema)(generator) } } },
            "default": {
                "description": "refused or failed",
                "content": { "application/json": { "schema": failure } },
            },
        },
    });
    if let (Some(takes), Value::Object(operation)) = (&route.takes, &mut operation) {
        let content = json!({ "application/json": { "schema": (takes.schema)(generator) } });
        operation.insert(
            "requestBody".into(),
            json!({ "required": true, "content": content }),
        );
    }
    operation
}

/// What may be asked for behind the `?` of a path.
fn query(route: &Route) -> Vec<Value> {
    let known: &[(&str, &str, &str)] = match route.path {
        "/v1/events" => &[
            (
                "after",
                "integer",
                "only events after this number; without it, the newest",
            ),
            (
                "follow",
                "boolean",
                "go on with events as they happen; without `after`, only those",
            ),
            ("node", "string", "only events of this node"),
            (
                "session",
                "string",
                "only events of this boot session, such as `boot-17`",
            ),
            ("limit", "integer", "so many of the past at most"),
        ],
        "/v1/cluster" => &[(
            "follow",
            "boolean",
            "one object a line, now and whenever it is another",
        )],
        "/v1/cluster/upgrade" if route.method == "get" => &[(
            "to",
            "string",
            "a version, such as `v1.36.3`; by default the one that the site file says",
        )],
        "/v1/nodes/{name}/timeline" => &[(
            "session",
            "string",
            "which boot session, such as `boot-17`; by default the latest",
        )],
        _ => &[],
    };
    let parameter = |(name, kind, what): &(&str, &str, &str)| {
        let mut schema = json!({ "type": kind });
        if *kind == "integer" {
            schema["minimum"] = 0.into();
        }
        json!({ "name": name, "in": "query", "required": false, "description": what, "schema": schema })
    };
    known.iter().map(parameter).collect()
}
