//! Problems as text for people: what, where, the line itself with the place underlined, and what to do.

use std::fmt::Write as _;

use faros_model::problem::Problem;

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
    let lines: Vec<&str> = text.lines().collect();
    let word = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let blocks = problems
        .iter()
        .map(|problem| format!("{word}{}", block(problem, file_name, &lines)));
    blocks.collect::<Vec<_>>().join("\n")
}

fn block(problem: &Problem, file_name: &str, lines: &[&str]) -> String {
    let Problem {
        code,
        line,
        column,
        path,
        message,
        hint,
        width,
    } = problem;
    let mut out = format!("[{code}] {message}\n");
    let gutter = line.to_string().len();
    let place = if path.is_empty() {
        String::new()
    } else {
        format!(" ({path})")
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{:gutter$}--> {file_name}:{line}:{column}{place}", "");
    if let Some(source) = lines.get(*line as usize - 1) {
        // Tabs and other control characters would pull the underline from under its word.
        let source: String = source
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let before = (*column as usize).saturating_sub(1);
        let (source, before) = window(&source, before, *width as usize);
        let room = source.chars().count().saturating_sub(before).max(1);
        let marks = "^".repeat((*width as usize).clamp(1, room));
        let _ = writeln!(out, "{:gutter$} |", "");
        let _ = writeln!(out, "{line} | {}", source.trim_end());
        let _ = writeln!(out, "{:gutter$} | {:before$}{marks}", "", "");
    }
    if !hint.is_empty() {
        let _ = writeln!(out, "{:gutter$} = help: {hint}", "");
    }
    out
}

/// At most 110 characters of a long line, with the place in sight, and where the place is then.
fn window(source: &str, before: usize, width: usize) -> (String, usize) {
    const WIDEST: usize = 110;
    let length = source.chars().count();
    if length <= WIDEST {
        return (source.to_owned(), before);
    }
    let start = before.saturating_sub(40).min(length.saturating_sub(WIDEST));
    let shown: String = source
        .chars()
        .skip(start)
        .take(WIDEST.max(width.min(WIDEST)))
        .collect();
    let lead = if start > 0 { "…" } else { "" };
    (format!("{lead}{shown}…"), before - start + lead.chars().count())
}
