//! How the clock stands, as people read it.

use std::fmt::Write as _;

use faros_model::api::{TimeState, TimeStatus};
use jiff::Timestamp;

use crate::screens::{age, table};

pub(crate) fn screen(status: &TimeStatus) -> String {
    let now = Timestamp::now();
    let state = match status.state {
        TimeState::Synchronized => "synchronized",
        TimeState::Orphan => "ORPHAN",
        TimeState::Unsynchronized => "NOT SYNCHRONIZED",
    };
    let mut out = format!("Clock       {state}\n");
    // Writing to a `String` cannot fail.
    if !status.why.is_empty() {
        let _ = writeln!(out, "Reason      {}", status.why);
    }
    if let (Some(stratum), Some(reference)) = (status.stratum, status.reference) {
        let _ = writeln!(out, "Stratum     {stratum}, by {reference}");
    }
    if let Some(offset) = status.offset {
        let which = if offset < 0.0 { "ahead of" } else { "behind" };
        let _ = writeln!(out, "Offset      {} {which} the sources", short(offset.abs()));
    }
    if status.stratum.is_some() {
        let error = status.root_delay / 2.0 + status.root_dispersion;
        let _ = writeln!(out, "Error       at most {}", short(error));
    }
    let keeper = match (status.kept_by.as_str(), status.keeper.as_str()) {
        ("farosd", _) => match status.steps {
            0 => "farosd".to_owned(),
            1 => "farosd, which set it once".to_owned(),
            n => format!("farosd, which set it {n} times"),
        },
        ("host", daemon) => format!("{daemon} of this host"),
        (_, why) => format!("nobody: {why}"),
    };
    let _ = writeln!(out, "Kept by     {keeper}");
    if status.sources.is_empty() {
        out.push_str("Sources     none in the site file\n");
        return out;
    }
    let rows: Vec<Vec<String>> = status
        .sources
        .iter()
        .map(|source| {
            let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
            vec![
                source.server.clone(),
                source
                    .address
                    .map_or_else(|| "-".to_owned(), |own| own.to_string()),
                source.state.clone(),
                source
                    .stratum
                    .map_or_else(|| "-".to_owned(), |own| own.to_string()),
                number(source.offset),
                number(source.delay),
                number(source.jitter),
                format!("{:08b}", source.reach),
                source
                    .measured_at
                    .map_or_else(|| "-".to_owned(), |at| format!("{} ago", age(now, at))),
            ]
        })
        .collect();
    let head = [
        "SOURCE", "ADDRESS", "STATE", "STRATUM", "OFFSET", "DELAY", "JITTER", "ANSWERED", "MEASURED",
    ];
    let _ = write!(out, "\n{}", table(&head, &rows));
    out
}

/// Seconds, in the unit in which people say it.
fn short(seconds: f64) -> String {
    let size = seconds.abs();
    if size >= 1.0 {
        format!("{seconds:.3} s")
    } else if size >= 0.001 {
        format!("{:.3} ms", seconds * 1e3)
    } else {
        format!("{:.0} µs", seconds * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_an_orphan_reads_why_and_who_keeps_the_clock() {
        let status = TimeStatus {
            state: TimeState::Orphan,
            why: "no source answers".to_owned(),
            stratum: Some(10),
            reference: Some([127, 127, 1, 1].into()),
            offset: None,
            root_delay: 0.0,
            root_dispersion: 0.01,
            compared_at: None,
            kept_by: "host".to_owned(),
            keeper: "chronyd (process 7)".to_owned(),
            kernel_synchronized: false,
            steps: 0,
            sources: vec![],
        };
        assert_eq!(
            screen(&status),
            "Clock       ORPHAN\nReason      no source answers\nStratum     10, by 127.127.1.1\n\
             Error       at most 10.000 ms\nKept by     chronyd (process 7) of this host\n\
             Sources     none in the site file\n"
        );
    }

    #[test]
    fn seconds_are_told_in_a_unit_that_fits() {
        for (seconds, text) in [
            (-0.000_012, "-12 µs"),
            (0.0123, "12.300 ms"),
            (3600.0, "3600.000 s"),
        ] {
            assert_eq!(short(seconds), text);
        }
    }
}
