//! What the YAML parser's complaints mean to the author of the file.

use crate::show::show;

/// What is wrong, and what to do about it. `line` is the line of the file that the parser points at.
pub(crate) fn explain(info: &str, line: &str) -> (String, &'static str) {
    const QUOTE: &str = "put quotes around the text";
    const INDENT: &str =
        "give all keys of one mapping, and all `-` of one list, the same number of blanks before them";
    let says = |words: &str| info.contains(words);
    let (what, hint) = if says("tabs disallowed") || says("tab") && line.contains('\t') {
        (
            "there is a tab in the indentation",
            "YAML is indented with blanks",
        )
    } else if says("found unexpected end of stream") {
        ("this quote is never closed", "add the closing quote")
    } else if says("indentation in quoted scalar") {
        (
            "this quote is not closed on its line",
            "add the closing quote, or indent the lines that belong to the text",
        )
    } else if says("must be followed by a valid YAML whitespace") {
        (
            "there is no blank behind this `:`",
            "write `key: value`, with a blank and not a tab",
        )
    } else if says("unknown anchor") {
        (
            "aliases (`*name`) are not read",
            "write the value out, or put quotes around text that begins with `*`",
        )
    } else if says("mapping values are not allowed") {
        (
            "there is a `:` where no key can be",
            "put quotes around text with a `: ` in it, or correct the indentation of the line",
        )
    } else if says("simple key expect ':'") {
        (
            "the line before has no `:`",
            "write `key: value`, with a blank behind the `:`",
        )
    } else if says("simple key expected") || says("mapping keys are not allowed") {
        ("no key can be here", INDENT)
    } else if says("did not find expected key") {
        (
            "this line is indented differently from those it belongs to",
            INDENT,
        )
    } else if says("'-' indicator") || says("block sequence entries") {
        ("this line is no item of the list, and no key either", INDENT)
    } else if says("',' or '}'") {
        (
            "a `,` or the closing `}` is missing before this",
            "close the mapping, or quote text with `{` or `}` in it",
        )
    } else if says("',' or ']'") || says("illegal placement of ':'") {
        (
            "a `,` or the closing `]` is missing before this",
            "close the list, or quote text with `[` or `]` in it",
        )
    } else if says("expected node content") {
        (
            "a value is missing here",
            "write one, or close the list or mapping that is open",
        )
    } else if says("hexadecimal") || says("unknown escape") {
        (
            "this text has a `\\` that is no escape",
            "use single quotes, in which `\\` is an ordinary character",
        )
    } else if says("unprintable") {
        ("there is a character that cannot be printed", "take it out")
    } else if let Some(found) = info.strip_prefix("unexpected character: ") {
        let found = found.trim_matches(['`', '\'']);
        return (format!("text cannot begin with {}", show(found)), QUOTE);
    } else {
        let hint =
            "look at the indentation, and at quotes, brackets and colons on this line and the one before";
        return (format!("this is not YAML: {info}"), hint);
    };
    (what.to_owned(), hint)
}
