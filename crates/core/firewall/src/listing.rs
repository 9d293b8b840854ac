//! A table as `nft -s list table` prints it, read back so far that two of them can be compared.
//!
//! What the kernel holds is compared with what it held right after our own transaction, not with our text:
//! versions of nft print the same rule in different words. Handles, counters and blank lines do not count.

use std::collections::BTreeMap;

/// A table as it was listed: for each chain or set, its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    mark: Option<String>,
    blocks: BTreeMap<String, Vec<String>>,
}

/// One way in which a table is not the one that it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// There is no table.
    AllGone,
    /// A chain is gone, with all in it.
    Gone(String),
    /// There is a chain that we did not make.
    Foreign(String),
    /// A rule is gone from a chain.
    Missing(String, String),
    /// There is a rule in a chain that we did not make.
    Extra(String, String),
    /// The same rules stand in another order.
    Reordered(String),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AllGone => write!(f, "the whole table was gone"),
            Self::Gone(block) => write!(f, "the {block} was gone"),
            Self::Foreign(block) => write!(f, "there was a {block} that is not ours"),
            Self::Missing(block, rule) => write!(f, "`{rule}` was missing from the {block}"),
            Self::Extra(block, rule) => write!(f, "`{rule}` was in the {block} and is not ours"),
            Self::Reordered(block) => write!(f, "the rules of the {block} were in another order"),
        }
    }
}

impl Listing {
    /// Reads what `nft` printed, or what [`Ruleset::text`](crate::Ruleset::text) made.
    pub fn parse(text: &str) -> Self {
        let mut listing = Self::default();
        let mut block: Option<(String, Vec<String>)> = None;
        let mut depth = 0_usize;
        for line in text.lines() {
            let line = line.split(" # handle ").next().unwrap_or_default().trim();
            let opens = line.ends_with('{');
            match (depth, line) {
                (_, "") => (),
                (0 | 1, "}") => depth = depth.saturating_sub(1),
                (2, "}") => {
                    depth = 1;
                    listing.blocks.extend(block.take());
                }
                (0, _) if opens => depth = 1,
                (1, line) if opens => {
                    depth = 2;
                    block = Some((line.trim_end_matches('{').trim_end().to_owned(), Vec::new()));
                }
                (1, line) => {
                    let mark = line.strip_prefix("comment \"");
                    listing.mark = mark.and_then(|mark| Some(mark.strip_suffix('"')?.to_owned()));
                }
                (_, line) => {
                    if let Some((_, lines)) = &mut block {
                        lines.push(line.to_owned());
                    }
                }
            }
        }
        listing
    }

    /// The mark of the text that the table was made from, if it has one.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How `found` is not this.
    pub fn differences(&self, found: &Self) -> Vec<Difference> {
        if found.is_empty() && !self.is_empty() {
            return vec![Difference::AllGone];
        }
        let mut out = Vec::new();
        for (block, ours) in &self.blocks {
            let Some(theirs) = found.blocks.get(block) else {
                out.push(Difference::Gone(block.clone()));
                continue;
            };
            let before = out.len();
            out.extend(
                without(ours, theirs)
                    .into_iter()
                    .map(|rule| Difference::Missing(block.clone(), rule)),
            );
            out.extend(
                without(theirs, ours)
                    .into_iter()
                    .map(|rule| Difference::Extra(block.clone(), rule)),
            );
            if out.len() == before && ours != theirs {
                out.push(Difference::Reordered(block.clone()));
            }
        }
        let foreign = found
            .blocks
            .keys()
            .filter(|block| !self.blocks.contains_key(*block));
        out.extend(foreign.map(|block| Difference::Foreign(block.clone())));
        out
    }
}

/// The lines of `ours` that are not in `theirs`, as often as they are missing.
fn without(ours: &[String], theirs: &[String]) -> Vec<String> {
    let mut left: Vec<&String> = theirs.iter().collect();
    let mut out = Vec::new();
    for line in ours {
        match left.iter().position(|other| *other == line) {
            Some(idx) => drop(left.swap_remove(idx)),
            None => out.push(line.clone()),
        }
    }
    out
}
