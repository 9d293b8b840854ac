//! The picture: phases by node on one time axis.
//!
//! One file that needs nothing else: no script, no font, no style from elsewhere. It is readable on light and on
//! dark ground; colors say what a phase is, and words say it again wherever they fit, and on hovering.

mod hues;

use std::{collections::BTreeMap, fmt::Write as _};

use faros_model::{
    ids::HostName,
    timeline::{HowFar, Span, SpanKind, Timeline},
};
use jiff::{SignedDuration, Timestamp};

use self::hues::{HUES, hue, legend};
use super::{harmless, label};
use crate::words;

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 132.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 74.0;
const LANE: f64 = 68.0;
const BAR: f64 = 26.0;
const INNER: f64 = 7.0;

/// About the width of a letter at the size of the labels.
const LETTER: f64 = 5.9;

const STYLE: &str = "
  text { font: 12px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif; fill: #1c2430; }
  .ground { fill: #ffffff; } .title { font-size: 17px; font-weight: 600; } .node { font-size: 14px; font-weight: 600; }
  .soft { fill: #5b6675; font-size: 11px; } .grid { stroke: #e1e6ec; } .rule { stroke: #c3ccd6; }
  .in-bar { fill: #ffffff; font-size: 11px; font-weight: 500; } .quiet { fill: #1c2430; fill-opacity: 0.16; }
  .alarm { fill: #cf222e; } .end { fill: #2da44e; } .stripe { stroke: #8b96a3; } .gap { fill: #eef1f5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e8edf3; } .ground { fill: #10151c; } .soft { fill: #9aa7b5; } .grid { stroke: #232c37; }
    .rule { stroke: #3a4654; } .in-bar { fill: #ffffff; } .quiet { fill: #000000; fill-opacity: 0.35; }
    .alarm { fill: #ff7b72; } .end { fill: #56d364; } .stripe { stroke: #6c7886; } .gap { fill: #1b232d; }
  }
";

/// The picture of some timelines, as SVG. Those of one node share a row if they do not overlap.
pub fn svg(timelines: &[Timeline]) -> String {
    let Some(began) = timelines.iter().map(|timeline| timeline.began).min() else {
        return empty();
    };
    let ended = timelines
        .iter()
        .map(|timeline| timeline.ended)
        .max()
        .unwrap_or(began);
    let axis = Axis::new(began, ended);
    let rows = rows(timelines);
    let mut body = String::new();
    let bottom = TOP + LANE * count(rows.len());
    axis.draw(&mut body, bottom);
    for (idx, row) in rows.iter().enumerate() {
        draw_row(&mut body, &axis, row, TOP + LANE * count(idx));
    }
    let legend = legend(&mut body, timelines, bottom + 44.0);
    let height = legend + 22.0;
    let title = format!(
        "{} of {}, from {}",
        if timelines.len() == 1 { "Boot" } else { "Boots" },
        match rows.len() {
            1 => rows[0].node.to_string(),
            n => format!("{n} nodes"),
        },
        began.strftime("%Y-%m-%d %H:%M:%S UTC")
    );
    document(height, &title, &body)
}

fn document(height: f64, title: &str, body: &str) -> String {
    let title = escape(title);
    let mut fills = String::new();
    for hue in HUES {
        let _ = writeln!(fills, "  .{} {{ fill: {}; }}", hue.class, hue.fill);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}{fills}</style>\n\
         <defs><pattern id=\"hole\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
         <rect class=\"gap\" width=\"7\" height=\"7\"/><line class=\"stripe\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"7\" stroke-width=\"3\"/></pattern></defs>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"20\" y=\"32\">{title}</text>\n{body}</svg>\n"
    )
}

fn empty() -> String {
    document(60.0, "No boots were recorded", "")
}

#[expect(clippy::cast_precision_loss, reason = "a picture has few rows")]
const fn count(n: usize) -> f64 {
    n as f64
}

/// From times to places.
struct Axis {
    began: Timestamp,
    seconds: f64,
    /// Seconds from one line of the grid to the next.
    step: f64,
}

impl Axis {
    fn new(began: Timestamp, ended: Timestamp) -> Self {
        const STEPS: &[u32] = &[
            1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
        ];
        let seconds = ended.duration_since(began).as_secs_f64().max(1.0);
        let step = STEPS
            .iter()
            .map(|step| f64::from(*step))
            .find(|step| seconds / step <= 12.0);
        Self {
            began,
            seconds,
            step: step.unwrap_or(seconds / 8.0),
        }
    }

    fn x(&self, at: Timestamp) -> f64 {
        self.place(at.duration_since(self.began).as_secs_f64())
    }

    fn place(&self, seconds: f64) -> f64 {
        LEFT + seconds.clamp(0.0, self.seconds) / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn draw(&self, body: &mut String, bottom: f64) {
        let mut at = 0.0;
        while at <= self.seconds {
            let x = self.place(at);
            let _ = writeln!(
                body,
                "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/>\
                 <text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                TOP - 6.0,
                TOP - 12.0,
                self.name(at)
            );
            at += self.step;
        }
        let _ = writeln!(
            body,
            "<line class=\"rule\" x1=\"{LEFT}\" y1=\"{bottom:.1}\" x2=\"{:.1}\" y2=\"{bottom:.1}\"/>",
            WIDTH - RIGHT
        );
    }

    fn name(&self, seconds: f64) -> String {
        #[expect(clippy::cast_possible_truncation, reason = "steps are whole seconds")]
        let whole = seconds.round() as i64;
        match whole {
            0 => "0 s".to_owned(),
            _ if self.step < 60.0 && whole < 60 => format!("{whole} s"),
            _ if self.step < 60.0 => format!("{}:{:02}", whole / 60, whole % 60),
            _ if self.step < 3_600.0 => format!("{} min", whole / 60),
            _ => format!("{} h", whole / 3_600),
        }
    }
}

/// Timelines that share a row: of one node, one after the other.
struct Row<'a> {
    node: &'a HostName,
    timelines: Vec<&'a Timeline>,
}

fn rows(timelines: &[Timeline]) -> Vec<Row<'_>> {
    let mut by_node: BTreeMap<&HostName, Vec<&Timeline>> = BTreeMap::new();
    for timeline in timelines {
        by_node.entry(&timeline.node).or_default().push(timeline);
    }
    let mut rows = Vec::new();
    for (node, mut own) in by_node {
        own.sort_by_key(|timeline| (timeline.began, timeline.session));
        let mut lanes: Vec<Row<'_>> = Vec::new();
        for timeline in own {
            let free = lanes.iter_mut().find(|lane| {
                let last = lane.timelines.last();
                last.is_none_or(|last| last.ended <= timeline.began)
            });
            match free {
                Some(lane) => lane.timelines.push(timeline),
                None => lanes.push(Row {
                    node,
                    timelines: vec![timeline],
                }),
            }
        }
        rows.append(&mut lanes);
    }
    rows
}

fn draw_row(body: &mut String, axis: &Axis, row: &Row<'_>, top: f64) {
    let bar = top + 8.0;
    let total: SignedDuration = row.timelines.iter().map(|timeline| timeline.took()).sum();
    let _ = writeln!(
        body,
        "<text class=\"node\" x=\"20\" y=\"{:.1}\">{}</text><text class=\"soft\" x=\"20\" y=\"{:.1}\">{}</text>",
        bar + 14.0,
        row.node,
        bar + 30.0,
        words::took(total)
    );
    for pair in row.timelines.windows(2) {
        let (from, to) = (axis.x(pair[0].ended), axis.x(pair[1].began));
        let y = bar + BAR / 2.0;
        let _ = writeln!(
            body,
            "<line class=\"rule\" x1=\"{from:.1}\" y1=\"{y:.1}\" x2=\"{to:.1}\" y2=\"{y:.1}\" stroke-dasharray=\"2 4\"/>"
        );
    }
    for timeline in &row.timelines {
        for span in timeline.spans.iter().filter(|span| !span.inside) {
            draw_span(body, axis, span, bar, BAR);
        }
        for span in timeline.spans.iter().filter(|span| span.inside) {
            if span.kind == SpanKind::Silence {
                draw_box(body, axis, span, "quiet", bar + BAR - 3.0, 3.0);
            } else {
                draw_box(body, axis, span, hue(span.kind).class, bar + BAR + 3.0, INNER);
            }
        }
        for mark in timeline.marks.iter().filter(|mark| mark.alarm) {
            let x = axis.x(mark.at);
            let _ = writeln!(
                body,
                "<path class=\"alarm\" d=\"M{:.1} {:.1}h9l-4.5 7z\"><title>{}</title></path>",
                x - 4.5,
                bar - 8.0,
                escape(&mark.text)
            );
        }
        draw_end(body, axis, timeline, bar);
    }
}

/// How it ended: in words, and with a green post if the node started, a red one if it failed.
fn draw_end(body: &mut String, axis: &Axis, timeline: &Timeline, bar: f64) {
    let post = match timeline.reached {
        HowFar::Started => Some("end"),
        HowFar::Failed => Some("alarm"),
        _ => None,
    };
    let (from, to) = (axis.x(timeline.began), axis.x(timeline.ended));
    if let Some(class) = post {
        let _ = writeln!(
            body,
            "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"4\" height=\"{:.1}\" rx=\"2\"/>",
            to - 1.0,
            bar - 4.0,
            BAR + 8.0
        );
    }
    let state = if timeline.open { ", goes on" } else { "" };
    let text = format!("{}, {}{state}", timeline.reached, words::took(timeline.took()));
    // At the end of a long bar, at the begin of a short one near the left edge.
    let (x, anchor) = if count(text.len()) * LETTER > to - LEFT {
        (from, "start")
    } else {
        (to + 3.0, "end")
    };
    let _ = writeln!(
        body,
        "<text class=\"soft\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
        bar + BAR + INNER + 16.0
    );
}

fn draw_span(body: &mut String, axis: &Axis, span: &Span, y: f64, height: f64) {
    draw_box(body, axis, span, hue(span.kind).class, y, height);
    let (from, to) = (axis.x(span.began), axis.x(span.ended));
    let plain = Span {
        bytes: None,
        ..span.clone()
    };
    let full = label(&plain);
    let brief = full.rsplit(": ").next().unwrap_or_default();
    let fits = |text: &str| count(text.chars().count()) * LETTER + 8.0 <= to - from;
    let text = [full.as_str(), brief].into_iter().find(|text| fits(text));
    if let Some(text) = text {
        let class = match span.kind {
            SpanKind::Down | SpanKind::Unknown => "soft",
            _ => "in-bar",
        };
        let _ = writeln!(
            body,
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" pointer-events=\"none\">{}</text>",
            from.midpoint(to),
            y + height / 2.0 + 4.0,
            escape(text)
        );
    }
}

fn draw_box(body: &mut String, axis: &Axis, span: &Span, class: &str, y: f64, height: f64) {
    let (from, to) = (axis.x(span.began), axis.x(span.ended));
    // A hair of ground between neighbors tells them apart.
    let width = (to - from - 0.8).max(1.2);
    let note = if span.note.is_empty() {
        String::new()
    } else {
        format!("; {}", span.note)
    };
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{:.1}\"><title>{}: {}{}</title></rect>",
        if width > 6.0 { 2.5 } else { 0.5 },
        escape(&label(span)),
        words::took(span.took()),
        escape(&note)
    );
}

fn escape(text: &str) -> String {
    harmless(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
