//! The catalogue of causes: each a row with its code, its words for the documentation, and one small function
//! that looks for it.
//!
//! The order of the rows is the order among causes of the same confidence: first what explains most. A row
//! that finds nothing it can show is silent, so that no cause comes without evidence.

use faros_model::timeline::Confidence;

use crate::{
    case::Case,
    causes::{
        absent, address, bastion, content, identity, ignition, install, join, loader, member, otherwise,
        unlock,
    },
};

/// One cause.
pub(crate) struct Rule {
    /// Its stable word.
    pub(crate) code: &'static str,
    /// How sure it is, unless what was found says otherwise.
    pub(crate) confidence: Confidence,
    /// What it means.
    pub(crate) means: &'static str,
    /// What it is told by.
    pub(crate) told_by: &'static str,
    /// What to do about it; `{node}` and the like stand for what the case says.
    pub(crate) next: &'static str,
    /// Looks for it.
    pub(crate) find: fn(&Case<'_>, &Self) -> Option<Found>,
}

/// That a cause was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) summary: String,
    pub(crate) evidence: Vec<String>,
    /// How sure it is, if not as the row says.
    pub(crate) confidence: Option<Confidence>,
}

impl Found {
    pub(crate) fn new(summary: impl Into<String>, evidence: Vec<String>) -> Self {
        Self {
            summary: summary.into(),
            evidence,
            confidence: None,
        }
    }

    pub(crate) fn at(self, confidence: Confidence) -> Self {
        Self {
            confidence: Some(confidence),
            ..self
        }
    }
}

/// All causes of a stall, and what is told if there is none.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    causes().chain(otherwise::RULES)
}

/// All causes of a stall.
pub(crate) fn causes() -> impl Iterator<Item = &'static Rule> {
    bastion::RULES
        .iter()
        .chain(identity::RULES)
        .chain(install::RULES)
        .chain(unlock::RULES)
        .chain(join::RULES)
        .chain(member::RULES)
        .chain(ignition::RULES)
        .chain(content::RULES)
        .chain(loader::RULES)
        .chain(address::RULES)
        .chain(absent::RULES)
}
