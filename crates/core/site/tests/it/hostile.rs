//! Files that mean harm, and what they may cost. The bounds are for unoptimized builds, in time on a processor,
//! so that a busy machine changes nothing; they tell work that grows with the square of the file from work
//! that does not.

use std::{fs, time::Duration};

use faros_site::{Severity, load, report};

/// How long this thread has been on a processor.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

fn bounded(text: &str, bound: Duration) -> Vec<String> {
    let start = processor_time();
    let codes = match load(text) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            report(Severity::Error, &problems.problems, "site.yaml", text);
            problems
                .problems
                .into_iter()
                .map(|problem| problem.code)
                .collect()
        }
    };
    let took = processor_time().saturating_sub(start);
    assert!(took < bound, "{} bytes took {took:?}", text.len());
    codes
}

const LONG: Duration = Duration::from_secs(15);

#[test]
fn a_file_of_more_than_a_mebibyte_is_not_even_read() {
    let codes = bounded(&"#".repeat((1 << 20) + 1), Duration::from_secs(2));
    assert_eq!(codes, ["file-too-large"]);
}

#[test]
fn a_file_of_a_hundred_thousand_values_is_refused() {
    let codes = bounded(&format!("[{}]", "a,".repeat(150_000)), LONG);
    assert_eq!(codes, ["file-too-large"]);
}

#[test]
fn nesting_costs_nothing() {
    for unit in ["[", "{", "- ", "? ", "{a: ", "[{"] {
        let codes = bounded(&unit.repeat((1 << 20) / unit.len()), LONG);
        assert!(
            codes == ["too-deep"] || codes == ["bad-key"] || codes == ["yaml-syntax"],
            "{unit}: {codes:?}"
        );
    }
}

#[test]
fn a_laugh_does_not_grow_to_a_billion() {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (name, of) in ('b'..='i').zip('a'..='h') {
        text.extend([format!(
            "{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n"
        )]);
    }
    let codes = bounded(&text, Duration::from_secs(2));
    assert!(codes.contains(&"anchor".to_owned()));
}

#[test]
fn many_keys_are_told_without_comparing_each_with_each() {
    let mut unknown = String::new();
    unknown.extend((0..40_000).map(|n| format!("key{n}: {n}\n")));
    let codes = bounded(&unknown, LONG);
    assert_eq!(codes.iter().filter(|code| *code == "unknown-key").count(), 40_000);
    let twice = "key: 1\n".repeat(40_000);
    assert!(bounded(&twice, LONG).contains(&"duplicate-key".to_owned()));
}

#[test]
fn a_line_of_a_mebibyte_is_told_in_an_excerpt() {
    let text = format!("name: {}", "x".repeat(1_000_000));
    let problems = load(&text).unwrap_err().problems;
    assert!(report(Severity::Error, &problems, "site.yaml", &text).len() < 5_000);
    bounded(&text, LONG);
}

/// The smallest site with many more nodes, each with a fault or without.
fn nodes(n: usize, extra: &str) -> String {
    let mut text = include_str!("../../../../../examples/smallest.yaml").replace(
        "interfaces: [enp2s0]",
        "interfaces: [enp2s0]\n    subnet: 10.0.0.0/16\n  cluster: {podNetwork: 10.128.0.0/11}",
    );
    for n in 2..=n {
        let mac = format!("02:00:00:00:{:02x}:{:02x}", n / 256, n % 256);
        text.extend([format!(
            "    - {{name: node-{n}, roles: [worker], bootMac: \"{mac}\", installDisk: /dev/disk/by-id/x{extra}}}\n"
        )]);
    }
    text
}

#[test]
fn a_site_of_four_hundred_nodes_is_checked_at_once() {
    assert!(bounded(&nodes(400, ""), Duration::from_secs(3)).is_empty());
}

#[test]
fn faults_at_every_node_are_told_in_time() {
    let codes = bounded(&nodes(5_000, ", taints: [bad], address: 10.0.0.1"), LONG);
    assert!(codes.len() >= 9_998, "{}", codes.len());
}
