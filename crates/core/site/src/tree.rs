//! YAML with positions: text becomes a tree in which every key and value knows where it stands.
//!
//! Scalars stay text here, because only the schema knows what was meant: `no` is a fine name, and `8.10` a
//! fine version. Anchors, tags and further documents are refused, and size, depth and number of values are
//! bounded, so that no file can cost more than its length.

use std::collections::HashMap;

use faros_model::problem::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::{
    codes::Code,
    place::{Mark, index, item, key as key_path, lines, problem},
    show::show,
    syntax,
};

/// Largest site file, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most values.
const MAX_NODES: usize = 100_000;

/// A value of the document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where it stands: the value itself if it is on one line, else the key before it.
    pub(crate) mark: Mark,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// Text, and whether it stood without quotes.
    Scalar { text: String, plain: bool },
    /// Values in order.
    Sequence(Vec<Node>),
    /// Keys with their values, in order; no key twice.
    Mapping(Vec<(Key, Node)>),
    /// Something that a problem was told of already.
    Told,
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) mark: Mark,
    pub(crate) text: String,
}

impl Node {
    /// Whether the value is YAML's null: nothing, `~` or `null` without quotes.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key, if this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else {
            return None;
        };
        let entry = entries.iter().find(|(own, _)| own.text == key);
        entry.map(|(_, value)| value)
    }
}

/// Reads a document. Without a tree there is at least one problem; with one there may be some, too.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    if text.len() > MAX_BYTES {
        let what = format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len());
        let hint = "a site file has a few kilobytes";
        return (
            None,
            vec![problem(Code::FileTooLarge, Mark::START, "", what, hint)],
        );
    }
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        lines: lines(text).collect(),
        problems: Vec::new(),
        n_nodes: 0,
    };
    match reader.document() {
        Ok(root) => (Some(root), reader.problems),
        Err(fatal) => {
            reader.problems.push(*fatal);
            (None, reader.problems)
        }
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    lines: Vec<&'a str>,
    /// What is wrong, and leaves a tree.
    problems: Vec<Problem>,
    n_nodes: usize,
}

/// A problem that leaves no tree.
type Fatal = Box<Problem>;

