//! YAML with positions: text becomes a tree in which every key and value knows where it stands.
//!
//! Scalars stay text here, because only the schema knows what was meant: `no` is a fine name, and `8.10` a
//! fine version. Anchors, aliases, tags and further documents are refused, and size, depth and number of
//! nodes are bounded, so that no file can cost more than its length.

use faros_model::problem::Problem;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Largest site file, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting.
const MAX_DEPTH: usize = 32;
/// Most nodes.
const MAX_NODES: usize = 100_000;

/// Where something stands: line and column from 1, and how many characters to underline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) width: u32,
}

/// A value of the document.
#[derive(Debug, Clone)]
pub(crate) struct Node {
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
}

/// A problem at a place, not yet within a path.
pub(crate) fn problem(
    code: &str,
    mark: Mark,
    path: &str,
    message: String,
    hint: impl Into<String>,
) -> Problem {
    Problem {
        code: code.to_owned(),
        line: mark.line,
        column: mark.column,
        path: path.to_owned(),
        message,
        hint: hint.into(),
        width: mark.width.max(1),
    }
}

/// Reads a document. Problems that leave a tree (duplicate keys, aliases) are told beside it.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Problem>) {
    let start = Mark {
        line: 1,
        column: 1,
        width: 1,
    };
    if text.len() > MAX_BYTES {
        let what = format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len());
        return (
            None,
            vec![problem(
                "file-too-large",
                start,
                "",
                what,
                "a site file has a few kilobytes",
            )],
        );
    }
    let mut reader = Reader {
        lines: text.lines().collect(),
        problems: Vec::new(),
        nodes: 0,
    };
    let mut events = Parser::new_from_str(text);
    let mut root = None;
    let mut documents = 0;
    loop {
        match events.next() {
            None => break,
            Some(Err(error)) => {
                let at = reader.mark_at(error.marker().line(), error.marker().col());
                let what = format!("this is not YAML: {}", error.info());
                reader.problems.push(problem(
                    "yaml-syntax",
                    at,
                    "",
                    what,
                    syntax_hint(text, error.info()),
                ));
                return (None, reader.problems);
            }
            Some(Ok((Event::DocumentStart(_), span))) => {
                documents += 1;
                if documents == 2 {
                    let what = "a second document begins here".to_owned();
                    let at = reader.mark(&span);
                    let hint = "one file describes one site: put the other one into a file of its own";
                    reader
                        .problems
                        .push(problem("several-documents", at, "", what, hint));
                    return (None, reader.problems);
                }
            }
            Some(Ok((event, span))) => {
                if matches!(
                    event,
                    Event::StreamStart | Event::StreamEnd | Event::DocumentEnd | Event::Nothing
                ) {
                    continue;
                }
                match reader.node(event, span, &mut events, 0, "") {
                    Ok(node) => root = Some(node),
                    Err(problem) => {
                        reader.problems.push(*problem);
                        return (None, reader.problems);
                    }
                }
            }
        }
    }
    (root, reader.problems)
}

fn syntax_hint(text: &str, info: &str) -> &'static str {
    if text.contains('\t') && info.contains("tab") {
        "indent with blanks: YAML allows no tabs there"
    } else {
        "look at the indentation, and at quotes, brackets and colons on this line and the one before"
    }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    problems: Vec<Problem>,
    nodes: usize,
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

