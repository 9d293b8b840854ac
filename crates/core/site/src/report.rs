//! Problems as text for people: what, where, the line itself with the place underlined, and what to do.
//!
//! A line with a secret in it is shown with the secret blotted out, because reports end up in logs.

use std::{collections::BTreeMap, fmt::Write as _};

use faros_model::problem::Problem;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{
    codes::Code,
    place::{index, lines},
    show::is_invisible,
};

/// Widest excerpt of a line, in columns of a terminal.
const WIDEST: usize = 110;
/// Most problems that are told at length.
const MOST: usize = 500;

/// Whether a file is refused for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted.
    Warning,
}

/// The report on a file: one block for each problem, plain text.
///
/// `text` is the file that was checked; `file_name` is how the reader knows it.
pub fn report(severity: Severity, problems: &[Problem], file_name: &str, text: &str) -> String {
    let mut lines: Vec<String> = lines(text).map(visible).collect();
    for (line, column) in blots(problems, &lines) {
        let blot = |(idx, c): (usize, char)| {
            if idx >= column && !c.is_whitespace() {
                '*'
            } else {
                c
            }
        };
        lines[line] = lines[line].chars().enumerate().map(blot).collect();
    }
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let blocks = problems
        .iter()
        .take(MOST)
        .map(|problem| format!("{word}{}", block(problem, file_name, &lines)));
    let mut out = blocks.collect::<Vec<_>>().join("\n");
    if problems.len() > MOST {
        let _ = writeln!(
            out,
            "\n{word}: and {} more of which no text is shown",
            problems.len() - MOST
        );
    }
    out
}

/// For each line with a secret, from which character on it is blotted out.
fn blots(problems: &[Problem], lines: &[String]) -> BTreeMap<usize, usize> {
    let mut blots: BTreeMap<usize, usize> = BTreeMap::new();
    for problem in problems
        .iter()
        .filter(|problem| problem.code == Code::SecretInClear.as_str())
    {
        let Some(line) = lines.get(index(problem.line)) else {
            continue;
        };
        let start = index(problem.column);
        let end = start + index(problem.width) + 1;
        // Where the key is underlined, the secret is what follows it.
        let is_key = line.chars().nth(end) == Some(':');
        let from = if is_key { end + 1 } else { start };
        let blot = blots.entry(index(problem.line)).or_insert(from);
        *blot = from.min(*blot);
    }
    blots
}

fn block(problem: &Problem, file_name: &str, lines: &[String]) -> String {
    let Problem {
        code,
        line,
        column,
        path,
        message,
        hint,
        width,
    } = problem;
    let mut out = format!("[{code}]: {message}\n");
    let gutter = line.to_string().len();
    let place = if path.is_empty() {
        String::new()
    } else {
        format!(" ({path})")
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{:gutter$}--> {file_name}:{line}:{column}{place}", "");
    if let Some(source) = lines.get(index(*line)) {
        let (source, before, marked) = window(source, index(*column), index(*width) + 1);
        let marks = "^".repeat(marked.max(1));
        let _ = writeln!(out, "{:gutter$} |", "");
        let _ = writeln!(out, "{line} | {}", source.trim_end());
        let _ = writeln!(out, "{:gutter$} | {:before$}{marks}", "", "");
    }
    if !hint.is_empty() {
        let _ = writeln!(out, "{:gutter$} = help: {hint}", "");
    }
    out
}

/// The line without what would move the cursor or the underline.
fn visible(line: &str) -> String {
    let seen = |c| match c {
        '\t' => ' ',
        c if is_invisible(c) => '\u{fffd}',
        c => c,
    };
    line.chars().map(seen).collect()
}

/// What of a line fits, with the marked characters in sight; then, in columns of a terminal, what is before
/// the mark, and how wide it is.
fn window(source: &str, start: usize, marked: usize) -> (String, usize, usize) {
    let wide = |text: &str| text.width();
    let total: Vec<char> = source.chars().collect();
    let start = start.min(total.len());
    let before = |first: usize| wide(&total[first..start].iter().collect::<String>());
    let mut first = 0;
    if wide(source) > WIDEST {
        first = start;
        let mut lead = 0;
        while first > 0 && lead < WIDEST / 2 {
            first -= 1;
            lead += total[first].width().unwrap_or(0);
        }
    }
    let mut room = WIDEST;
    let fits = |c: &&char| {
        let width = c.width().unwrap_or(0);
        let has_room = room >= width;
        room = room.saturating_sub(width);
        has_room
    };
    let shown: String = total[first..].iter().take_while(fits).collect();
    let n_shown = shown.chars().count();
    let mark: String = shown.chars().skip(start - first).take(marked).collect();
    let lead = if first > 0 { "…" } else { "" };
    let tail = if first + n_shown < total.len() { "…" } else { "" };
    (
        format!("{lead}{shown}{tail}"),
        before(first) + wide(lead),
        wide(&mark),
    )
}
