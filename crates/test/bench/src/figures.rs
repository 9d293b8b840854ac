//! Figures, their medians, and the rows that compare them.
//!
//! All who do one work are measured in turn, round by round, so that what else the machine does falls on all alike. A
//! figure of ours is held against the same figure of each other, and the ratio of the medians is what counts.

use anyhow::Context as _;
use serde::Serialize;

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Better {
    Less,
    More,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
}

impl Figure {
    pub(crate) const fn less(name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            unit,
            better: Better::Less,
        }
    }

    pub(crate) const fn more(name: &'static str, unit: &'static str) -> Self {
        Self {
            name,
            unit,
            better: Better::More,
        }
    }
}

/// What is promised of a figure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) figure: &'static str,
    /// Against whom; nobody means that the bound is a value and not a ratio.
    pub(crate) peer: Option<&'static str>,
    pub(crate) bound: f64,
}

impl Target {
    pub(crate) const fn ratio(figure: &'static str, peer: &'static str, bound: f64) -> Self {
        Self {
            figure,
            peer: Some(peer),
            bound,
        }
    }

    pub(crate) const fn value(figure: &'static str, bound: f64) -> Self {
        Self {
            figure,
            peer: None,
            bound,
        }
    }
}

/// One figure of one contender, over all rounds.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) figure: Figure,
    pub(crate) contender: &'static str,
    pub(crate) values: Vec<f64>,
}

impl Series {
    /// The median and the range; `None` if nothing was measured.
    pub(crate) fn summary(&self) -> Option<Summary> {
        Summary::of(self.values.clone())
    }
}

/// Median and range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Summary {
    /// Of these values; `None` if there are none.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
        Some(Self {
            median: f64::midpoint(values[low], values[high]),
            low: *values.first()?,
            high: *values.last()?,
        })
    }
}

/// All that was measured of one work.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) work: &'static str,
    pub(crate) series: Vec<Series>,
}

/// The name under which ours stands in every table.
pub(crate) const OURS: &str = "faros";

impl Table {
    pub(crate) fn new(work: &'static str) -> Self {
        let series = Vec::new();
        Self { work, series }
    }

    pub(crate) fn add(&mut self, contender: &'static str, figure: Figure, value: f64) {
        let held = self
            .series
            .iter_mut()
            .find(|series| series.contender == contender && series.figure == figure);
        match held {
            Some(series) => series.values.push(value),
            None => self.series.push(Series {
                figure,
                contender,
                values: vec![value],
            }),
        }
    }

    /// The figures, in the order in which they were measured first.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = Vec::new();
        for series in &self.series {
            if !figures.contains(&series.figure) {
                figures.push(series.figure);
            }
        }
        figures
    }

    /// All series of a figure.
    pub(crate) fn of(&self, figure: Figure) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |series| series.figure == figure)
    }

    /// Adds what each has beyond `baseline` in the same round, as a figure of its own.
    pub(crate) fn add_beyond(&mut self, baseline: &'static str, from: Figure, to: Figure) {
        let of: Vec<Series> = self.of(from).cloned().collect();
        let Some(base) = of.iter().find(|series| series.contender == baseline) else {
            return;
        };
        for series in of.iter().filter(|series| series.contender != baseline) {
            for (value, base) in series.values.iter().zip(&base.values) {
                self.add(series.contender, to, value - base);
            }
        }
    }

    /// The rows of `summary.json`: ours against each other, or alone if nobody else has the figure.
    pub(crate) fn rows(&self, targets: &[Target]) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        for figure in self.figures() {
            let Some(ours) = self.of(figure).find(|series| series.contender == OURS) else {
                continue;
            };
            let peers: Vec<&Series> = self
                .of(figure)
                .filter(|series| series.contender != OURS)
                .collect();
            let target = |peer: Option<&str>| {
                let mut targets = targets.iter();
                targets.find(|target| target.figure == figure.name && target.peer == peer)
            };
            if peers.is_empty() || target(None).is_some() {
                rows.push(Row::new(self.work, ours, None, target(None))?);
            }
            for peer in peers {
                rows.push(Row::new(
                    self.work,
                    ours,
                    Some(peer),
                    target(Some(peer.contender)),
                )?);
            }
        }
        Ok(rows)
    }
}