impl Reader<'_> {
    fn node(
        &mut self,
        event: Event<'_>,
        span: Span,
        events: &mut Events<'_>,
        depth: usize,
        path: &str,
    ) -> Result<Node, Box<Problem>> {
        let mark = self.mark(&span);
        self.nodes += 1;
        let fatal = |code, what: &str, hint| Err(Box::new(problem(code, mark, path, what.to_owned(), hint)));
        if self.nodes > MAX_NODES {
            return fatal(
                "file-too-large",
                "the file has more than 100000 values",
                "a site has a few hundred",
            );
        }
        if depth > MAX_DEPTH {
            return fatal(
                "too-deep",
                "this is nested more than 32 levels deep",
                "a site file needs about eight",
            );
        }
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if anchor != 0 {
            let what = "anchors (`&name`) are not read".to_owned();
            let hint =
                "write the value where it is needed; what all nodes share goes below `spec.nodeDefaults`";
            self.problems.push(problem("anchor", mark, path, what, hint));
        }
        if tag {
            let what = "tags (`!name`) are not read".to_owned();
            self.problems.push(problem(
                "tag",
                mark,
                path,
                what,
                "leave the tag out: the key says what the value is",
            ));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar {
                text: text.into_owned(),
                plain: style == ScalarStyle::Plain,
            },
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                loop {
                    let (event, span) = self.next(events, path)?;
                    if matches!(event, Event::SequenceEnd) {
                        break Value::Sequence(items);
                    }
                    let path = format!("{path}[{}]", items.len());
                    items.push(self.node(event, span, events, depth + 1, &path)?);
                }
            }
            Event::MappingStart(..) => self.mapping(events, depth, path)?,
            Event::Alias(_) => {
                return fatal(
                    "alias",
                    "aliases (`*name`) are not read",
                    "write the value out; what all nodes share goes below `spec.nodeDefaults`",
                );
            }
            _ => return fatal("yaml-syntax", "this is not YAML", "a value is missing here"),
        };
        Ok(Node { mark, value })
    }

    fn mapping(&mut self, events: &mut Events<'_>, depth: usize, path: &str) -> Result<Value, Box<Problem>> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next(events, path)?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Mapping(entries));
            }
            let key = self.node(event, span, events, depth + 1, path)?;
            let Value::Scalar { text, .. } = key.value else {
                let what = "a key must be a word".to_owned();
                let hint = "a list or a mapping cannot be a key; quote text with braces";
                return Err(Box::new(problem("bad-key", key.mark, path, what, hint)));
            };
            let inside = if path.is_empty() {
                text.clone()
            } else {
                format!("{path}.{text}")
            };
            let (event, span) = self.next(events, &inside)?;
            let value = self.node(event, span, events, depth + 1, &inside)?;
            if let Some((first, _)) = entries.iter().find(|(other, _)| other.text == text) {
                let what = format!(
                    "`{text}` is here a second time; the first is on line {}",
                    first.mark.line
                );
                self.problems.push(problem(
                    "duplicate-key",
                    key.mark,
                    &inside,
                    what,
                    "keep one of them",
                ));
            } else {
                entries.push((Key { mark: key.mark, text }, value));
            }
        }
    }

    fn next<'a>(&mut self, events: &mut Events<'a>, path: &str) -> Result<(Event<'a>, Span), Box<Problem>> {
        match events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let at = self.mark_at(error.marker().line(), error.marker().col());
                let what = format!("this is not YAML: {}", error.info());
                let hint = "look at the indentation, and at quotes, brackets and colons on this line and the one before";
                Err(Box::new(problem("yaml-syntax", at, path, what, hint)))
            }
            None => {
                let at = self.mark_at(self.lines.len(), 0);
                let what = "the file ends in the middle of a value".to_owned();
                Err(Box::new(problem("yaml-syntax", at, path, what, "is it cut off?")))
            }
        }
    }

    /// Where a span begins; its width ends with the line.
    fn mark(&self, span: &Span) -> Mark {
        let mut mark = self.mark_at(span.start.line(), span.start.col());
        if span.end.line() == span.start.line() {
            mark.width = u32::try_from(span.end.col().saturating_sub(span.start.col())).unwrap_or(1);
        } else {
            let line = self.lines.get(span.start.line().saturating_sub(1)).unwrap_or(&"");
            let rest: String = line.chars().skip(span.start.col()).collect();
            mark.width = u32::try_from(rest.trim_end().chars().count()).unwrap_or(1);
        }
        mark.width = mark.width.max(1);
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
