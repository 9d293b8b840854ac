//! Text of the file in messages: short, in backticks, and without characters that a terminal would obey.

/// Most characters of a text that a message repeats.
const LONGEST: usize = 60;

/// The text for a message: in backticks, escaped, cut if it is long.
pub(crate) fn show(text: &str) -> String {
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let mut out = String::from("`");
    for (idx, c) in text.chars().enumerate() {
        if idx == LONGEST {
            out.push('…');
            break;
        }
        if is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('`');
    out
}

/// Whether a character moves the cursor, changes colors or the direction of writing, or cannot be seen.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Words in a row: `a`, `b` or `c`.
pub(crate) fn or(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [front @ .., last] => format!("{} or {last}", front.join(", ")),
    }
}

/// The known word that was most likely meant.
pub(crate) fn closest<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means a word by a text of many lines, and comparing costs the product of the lengths.
    if text.len() > LONGEST {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let wanted = plain(text);
    let near = |word: &str| {
        let word = plain(word);
        let distance = strsim::damerau_levenshtein(&wanted, &word);
        let enough = distance <= 1.max(word.len().min(wanted.len()) / 3) && distance < wanted.len();
        // One is the other's plural, beginning or end: `host` for `hosts`, `mac` for `bootMac`.
        let part =
            |short: &str, long: &str| short.len() >= 3 && (long.starts_with(short) || long.ends_with(short));
        (enough || part(&wanted, &word) || part(&word, &wanted)).then_some(distance)
    };
    known
        .filter_map(|word| near(word).map(|distance| (distance, word)))
        .min()
        .map(|(_, word)| word)
}

/// A hint that names the word that was meant, or else all there are.
pub(crate) fn did_you_mean(text: &str, known: &[&str]) -> String {
    match closest(text, known.iter().copied()) {
        Some(word) => format!("did you mean `{word}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}
