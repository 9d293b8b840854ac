//! Any bytes as what nodes report.

use super::world::site;
use crate::{fuzz, read_report};

/// A node's reports from its install to its cluster.
const REPORTS: &str = include_str!("../../../../../fuzz/seeds/node_report/install");

#[test]
fn reports_are_read_line_by_line() {
    let words: Vec<_> = REPORTS
        .lines()
        .filter_map(|line| Some(read_report(line.as_bytes())?.0))
        .collect();
    assert_eq!(words.len(), REPORTS.lines().count());
    assert_eq!(words.first().map(String::as_str), Some("ignition-fetched"));
    for none in ["", "[]", "{}", r#"{"report": 1}"#, r#"{"report": "started"} x"#] {
        assert_eq!(read_report(none.as_bytes()), None, "{none}");
    }
}

#[test]
fn no_bytes_confuse_the_tracker() {
    let site = site();
    let node = &site.nodes[&"node-1".parse().unwrap()];
    let bytes = REPORTS.as_bytes();
    fuzz::reports(&site, node, bytes);
    for at in 0..bytes.len() {
        fuzz::reports(&site, node, &bytes[at..]);
        let mut other = bytes.to_vec();
        other[at] ^= 1;
        fuzz::reports(&site, node, &other);
    }
}
