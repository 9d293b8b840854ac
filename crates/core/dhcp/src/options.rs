//! The options of a message: codes and values (RFC 2132).

use crate::message::Malformed;

/// Options by code. What stood in several pieces is one value (RFC 3396).
///
/// The values lie one after another, because a server reads thousands of messages a second and looks at each value
/// once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    bytes: Vec<u8>,
    /// Each code, and where its value ends; by code.
    ends: Vec<(u8, usize)>,
}

impl Options {
    /// The value of an option, if it is there.
    pub fn get(&self, code: u8) -> Option<&[u8]> {
        let nth = self.ends.binary_search_by_key(&code, |(code, _)| *code).ok()?;
        Some(self.nth(nth))
    }

    /// All of them, by code.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let codes = self.ends.iter().enumerate();
        codes.map(|(nth, (code, _))| (*code, self.nth(nth)))
    }

    fn nth(&self, nth: usize) -> &[u8] {
        let from = nth.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.bytes[from..self.ends[nth].1]
    }
}

/// Options as they stand in a message: pieces in the order in which they are joined.
#[derive(Debug, Default)]
pub(crate) struct Pieces<'m>(Vec<(u8, &'m [u8])>);

impl<'m> Pieces<'m> {
    /// Reads those of a field.
    pub(crate) fn read(&mut self, mut field: &'m [u8]) -> Result<(), Malformed> {
        loop {
            field = match field {
                // The end, said or not: many clients leave it out of a field they fill.
                [] | [255, ..] => return Ok(()),
                [0, rest @ ..] => rest,
                [code, length, rest @ ..] => {
                    let (value, rest) = rest
                        .split_at_checked(usize::from(*length))
                        .ok_or(Malformed::Options)?;
                    self.0.push((*code, value));
                    rest
                }
                [_] => return Err(Malformed::Options),
            };
        }
    }

    /// The value of an option.
    pub(crate) fn bytes(&self, code: u8) -> impl Iterator<Item = u8> {
        let pieces = self.0.iter().filter(move |piece| piece.0 == code);
        pieces.flat_map(|(_, value)| value.iter().copied())
    }

    /// All of them but some, joined.
    pub(crate) fn joined_without(mut self, without: [u8; 2]) -> Options {
        self.0.retain(|(code, _)| !without.contains(code));
        // Pieces of one option stay in their order.
        self.0.sort_by_key(|(code, _)| *code);
        let mut options = Options {
            bytes: Vec::with_capacity(self.0.iter().map(|(_, value)| value.len()).sum()),
            // There are no more codes than that, whatever pieces they come in.
            ends: Vec::with_capacity(self.0.len().min(254)),
        };
        for (code, value) in self.0 {
            options.bytes.extend_from_slice(value);
            let end = options.bytes.len();
            match options.ends.last_mut() {
                Some(last) if last.0 == code => last.1 = end,
                _ => options.ends.push((code, end)),
            }
        }
        options
    }
}

/// Writes an option, in as many pieces as its length needs (RFC 3396).
pub(crate) fn write(into: &mut Vec<u8>, code: u8, value: &[u8]) {
    if value.is_empty() {
        into.extend([code, 0]);
    }
    for piece in value.chunks(255) {
        #[expect(clippy::cast_possible_truncation, reason = "a piece has at most 255 bytes")]
        into.extend([code, piece.len() as u8]);
        into.extend_from_slice(piece);
    }
}

/// How many bytes it takes to write such a value.
pub(crate) const fn room_for(value: &[u8]) -> usize {
    let pieces = value.len().div_ceil(255);
    value.len() + 2 * if pieces == 0 { 1 } else { pieces }
}
