//! The matrix for people and programs: which rows, as values and as text with commas.

use serde_json::{Value, json};

use faros_model::site::Site;

use crate::{Facts, Matrix, Party, Ports, Row, Source, names, openings::addresses, patterns, rows};

/// Which rows are shown.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Of which matrix.
    pub matrix: Matrix,
    /// On one of these; on any if there is none.
    pub on: Vec<Party>,
    /// Also those whose conditions are not so.
    pub all: bool,
}

/// The rows that are wanted.
pub fn select(facts: &Facts, wanted: &Wanted) -> Vec<&'static Row> {
    rows()
        .filter(|row| row.matrix == wanted.matrix)
        .filter(|row| wanted.on.is_empty() || row.on.iter().any(|own| wanted.on.contains(own)))
        .filter(|row| wanted.all || row.holds(facts))
        .collect()
}

/// The conditions of a row, as text; empty if there are none.
pub fn conditions(row: &Row) -> String {
    let all: Vec<String> = row.when.iter().map(ToString::to_string).collect();
    all.join(", ")
}

/// Rows as values, with what their words mean for this site.
pub fn json(site: &Site, facts: &Facts, wanted: &Wanted) -> Value {
    let words = |parties: &[Party]| parties.iter().map(|own| own.as_str()).collect::<Vec<_>>();
    let rows: Vec<Value> = select(facts, wanted)
        .into_iter()
        .map(|row| {
            let ports = match row.ports {
                Ports::These(ports) => json!(ports.iter().map(ToString::to_string).collect::<Vec<_>>()),
                Ports::All => json!([]),
                Ports::Published => json!("published"),
            };
            json!({
                "id": row.id,
                "what": row.what,
                "on": words(row.on),
                "direction": row.direction,
                "peers": words(row.peers),
                "protocol": row.protocol,
                "ports": ports,
                "bind": row.bind,
                "when": row.when.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "holds": row.holds(facts),
                "need": row.need,
                "source": row.source.as_str(),
                "note": row.note,
            })
        })
        .collect();
    let is_wanted = |own: &&crate::NamePattern| own.matrix == wanted.matrix;
    let sources = Source::ALL.iter().map(|own| {
        let about = json!({ "title": own.title(), "url": own.url(), "version": own.version() });
        (own.as_str().to_owned(), about)
    });
    let parties = Party::ALL
        .into_iter()
        .filter(|party| !matches!(party, Party::Itself | Party::Outside))
        .map(|party| {
            let own: Vec<String> = addresses(site, party)
                .subnets()
                .iter()
                .map(ToString::to_string)
                .collect();
            (party.as_str().to_owned(), json!(own))
        });
    let zone = site.zone();
    let own_names = names(site).into_iter().map(|own| {
        json!({
            "name": format!("{}.{zone}", own.name), "address": own.address,
        })
    });
    json!({
        "matrix": wanted.matrix,
        "site": site.name,
        "distribution": facts.distribution,
        "networkPlugin": facts.plugin,
        "features": facts.features,
        "rows": rows,
        "names": own_names.collect::<Vec<_>>(),
        "namePatterns": patterns().iter().filter(is_wanted).collect::<Vec<_>>(),
        "parties": parties.collect::<serde_json::Map<_, _>>(),
        "sources": sources.collect::<serde_json::Map<_, _>>(),
    })
}

/// Rows as text with commas (RFC 4180), for spreadsheets.
pub fn csv(facts: &Facts, wanted: &Wanted) -> String {
    let mut out =
        "id,what,on,direction,peers,protocol,ports,bind,when,holds,need,source,url,note\r\n".to_owned();
    for row in select(facts, wanted) {
        let words = |parties: &[Party]| {
            parties
                .iter()
                .map(|own| own.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        let fields = [
            row.id,
            row.what,
            &words(row.on),
            row.direction.as_str(),
            &words(row.peers),
            row.protocol.as_str(),
            &row.ports.to_string(),
            row.bind.as_str(),
            &conditions(row),
            if row.holds(facts) { "yes" } else { "no" },
            row.need.as_str(),
            row.source.title(),
            row.source.url(),
            row.note,
        ];
        let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        out += &fields.join(",");
        out += "\r\n";
    }
    out
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
