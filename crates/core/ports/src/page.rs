//! The page of the documentation that is made from the matrix.

use std::fmt::Write as _;

use crate::{Direction, Feature, Matrix, Party, Row, Source, patterns, rows, show::conditions};

/// `docs/ports.md`.
pub fn page() -> String {
    let mut page =
        "# Ports\n\n<!-- Made by `cargo run -p xtask -- schema` from the types; do not edit. -->\n"
            .to_owned();
    page += "
Who may reach whom on which port, under which condition, how much that is needed, and which document says so. The
packet filters of nodes are made from these rows, the bastion's own rules are held against them, and its name server
has its names from here.

- `farosctl ports [SITE]` shows what of this holds for a site; `--output json`, `csv`, `nft`, `firewalld` and
  `openstack` give the same to programs and other filters.
- `farosctl ports verify [SITE]` holds rules and listeners against it.
- MUST: it does not work without. SHOULD: it works worse without. MAY: nothing is wrong with it, and packet filters
  of nodes do not open it by themselves. FORBIDDEN: it is never open. The documents have no such words; how much a
  row of today is needed is our reading of them.
- What a node asks is not filtered on the node. What it answers to established connections passes.

## Who is who

| word | who |
| --- | --- |
";
    // Writing to a `String` cannot fail.
    for party in Party::ALL {
        let _ = writeln!(page, "| `{}` | {} |", party.as_str(), party.meaning());
    }
    page += "
`anyone` is all but the machine itself; `lan` all but bastion and outside; `clients` all but controllers; `nodes` all
five roles, and `kubelets` those of them that run one.
";
    let groups: [(&str, IsIn); 4] = [
        ("Into the bastion and controllers", |row| {
            row.matrix == Matrix::Today && row.direction == Direction::In && !on_nodes(row)
        }),
        ("Into nodes", |row| {
            row.matrix == Matrix::Today && row.direction == Direction::In && on_nodes(row)
        }),
        ("Ways out", |row| {
            row.matrix == Matrix::Today && row.direction == Direction::Out
        }),
        ("Tectonic's generic platform", |row| {
            row.matrix == Matrix::Tectonic
        }),
    ];
    for (title, is_in) in groups {
        let _ = write!(
            page,
            "\n## {title}\n\n| row | what | on | peers | port | bound to | when | need | source |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        );
        for row in rows().filter(|row| is_in(row)) {
            let what = if row.note.is_empty() {
                row.what.to_owned()
            } else {
                format!("{}; {}", row.what, row.note)
            };
            let _ = writeln!(
                page,
                "| `{}` | {what} | {} | {} | {} | {} | {} | {} | {} |",
                row.id,
                Party::list(row.on),
                Party::list(row.peers),
                port(row),
                row.bind,
                conditions(row),
                row.need,
                row.source.as_str(),
            );
        }
    }
    page += "
## Names

Below the site's zone, `<cluster>.<domain>`; Tectonic's stand beside it, below `<domain>`.

| name | what | matrix | need | source |
| --- | --- | --- | --- | --- |
";
    for own in patterns() {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            own.pattern,
            own.what,
            own.matrix,
            own.need,
            own.source.as_str()
        );
    }
    page += "
## Conditions

Distributions and network plug-ins by their names; and these. What the site file does not say can be said to
`farosctl ports` by `--with` and `--without`.

| word | what it is | |
| --- | --- | --- |
";
    for feature in Feature::ALL {
        let said = match feature.default() {
            None => "from the site file",
            Some(true) => "so, unless said otherwise",
            Some(false) => "not so, unless said otherwise",
        };
        let meaning = feature.meaning().trim();
        let _ = writeln!(page, "| `{}` | {meaning} | {said} |", feature.as_str());
    }
    page += "\n## Documents\n\n| word | document | what was read |\n| --- | --- | --- |\n";
    for source in Source::ALL {
        let _ = writeln!(
            page,
            "| {} | [{}]({}) | {} |",
            source.as_str(),
            source.title(),
            source.url(),
            source.version()
        );
    }
    page
}

/// Whether a row stands under a title.
type IsIn = fn(&Row) -> bool;

fn on_nodes(row: &Row) -> bool {
    row.on.iter().any(|party| Party::NODES.contains(party))
}

fn port(row: &Row) -> String {
    match row.ports {
        crate::Ports::All => row.protocol.to_string(),
        ports => format!("{}/{}", row.protocol, ports.to_string().replace(',', ", ")),
    }
}
