//! A table as `nft -s list table` prints it, read back so far that two of them can be compared.
//!
//! What the kernel holds is compared with what it held right after our own transaction, not with our text:
//! versions of nft print the same rule in different words. Handles, what counters say and blank lines do not
//! count. The slots of balanced services are compared with what the balancer wants of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddrV4,
};

use faros_balancer::Slots;

use crate::text::SLOTS_OF;

/// A table as it was listed: for each chain or set, its lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    mark: Option<String>,
    blocks: BTreeMap<String, Vec<String>>,
    slots: BTreeMap<String, Slots>,
    counted: BTreeMap<String, (u64, u64)>,
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
    /// So many slots of a service were not as the balancer has them.
    Slots(String, usize),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AllGone => write!(f, "the whole table was gone"),
            Self::Gone(block) => write!(f, "the {block} was gone"),
            Self::Foreign(block) => write!(f, "there was a {block} that is not ours"),
            Self::Missing(block, rule) => write!(f, "`{rule}` was missing from the {block}"),
            Self::Extra(block, rule) => write!(f, "`{rule}` was in the {block} and is not ours"),
            Self::Slots(service, 1) => write!(f, "a slot of {service} was not the balancer's"),
            Self::Slots(service, n) => write!(f, "{n} slots of {service} were not the balancer's"),
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
        // nft breaks the lines of long lists as it likes.
        let mut elements: Option<String> = None;
        for line in text.lines() {
            let line = line.split(" # handle ").next().unwrap_or_default().trim();
            if depth == 2
                && let Some(begun) = elements
                    .take()
                    .or_else(|| line.starts_with(ELEMENTS).then(String::new))
            {
                let begun = begun + line + " ";
                match begun.trim_end().strip_suffix('}') {
                    Some(whole) => listing.take_elements(&mut block, whole),
                    None => elements = Some(begun),
                }
                continue;
            }
            let opens = line.ends_with('{');
            match (depth, line) {
                (_, "") => (),
                (0 | 1, "}") => depth = depth.saturating_sub(1),
                (2, "}") => {
                    depth = 1;
                    listing.take_block(block.take());
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

    /// Keeps a block; of a counter, only what it says.
    fn take_block(&mut self, block: Option<(String, Vec<String>)>) {
        let Some((name, mut lines)) = block else { return };
        if let Some(counter) = name.strip_prefix("counter ") {
            let said = lines.iter().find_map(|line| Some(counted(line)?.0));
            self.counted.extend(said.map(|said| (counter.to_owned(), said)));
            lines.clear();
        }
        for line in &mut lines {
            if let Some((_, rest)) = counted(line) {
                *line = rest;
            }
        }
        if let Some(service) = name
            .strip_prefix("map ")
            .and_then(|map| map.strip_prefix(SLOTS_OF))
        {
            self.slots.entry(service.to_owned()).or_default();
        }
        self.blocks.insert(name, lines);
    }

    /// Keeps the elements of a set or a map: slots as slots, others as lines, in an order of their own.
    fn take_elements(&mut self, block: &mut Option<(String, Vec<String>)>, text: &str) {
        let Some((name, lines)) = block else { return };
        let text = text.strip_prefix(ELEMENTS).unwrap_or(text);
        let elements: BTreeSet<&str> = text
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .collect();
        match name
            .strip_prefix("map ")
            .and_then(|map| map.strip_prefix(SLOTS_OF))
        {
            Some(service) => {
                let slots = self.slots.entry(service.to_owned()).or_default();
                slots.extend(elements.into_iter().filter_map(slot));
            }
            None => lines.extend(elements.into_iter().map(str::to_owned)),
        }
    }

    /// Which backend each slot of each balanced service belongs to.
    pub fn slots(&self) -> &BTreeMap<String, Slots> {
        &self.slots
    }

    /// Packets and bytes, by the counter's name.
    pub fn counted(&self) -> &BTreeMap<String, (u64, u64)> {
        &self.counted
    }

    /// The mark of the text that the table was made from, if it has one.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// Whether there is no table.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// How `found` is not this, with these slots.
    pub fn differences(&self, found: &Self, slots: &BTreeMap<String, Slots>) -> Vec<Difference> {
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
        for (service, held) in &found.slots {
            let none = Slots::new();
            let wanted = slots.get(service).unwrap_or(&none);
            let all: BTreeSet<u16> = held.keys().chain(wanted.keys()).copied().collect();
            let wrong = all
                .iter()
                .filter(|slot| held.get(slot) != wanted.get(slot))
                .count();
            if wrong > 0 {
                out.push(Difference::Slots(service.clone(), wrong));
            }
        }
        out
    }
}

/// How nft begins the elements of a set or a map.
const ELEMENTS: &str = "elements = {";

/// What the counter of a line says, and the line without it.
fn counted(line: &str) -> Option<((u64, u64), String)> {
    let (before, rest) = line.split_once("packets ")?;
    let (packets, rest) = rest.split_once(" bytes ")?;
    let (bytes, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let said = (packets.parse().ok()?, bytes.parse().ok()?);
    Some((said, format!("{before}{rest}").trim_end().to_owned()))
}

/// `7 : 192.168.8.11 . 6443`.
fn slot(text: &str) -> Option<(u16, SocketAddrV4)> {
    let (slot, own) = text.split_once(" : ")?;
    let (ip, port) = own.split_once(" . ")?;
    let own = SocketAddrV4::new(ip.parse().ok()?, port.trim().parse().ok()?);
    Some((slot.trim().parse().ok()?, own))
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