impl<'a> Reader<'a> {
    fn document(&mut self) -> Result<Node, Fatal> {
        let mut root = None;
        loop {
            let (event, span) = self.next("")?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    let what = "a second document begins here".to_owned();
                    let hint = "one file describes one site: put the other one into a file of its own";
                    let at = self.mark(&span);
                    return Err(Box::new(problem(Code::SeveralDocuments, at, "", what, hint)));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => (),
                event => root = Some(self.node(event, span, 0, "")?),
            }
        }
        match root {
            Some(root) if !root.is_null() => Ok(root),
            _ => {
                let what = "the file is empty".to_owned();
                let hint = "the smallest site file is about 20 lines: see `examples/smallest.yaml`";
                Err(Box::new(problem(Code::EmptyFile, Mark::START, "", what, hint)))
            }
        }
    }

    fn node(&mut self, event: Event<'_>, span: Span, depth: usize, path: &str) -> Result<Node, Fatal> {
        let mut mark = self.mark(&span);
        self.n_nodes += 1;
        let fatal = |code, what: &str, hint| Err(Box::new(problem(code, mark, path, what.to_owned(), hint)));
        if self.n_nodes > MAX_NODES {
            let what = "the file has more than 100000 values";
            return fatal(Code::FileTooLarge, what, "a site has a few hundred");
        }
        if depth > MAX_DEPTH {
            let what = "this is nested more than 32 levels deep";
            return fatal(Code::TooDeep, what, "a site file needs about eight");
        }
        self.plain_only(&event, mark, path);
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar {
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain,
            },
            Event::SequenceStart(..) => {
                let (items, end) = self.sequence(depth, path)?;
                mark = self.collection(&span, &end);
                Value::Sequence(items)
            }
            Event::MappingStart(..) => {
                let (entries, end) = self.mapping(depth, path)?;
                mark = self.collection(&span, &end);
                Value::Mapping(entries)
            }
            // The anchor was told of where it stands.
            Event::Alias(_) => Value::Told,
            _ => {
                return fatal(
                    Code::YamlSyntax,
                    "a value is missing here",
                    "write one, or leave the key out",
                );
            }
        };
        Ok(Node { mark, value })
    }

    /// Tells of anchors and tags.
    fn plain_only(&mut self, event: &Event<'_>, mark: Mark, path: &str) {
        let (Event::Scalar(_, _, anchor, tag)
        | Event::SequenceStart(anchor, tag)
        | Event::MappingStart(anchor, tag)) = event
        else {
            return;
        };
        if *anchor != 0 {
            let what = "anchors (`&name`) are not read, nor the aliases (`*name`) that use them".to_owned();
            let hint = "write the value where it is needed; what all nodes share goes to `spec.nodeDefaults`";
            self.problems.push(problem(Code::Anchor, mark, path, what, hint));
        }
        if tag.is_some() {
            let what = "tags (`!name`) are not read".to_owned();
            let hint = "leave the tag out: the key says what the value is";
            self.problems.push(problem(Code::Tag, mark, path, what, hint));
        }
    }

    fn sequence(&mut self, depth: usize, path: &str) -> Result<(Vec<Node>, Span), Fatal> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next(path)?;
            if matches!(event, Event::SequenceEnd) {
                return Ok((items, span));
            }
            let path = item(path, items.len());
            items.push(self.node(event, span, depth + 1, &path)?);
        }
    }

    fn mapping(&mut self, depth: usize, path: &str) -> Result<(Vec<(Key, Node)>, Span), Fatal> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut first_lines: HashMap<String, u32> = HashMap::new();
        loop {
            let (event, span) = self.next(path)?;
            if matches!(event, Event::MappingEnd) {
                return Ok((entries, span));
            }
            let key = self.node(event, span, depth + 1, path)?;
            let (event, span) = match key.value {
                Value::Scalar { .. } => self.next(path)?,
                Value::Told | Value::Sequence(_) | Value::Mapping(_) => {
                    let what = "a key must be a word".to_owned();
                    let hint = "a list, a mapping or an alias cannot be a key; quote text with braces";
                    return Err(Box::new(problem(Code::BadKey, key.mark, path, what, hint)));
                }
            };
            let Value::Scalar { text, .. } = key.value else {
                continue;
            };
            let inside = key_path(path, &text);
            let mut value = self.node(event, span, depth + 1, &inside)?;
            if value.is_null() || self.spreads(&span) {
                value.mark = key.mark;
            }
            if let Some(first) = first_lines.get(&text) {
                let what = format!(
                    "{} is here a second time; the first is on line {first}",
                    show(&text)
                );
                let again = problem(Code::DuplicateKey, key.mark, &inside, what, "keep one of them");
                self.problems.push(again);
            } else {
                first_lines.insert(text.clone(), key.mark.line);
                entries.push((Key { mark: key.mark, text }, value));
            }
        }
    }

    fn next(&mut self, path: &str) -> Result<(Event<'a>, Span), Fatal> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Box::new(self.syntax(&error, path))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&self, error: &ScanError, path: &str) -> Problem {
        let at = self.mark_at(error.marker().line(), error.marker().col());
        let line = self.lines.get(index(at.line)).copied().unwrap_or_default();
        let (what, hint) = syntax::explain(error.info(), line);
        problem(Code::YamlSyntax, at, path, what, hint)
    }

    /// Whether a value begins on another line than its key, or goes on for several: then its key is shown.
    fn spreads(&self, span: &Span) -> bool {
        let line = self.lines.get(span.start.line().saturating_sub(1)).unwrap_or(&"");
        let flow = line
            .chars()
            .nth(span.start.col())
            .is_some_and(|c| matches!(c, '{' | '['));
        let empty = span.start.index() == span.end.index();
        (empty && !flow) || span.end.line() > span.start.line()
    }

    /// Where a value stands; several lines are shown by the first of them.
    fn mark(&self, span: &Span) -> Mark {
        if span.end.line() == span.start.line() && span.end.col() > span.start.col() {
            let mut mark = self.mark_at(span.start.line(), span.start.col());
            mark.width = u32::try_from(span.end.col() - span.start.col()).unwrap_or(u32::MAX);
            return mark;
        }
        self.rest_of_line(span)
    }

    fn collection(&self, start: &Span, end: &Span) -> Mark {
        let flow = start.start.index() < start.end.index();
        if flow && start.start.line() == end.end.line() && end.end.col() > start.start.col() {
            let mut mark = self.mark_at(start.start.line(), start.start.col());
            mark.width = u32::try_from(end.end.col() - start.start.col()).unwrap_or(u32::MAX);
            return mark;
        }
        self.rest_of_line(start)
    }

    fn rest_of_line(&self, span: &Span) -> Mark {
        let mut mark = self.mark_at(span.start.line(), span.start.col());
        let line = self.lines.get(index(mark.line)).copied().unwrap_or_default();
        let rest: String = line.chars().skip(index(mark.column)).collect();
        let rest = rest.split(" #").next().unwrap_or_default();
        mark.width = u32::try_from(rest.trim_end().chars().count())
            .unwrap_or(u32::MAX)
            .max(1);
        mark
    }

    /// From the parser's line (from 1) and column (from 0). A place past the end is moved to the end.
    fn mark_at(&self, line: usize, column: usize) -> Mark {
        let last = self.lines.len().max(1);
        let (line, column) = if line > last {
            (last, self.lines.last().map_or(0, |line| line.chars().count()))
        } else {
            (line.max(1), column)
        };
        let to_u32 = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Mark {
            line: to_u32(line),
            column: to_u32(column).saturating_add(1),
            width: 1,
        }
    }
}
