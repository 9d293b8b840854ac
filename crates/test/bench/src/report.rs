//! What came of it, for people: tables as text and Markdown, and bars as SVG.

mod plot;

use std::{fmt::Write as _, fs, io, path::Path, time::Duration};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::figures::{Better, OURS, Row, Series, Table};

/// What came of one work, with what it was measured on.
pub(crate) struct Report<'a> {
    pub(crate) machine: &'a str,
    /// The command that makes the same again.
    pub(crate) command: &'a str,
    pub(crate) took: Duration,
    pub(crate) table: &'a Table,
    pub(crate) rows: &'a [Row],
}

/// One work, for the terminal.
pub(crate) fn text(table: &Table) -> String {
    let mut out = format!("{}\n", table.work);
    for figure in table.figures() {
        let better = match figure.better {
            Better::Less => "less is better",
            Better::More => "more is better",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "  {}, {} ({better})", figure.name, figure.unit);
        for series in table.of(figure) {
            let Some(summary) = series.summary() else { continue };
            let _ = writeln!(
                out,
                "    {:<16} {:>10}   {} to {}",
                series.contender,
                number(summary.median),
                number(summary.low),
                number(summary.high)
            );
        }
    }
    out
}

/// The rows of which something is promised, for the terminal.
pub(crate) fn promises(rows: &[Row]) -> String {
    let mut out = String::new();
    for row in rows {
        let (Some(target), Some(met)) = (row.target, row.met) else {
            continue;
        };
        let verdict = if met { "met   " } else { "MISSED" };
        let _ = writeln!(
            out,
            "{verdict} {:<58} {}",
            row.work,
            promise(row, target).replace("**", "")
        );
    }
    out
}

fn promise(row: &Row, target: f64) -> String {
    let bound = match row.better {
        Better::Less => "at most",
        Better::More => "at least",
    };
    match (row.peer_name, row.ratio) {
        (Some(peer), Some(ratio)) => {
            format!("**{ratio:.2}** of {peer}, {bound} {}", number(target))
        }
        _ => format!(
            "**{}** {}, {bound} {}",
            number(row.ours),
            row.unit,
            number(target)
        ),
    }
}

/// A work as it was last published.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Published {
    work: String,
    /// Where and when.
    machine: String,
    /// The command that makes the same again.
    command: String,
    /// How long it took, with all who take part and all rounds; not told before it was measured.
    #[serde(default)]
    took_seconds: Option<u64>,
    /// What is promised, as lines of a table.
    promises: Vec<String>,
    /// All figures, as a table.
    table: String,
}

impl Report<'_> {
    /// Writes table and plot into a folder of the documentation. What is not measured now stays there as it was, with
    /// where and when that was.
    pub(crate) fn publish(&self, folder: &Path, order: &[&str]) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        let kept = folder.join("results.json");
        let mut all: Vec<Published> = match fs::read(&kept) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is not understood", kept.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            Err(error) => return Err(error.into()),
        };
        let work = self.table.work;
        fs::write(folder.join(file(work)), plot::bars(self.table))?;
        all.retain(|own| own.work != work);
        all.push(self.published());
        all.retain(|own| order.contains(&own.work.as_str()));
        all.sort_by_key(|own| order.iter().position(|work| *work == own.work));
        fs::write(&kept, serde_json::to_string_pretty(&all)? + "\n")?;
        fs::write(folder.join("results.md"), markdown(&all))?;
        Ok(())
    }

    fn published(&self) -> Published {
        let promises = self.rows.iter().filter_map(|row| {
            let (target, met) = row.target.zip(row.met)?;
            let met = if met { "yes" } else { "**no**" };
            Some(format!("| {} | {} | {met} |", row.work, promise(row, target)))
        });
        Published {
            work: self.table.work.to_owned(),
            machine: self.machine.to_owned(),
            command: self.command.to_owned(),
            took_seconds: Some(self.took.as_secs()),
            promises: promises.collect(),
            table: table_of(self.table),
        }
    }
}

