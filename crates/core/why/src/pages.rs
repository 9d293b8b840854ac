//! The pages of the documentation that are made from the tables: events, and causes.

use std::fmt::Write as _;

use faros_model::{
    event::EventKind,
    timeline::{Confidence, HowFar, SpanKind},
};

use crate::{catalogue::rules, reports::REPORTS, why::OPEN};

const MADE: &str = "<!-- Made by `cargo run -p xtask -- schema` from the types; do not edit. -->\n";

/// `docs/events.md`: every kind of event, and every report of a node.
pub fn events() -> String {
    let mut page = format!("# Events\n\n{MADE}");
    page += "
`farosctl watch --output json`, `farosctl events --output json` and `GET /v1/events` give one JSON object a line:
`{\"seq\", \"at\", \"node\", \"session\", \"kind\", \"detail\"}`. `seq` grows without gaps in one run of the daemon and
never repeats; `at` is the bastion's time, RFC 3339 in UTC; `node` and `session` are null where an event is about
the site itself or about a machine that nobody knows. Kinds and facts are only ever added to.

| kind | what it says |
| --- | --- |
";
    // Writing to a `String` cannot fail.
    for kind in EventKind::ALL {
        let _ = writeln!(page, "| `{kind}` | {} |", kind.meaning().trim());
    }
    page += "
## Reports of nodes

A node tells of itself by `POST /report/NODE` on the bastion's LAN address, port 8080: a JSON object of at most
64 KiB, taken only from the node's own address. It becomes the event `node-report`, whose `detail` has `report` and
all that the node said. Every report has `uptime`, in seconds, and `clock`, the node's own time in RFC 3339.

| report | when | facts |
| --- | --- | --- |
";
    for report in REPORTS {
        let _ = writeln!(page, "| `{}` | {} | {} |", report.name, report.when, report.facts);
    }
    page += "
## Timelines

`farosctl timeline NODE --output json` and `GET /v1/nodes/NODE/timeline` tell one boot session as spans and marks.
A span that is not `inside` another is a phase; phases never overlap. `beginSeen` and `endSeen` say whether what
bounds a span was seen; `events` are the numbers of the events that bound it.

| span | what it is |
| --- | --- |
";
    for kind in SpanKind::ALL {
        let _ = writeln!(page, "| `{kind}` | {} |", kind.meaning().trim());
    }
    page += "
How far a session came (`reached`), in its order:

| word | what it means |
| --- | --- |
";
    for word in HowFar::ALL {
        let _ = writeln!(page, "| `{word}` | {} |", word.meaning().trim());
    }
    page
}

/// `docs/why.md`: every cause that `farosctl why` knows.
pub fn causes() -> String {
    let mut page = format!("# Why a node does not get on\n\n{MADE}");
    page += "
`farosctl why NODE` holds what was recorded of a node against these causes, and ranks those that fit: by how sure
they are, then by the order of this page. Each comes with its evidence (facts, their age, the numbers of events)
and with the next action. `--output json` and `GET /v1/nodes/NODE/why` give the same as values; codes are stable
and only ever added to.

| confidence | what it means |
| --- | --- |
";
    for confidence in Confidence::ALL {
        let _ = writeln!(page, "| {confidence} | {} |", confidence.meaning().trim());
    }
    page += "
## The causes

What is found may make a cause more or less sure than stands here.
";
    for rule in rules() {
        let next = OPEN.iter().fold(rule.next.to_owned(), |text, open| {
            text.replace(open, &open.trim_matches(['{', '}']).to_uppercase())
        });
        let _ = write!(
            page,
            "\n### `{}`\n\n{}.\n\n- told by: {}\n- confidence: {}\n- next: {next}\n",
            rule.code,
            capital(rule.means),
            rule.told_by,
            rule.confidence
        );
    }
    page
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