/// One row of `summary.json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The work and the figure.
    pub(crate) work: String,
    /// Median of ours.
    pub(crate) ours: f64,
    /// Median of the peer.
    pub(crate) peer: Option<f64>,
    pub(crate) peer_name: Option<&'static str>,
    pub(crate) unit: &'static str,
    /// Ours divided by the peer's.
    pub(crate) ratio: Option<f64>,
    pub(crate) better: Better,
    /// The bound of the ratio, or of ours where there is no peer; none if nothing is promised.
    pub(crate) target: Option<f64>,
    pub(crate) met: Option<bool>,
    pub(crate) runs: usize,
    /// Lowest and highest of ours.
    pub(crate) spread: [f64; 2],
    /// Lowest and highest of the peer's.
    pub(crate) peer_spread: Option<[f64; 2]>,
}

impl Row {
    fn new(
        work: &str,
        ours: &Series,
        peer: Option<&Series>,
        target: Option<&Target>,
    ) -> anyhow::Result<Self> {
        let figure = ours.figure;
        let own = ours.summary().context("nothing was measured")?;
        let other = peer.and_then(Series::summary);
        let ratio = other
            .filter(|other| other.median != 0.0)
            .map(|other| own.median / other.median);
        let judged = if peer.is_some() { ratio } else { Some(own.median) };
        let met = target.zip(judged).map(|(target, judged)| match figure.better {
            Better::Less => judged <= target.bound,
            Better::More => judged >= target.bound,
        });
        Ok(Self {
            work: format!("{work}: {}", figure.name),
            ours: own.median,
            peer: other.map(|other| other.median),
            peer_name: peer.map(|peer| peer.contender),
            unit: figure.unit,
            ratio,
            better: figure.better,
            target: target.map(|target| target.bound),
            met,
            runs: ours.values.len(),
            spread: [own.low, own.high],
            peer_spread: other.map(|other| [other.low, other.high]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: Figure = Figure::less("CPU", "us");
    const RATE: Figure = Figure::more("rate", "1/s");

    fn table() -> Table {
        let mut table = Table::new("names");
        for (ours, named) in [(4.0, 8.0), (9.0, 10.0), (5.0, 9.0)] {
            table.add(OURS, CPU, ours);
            table.add("named", CPU, named);
            table.add(OURS, RATE, 100.0);
            table.add("named", RATE, 50.0);
        }
        table
    }

    #[test]
    fn a_row_holds_medians_and_ranges_of_both() -> anyhow::Result<()> {
        let rows = table().rows(&[Target::ratio("CPU", "named", 0.6)])?;
        let row = rows.first().context("no row")?;
        assert_eq!(
            (row.ours, row.peer, row.spread, row.peer_spread),
            (5.0, Some(9.0), [4.0, 9.0], Some([8.0, 10.0]))
        );
        assert_eq!((row.runs, row.met), (3, Some(true)));
        Ok(())
    }

    #[test]
    fn the_median_of_an_even_number_of_runs_is_between_the_middle_two() {
        let mut table = Table::new("names");
        for value in [9.0, 1.0, 4.0, 2.0] {
            table.add(OURS, CPU, value);
        }
        let median = table.series[0].summary().map(|summary| summary.median);
        assert_eq!(median, Some(3.0));
    }

    #[test]
    fn more_is_better_of_some_figures_and_less_of_others() -> anyhow::Result<()> {
        let targets = [
            Target::ratio("CPU", "named", 0.5),
            Target::ratio("rate", "named", 2.0),
        ];
        let rows = table().rows(&targets)?;
        let met: Vec<Option<bool>> = rows.iter().map(|row| row.met).collect();
        assert_eq!(met, [Some(false), Some(true)]);
        Ok(())
    }

    #[test]
    fn what_nothing_is_promised_of_is_neither_met_nor_missed() -> anyhow::Result<()> {
        let rows = table().rows(&[])?;
        assert!(rows.iter().all(|row| row.met.is_none() && row.target.is_none()));
        Ok(())
    }

    #[test]
    fn a_value_can_be_promised_without_a_peer() -> anyhow::Result<()> {
        let mut table = Table::new("footprint");
        table.add(OURS, CPU, 12.0);
        let rows = table.rows(&[Target::value("CPU", 14.0)])?;
        assert_eq!(
            rows.iter().map(|row| (row.ratio, row.met)).collect::<Vec<_>>(),
            [(None, Some(true))]
        );
        Ok(())
    }

    #[test]
    fn what_is_added_is_taken_round_by_round() {
        let mut table = Table::new("balancer");
        for (direct, ours) in [(10.0, 12.0), (20.0, 23.0), (15.0, 16.0)] {
            table.add("direct", CPU, direct);
            table.add(OURS, CPU, ours);
        }
        table.add_beyond("direct", CPU, RATE);
        let added: Vec<&Series> = table.of(RATE).collect();
        assert_eq!(
            added.iter().map(|s| s.values.clone()).collect::<Vec<_>>(),
            [vec![2.0, 3.0, 1.0]]
        );
    }
}
