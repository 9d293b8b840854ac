//! Shows what was found: a timeline as text with a bar, several side by side, any number as a picture; and
//! the causes of a stall as text.

mod causes;
mod svg;
mod text;

use faros_model::timeline::{Span, SpanKind};

pub use self::{
    causes::causes,
    svg::svg,
    text::{side_by_side, text},
};
use crate::words;

/// A span in a few words.
fn label(span: &Span) -> String {
    let name = span.name.as_str();
    let what = match span.kind {
        SpanKind::Firmware => "firmware".to_owned(),
        SpanKind::LoaderTransfer => format!("loader {name}"),
        SpanKind::Loader => "loader runs".to_owned(),
        SpanKind::Script => "script".to_owned(),
        SpanKind::Kernel => "kernel".to_owned(),
        SpanKind::Initramfs => "initramfs".to_owned(),
        SpanKind::SystemStart | SpanKind::Start => "system starts".to_owned(),
        SpanKind::Ignition => "Ignition".to_owned(),
        SpanKind::Stage => format!("install: {name}"),
        SpanKind::Content => name.to_owned(),
        SpanKind::Between => "install".to_owned(),
        SpanKind::Reboot => "reboot".to_owned(),
        SpanKind::DiskBoot => "boots its disk".to_owned(),
        SpanKind::Unlock => "unlock".to_owned(),
        SpanKind::Silence => "silent".to_owned(),
        SpanKind::Down => "not recorded".to_owned(),
        SpanKind::Unknown => "not seen".to_owned(),
    };
    match (span.bytes, span.bytes_per_second) {
        (Some(bytes), Some(rate)) => format!("{what}, {}, {}/s", words::size(bytes), words::size(rate)),
        (Some(bytes), None) => format!("{what}, {}", words::size(bytes)),
        (None, _) => what,
    }
}

/// Text without control characters: what a node says of itself is not for a terminal, or an XML reader, to obey.
fn harmless(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).collect()
}

/// Harmless text in lines of at most `width` columns; a word that is longer has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in harmless(text).split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length > 0 && length + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
