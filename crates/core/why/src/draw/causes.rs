//! Causes as text, for a terminal.

use std::fmt::Write as _;

use faros_model::timeline::{Cause, Confidence, Diagnosis};

use super::wrap;
use crate::words;

/// A diagnosis: the first cause with its evidence and the next action, then the others in a line or two each.
/// Lines have at most `width` columns, if that is at least 40.
pub fn causes(diagnosis: &Diagnosis, width: usize) -> String {
    let width = width.max(40);
    let mut out = String::new();
    let since = match diagnosis.since {
        Some(since) => format!(" for {}", words::took(diagnosis.at.duration_since(since))),
        None => String::new(),
    };
    let armed = if diagnosis.armed { ", armed" } else { "" };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "{}  {}{since}{armed}", diagnosis.node, diagnosis.phase);
    let Some((first, others)) = diagnosis.causes.split_first() else {
        return out;
    };
    let _ = writeln!(out, "\n{}", title(first));
    paragraph(&mut out, "  ", "  ", &first.summary, width);
    let _ = writeln!(out, "\n  told by");
    for evidence in &first.evidence {
        paragraph(&mut out, "    ", "      ", evidence, width);
    }
    let _ = writeln!(out, "\n  next");
    paragraph(&mut out, "    ", "    ", &first.next, width);
    if !others.is_empty() {
        let _ = writeln!(out, "\nless likely, or beside it");
    }
    for other in others {
        let text = format!("{}: {}", title(other), other.summary);
        paragraph(&mut out, "  ", "    ", &text, width);
    }
    out
}

fn title(cause: &Cause) -> String {
    match cause.confidence {
        Confidence::Aside => cause.code.clone(),
        confidence => format!("{} ({confidence})", cause.code),
    }
}

fn paragraph(out: &mut String, first: &str, then: &str, text: &str, width: usize) {
    for (idx, line) in wrap(text, width - then.len()).iter().enumerate() {
        let indent = if idx == 0 { first } else { then };
        let _ = writeln!(out, "{indent}{line}");
    }
}
