//! Bars with their range, one group for each figure; ours is told apart by its color and by its name in bold.

use std::fmt::Write as _;

use super::number;
use crate::figures::{Better, OURS, Table};

const WIDTH: f64 = 720.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 90.0;
const LINE: f64 = 20.0;
const HEAD: f64 = 30.0;

/// The bars of one work. Each figure has a scale of its own.
pub(crate) fn bars(table: &Table) -> String {
    let mut body = String::new();
    let mut y = 8.0;
    for figure in table.figures() {
        let better = match figure.better {
            Better::Less => "less is better",
            Better::More => "more is better",
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            body,
            r#"<text x="8" y="{:.0}" class="figure">{}, {} <tspan class="note">({better})</tspan></text>"#,
            y + 18.0,
            escaped(figure.name),
            escaped(figure.unit)
        );
        y += HEAD;
        let summaries: Vec<_> = table
            .of(figure)
            .filter_map(|series| Some((series.contender, series.summary()?)))
            .collect();
        let most = summaries
            .iter()
            .map(|(_, summary)| summary.high)
            .fold(f64::MIN_POSITIVE, f64::max);
        let at = |value: f64| LEFT + value.max(0.0) / most * (WIDTH - LEFT - RIGHT);
        for (contender, summary) in summaries {
            let class = if contender == OURS { "ours" } else { "peer" };
            let middle = y + LINE / 2.0;
            let _ = writeln!(
                body,
                r#"<text x="{:.0}" y="{:.1}" class="name {class}" text-anchor="end">{}</text>
<rect x="{LEFT}" y="{:.1}" width="{:.1}" height="12" class="{class}"/>
<path d="M{:.1} {middle:.1}H{:.1}" class="range"/>
<text x="{:.1}" y="{:.1}" class="value">{}</text>"#,
                LEFT - 8.0,
                middle + 4.0,
                escaped(contender),
                y + 4.0,
                at(summary.median) - LEFT,
                at(summary.low),
                at(summary.high),
                at(summary.high) + 6.0,
                middle + 4.0,
                number(summary.median)
            );
            y += LINE;
        }
        y += 10.0;
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y:.0}" width="{WIDTH}" height="{y:.0}" role="img" aria-label="{}">
<style>
text {{ font: 12px sans-serif; fill: #1c2733; }}
.figure, text.ours {{ font-weight: bold; }}
.note {{ font-weight: normal; fill: #5b6875; }}
rect.ours {{ fill: #0b6e99; }}
rect.peer {{ fill: #b9c4cf; }}
.range {{ stroke: #1c2733; stroke-width: 1.5; }}
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
{body}</svg>
"##,
        escaped(table.work)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;

    #[test]
    fn the_longest_bar_ends_where_its_range_does() {
        let mut table = Table::new("a < b");
        for (contender, value) in [(OURS, 5.0), ("peer", 10.0)] {
            table.add(contender, Figure::less("CPU", "us"), value);
        }
        let svg = bars(&table);
        let full = WIDTH - LEFT - RIGHT;
        assert!(
            svg.contains(&format!("width=\"{full:.1}\" height=\"12\" class=\"peer\"")),
            "{svg}"
        );
        assert!(
            svg.contains(&format!(
                "width=\"{:.1}\" height=\"12\" class=\"ours\"",
                full / 2.0
            )),
            "{svg}"
        );
        assert!(svg.contains("aria-label=\"a &lt; b\""));
    }
}
