//! Timelines as text, for a terminal.

use std::fmt::Write as _;

use faros_model::timeline::{HowFar, Span, SpanKind, Timeline};
use jiff::{SignedDuration, Timestamp};

use super::{harmless, label, wrap};
use crate::words;

/// Columns of the offset, of the duration, and between columns.
const OFFSET: usize = 9;
const TOOK: usize = 10;

/// A timeline as a table: when each thing began, how long it took, what it was, and a bar on the time axis.
/// Lines have at most `width` columns, if that is at least 60.
pub fn text(timeline: &Timeline, width: usize) -> String {
    let width = width.max(60);
    let bar = (width / 5).clamp(14, 40);
    let what = width - OFFSET - TOOK - bar - 3;
    let mut out = head(timeline);
    let _ = writeln!(out, "{:>OFFSET$}{:>TOOK$}  WHAT", "AT", "TOOK");
    for row in rows(timeline) {
        let (indent, pieces) = (row.indent, wrap(&row.text, what - row.indent));
        let offset = words::took(row.at.duration_since(timeline.began));
        let took = row.took.map(words::took).unwrap_or_default();
        let drawn = row.span.map(|span| draw(timeline, span, bar)).unwrap_or_default();
        for (idx, piece) in pieces.iter().enumerate() {
            let line = if idx == 0 {
                format!(
                    "{offset:>OFFSET$}{took:>TOOK$}  {:indent$}{piece:<fill$} {drawn}",
                    "",
                    fill = what - indent
                )
            } else {
                format!("{:before$}{piece}", "", before = OFFSET + TOOK + 2 + row.indent)
            };
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

/// Several timelines as columns of one table: what each phase took, on each node.
pub fn side_by_side(timelines: &[Timeline], width: usize) -> String {
    const FIRST: usize = 18;
    let column = timelines
        .iter()
        .map(|timeline| timeline.node.as_str().len() + 2)
        .max()
        .unwrap_or(0)
        .max(13);
    let fit = (width.max(60).saturating_sub(FIRST) / column).max(1);
    let blocks = timelines.chunks(fit).map(|block| columns(block, FIRST, column));
    blocks.collect::<Vec<_>>().join("\n")
}

fn columns(block: &[Timeline], first: usize, column: usize) -> String {
    let mut order: Vec<String> = Vec::new();
    for timeline in block {
        // Each new phase goes behind the one that it follows.
        let mut at = 0;
        for span in phases(timeline) {
            let name = short(span);
            at = match order.iter().position(|own| *own == name) {
                Some(idx) => idx + 1,
                None => {
                    order.insert(at, name);
                    at + 1
                }
            };
        }
    }
    let mut out = String::new();
    let mut line = |name: &str, cell: &dyn Fn(&Timeline) -> String| {
        let mut line = format!("{name:<first$}");
        for timeline in block {
            let _ = write!(line, "{:>column$}", cell(timeline));
        }
        let _ = writeln!(out, "{}", line.trim_end());
    };
    line("", &|timeline| timeline.node.to_string());
    line("session", &|timeline| timeline.session.to_string());
    line("began", &|timeline| {
        timeline.began.strftime("%H:%M:%S").to_string()
    });
    for name in &order {
        line(name, &|timeline| {
            let own = phases(timeline).filter(|span| short(span) == *name);
            let own: Vec<&Span> = own.collect();
            let time: SignedDuration = own.iter().map(|span| span.took()).sum();
            let goes_on = own.iter().any(|span| !span.end_seen);
            match own.as_slice() {
                [] => "-".to_owned(),
                _ if goes_on => format!("{}…", words::took(time)),
                _ => words::took(time),
            }
        });
    }
    line("in all", &|timeline| words::took(timeline.took()));
    line("reached", &|timeline| timeline.reached.to_string());
    out
}

/// What may stand in a column: phases, transfers beside them.
fn phases(timeline: &Timeline) -> impl Iterator<Item = &Span> {
    timeline.spans.iter().filter(|span| !span.inside)
}

fn short(span: &Span) -> String {
    match span.kind {
        SpanKind::LoaderTransfer => "loader".to_owned(),
        SpanKind::Start => "starts from disk".to_owned(),
        _ => {
            let plain = Span {
                bytes: None,
                ..span.clone()
            };
            label(&plain)
        }
    }
}

fn head(timeline: &Timeline) -> String {
    let took = words::took(timeline.took());
    let state = match (timeline.reached, timeline.open) {
        (HowFar::Failed, _) => harmless(&words::with("FAILED", &timeline.reason)),
        (reached, true) => format!("goes on; reached: {reached}"),
        (reached, false) => format!("reached: {reached}"),
    };
    format!(
        "{}  {}  {}  {took}\n{state}\n\n",
        timeline.node,
        timeline.session,
        timeline.began.strftime("%Y-%m-%d %H:%M:%SZ"),
    )
}

/// One line of the table.
struct Row<'a> {
    at: Timestamp,
    took: Option<SignedDuration>,
    indent: usize,
    text: String,
    span: Option<&'a Span>,
    seq: u64,
}

fn rows(timeline: &Timeline) -> Vec<Row<'_>> {
    let spans = timeline
        .spans
        .iter()
        .filter(|span| !is_whole_phase(timeline, span));
    let mut rows: Vec<Row<'_>> = spans
        .map(|span| Row {
            at: span.began,
            took: Some(span.took()),
            indent: if span.inside { 2 } else { 0 },
            text: in_words(timeline, span),
            span: Some(span),
            seq: span.events[0],
        })
        .collect();
    rows.extend(timeline.marks.iter().map(|mark| Row {
        at: mark.at,
        took: None,
        indent: 2,
        text: if mark.alarm {
            format!("! {}", mark.text)
        } else {
            mark.text.clone()
        },
        span: None,
        seq: mark.seq,
    }));
    // What happens in the instant in which a phase begins belongs to it, so it comes after.
    rows.sort_by_key(|row| (row.at, row.indent, row.seq));
    rows
}

fn in_words(timeline: &Timeline, span: &Span) -> String {
    let what = label(span);
    match span.kind {
        SpanKind::Silence if span.note.is_empty() => what,
        SpanKind::Silence => format!("{what}; awaited: {}", span.note),
        SpanKind::Unknown if span.end_seen => what,
        SpanKind::Down => words::with(&what, &span.note),
        _ if !span.end_seen && !span.note.is_empty() => {
            let goes_on = timeline.open && span.ended == timeline.ended;
            let so_far = if goes_on { "so far" } else { "no end seen" };
            format!("{what}, {so_far}; awaited: {}", span.note)
        }
        _ if !span.end_seen => format!("{what}, no end seen"),
        _ if !span.begin_seen => format!("{what}, begin not seen"),
        _ => what,
    }
}

/// Whether a silence says nothing that its phase does not say: it fills nearly all of it.
fn is_whole_phase(timeline: &Timeline, span: &Span) -> bool {
    span.kind == SpanKind::Silence
        && timeline.spans.iter().any(|phase| {
            !phase.inside
                && phase.kind != SpanKind::Down
                && phase.began <= span.began
                && span.ended <= phase.ended
                && span.took() * 10 >= phase.took() * 9
        })
}

/// Where a span lies in its timeline.
fn draw(timeline: &Timeline, span: &Span, width: usize) -> String {
    let whole = timeline.took().as_millis().max(1);
    let columns = i128::try_from(width).unwrap_or(40);
    let place = |at: Timestamp| {
        let column = at.duration_since(timeline.began).as_millis() * columns / whole;
        usize::try_from(column).unwrap_or(0).min(width - 1)
    };
    let (from, to) = (place(span.began), place(span.ended));
    let sign = match span.kind {
        SpanKind::Silence | SpanKind::Unknown => ".",
        SpanKind::Down => "?",
        _ if span.inside => "-",
        _ => "=",
    };
    let filled = to.saturating_sub(from).max(1);
    format!("{}{}", " ".repeat(from), sign.repeat(filled))
}