fn markdown(all: &[Published]) -> String {
    let mut out = String::from(
        "<!-- Written by `faros-bench --publish`. -->\n# Results\n\nMedians, with lowest and highest of all runs in \
         brackets. Under each work stands where, when and how it was measured.\n\n## Promises\n\n\
         | work | figure | met |\n| --- | --- | --- |\n",
    );
    for line in all.iter().flat_map(|own| &own.promises) {
        let _ = writeln!(out, "{line}");
    }
    for own in all {
        let Published {
            work,
            machine,
            command,
            took_seconds,
            table,
            ..
        } = own;
        let took = took_seconds.map_or_else(String::new, |seconds| format!(" in {seconds} s"));
        let _ = writeln!(
            out,
            "\n## {work}\n\n{machine}\nMade by `{command}`{took}.\n\n![bars]({})\n\n{table}",
            file(work)
        );
    }
    out.truncate(out.trim_end().len());
    out + "\n"
}

fn file(work: &str) -> String {
    format!("{}.svg", work.replace(' ', "-"))
}

/// A line for each contender, a column for each figure.
fn table_of(table: &Table) -> String {
    let figures = table.figures();
    let mut contenders: Vec<&str> = Vec::new();
    for series in &table.series {
        if !contenders.contains(&series.contender) {
            contenders.push(series.contender);
        }
    }
    let mut out = String::from("| |");
    for figure in &figures {
        let _ = write!(out, " {}, {} |", figure.name, figure.unit);
    }
    out.push_str("\n| --- |");
    out.push_str(&" --- |".repeat(figures.len()));
    out.push('\n');
    for contender in contenders {
        let name = if contender == OURS {
            format!("**{contender}**")
        } else {
            contender.to_owned()
        };
        let _ = write!(out, "| {name} |");
        for figure in &figures {
            let series = table.of(*figure).find(|series| series.contender == contender);
            let cell = series.and_then(Series::summary).map(|summary| {
                let [median, low, high] = [summary.median, summary.low, summary.high].map(number);
                format!("{median} ({low}-{high})")
            });
            let _ = write!(out, " {} |", cell.unwrap_or_else(|| "-".to_owned()));
        }
        out.push('\n');
    }
    out
}

/// With as many digits as it has meaning.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let mut grouped = String::new();
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figure, Target};

    fn table() -> Table {
        let cpu = Figure::less("CPU", "us");
        let mut table = Table::new("names");
        for (contender, value) in [(OURS, 4.13), ("named", 8.5), (OURS, 4.5), (OURS, 3.9)] {
            table.add(contender, cpu, value);
        }
        table.add("named", Figure::more("rate", "1/s"), 123_456.7);
        table
    }

    #[test]
    fn numbers_have_as_many_digits_as_they_have_meaning() {
        for (value, text) in [
            (0.0, "0"),
            (0.0412, "0.041"),
            (4.126, "4.13"),
            (-3.5, "-3.50"),
            (42.42, "42.4"),
            (1234.5, "1,234"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_contender() {
        assert_eq!(
            table_of(&table()),
            "| | CPU, us | rate, 1/s |
| --- | --- | --- |
| **faros** | 4.13 (3.90-4.50) | - |
| named | 8.50 (8.50-8.50) | 123,457 (123,457-123,457) |
"
        );
    }

    #[test]
    fn a_promise_says_against_whom_it_holds() -> anyhow::Result<()> {
        let rows = table().rows(&[Target::ratio("CPU", "named", 0.4)])?;
        let said = promises(&rows);
        assert!(said.starts_with("MISSED names: CPU"), "{said}");
        assert!(said.ends_with("0.49 of named, at most 0.40\n"), "{said}");
        Ok(())
    }

    #[test]
    fn what_is_not_measured_again_stays_with_where_and_when_it_was() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let order = ["names", "others"];
        let publish = |work, machine| {
            let table = Table { work, ..table() };
            let report = Report {
                machine,
                command: "faros-bench --quick",
                took: Duration::from_secs(7),
                table: &table,
                rows: &table.rows(&[Target::ratio("CPU", "named", 0.6)])?,
            };
            report.publish(folder.path(), &order)
        };
        publish("others", "On Monday.")?;
        publish("names", "On Tuesday.")?;
        publish("names", "On Wednesday.")?;
        let text = fs::read_to_string(folder.path().join("results.md"))?;
        let told = |what| text.matches(what).count();
        assert_eq!(
            ["On Monday.", "On Tuesday.", "On Wednesday.", "| yes |"].map(told),
            [1, 0, 1, 2]
        );
        assert_eq!(told("Made by `faros-bench --quick` in 7 s."), 2);
        Ok(())
    }
}
