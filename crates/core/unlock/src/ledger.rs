//! The ledger: which node's disks depend on which key, and how that is known.

use std::collections::BTreeMap;

use faros_model::ids::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a binding is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The node fetched the advertisement while it installed itself.
    Advertised,
    /// The node reported that it bound its disks anew.
    Rebound,
    /// The node unlocked a disk with it.
    Recovered,
    /// The key came back from a backup, and the node may depend on it.
    Restored,
}

impl Seen {
    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Advertised => "advertised",
            Self::Rebound => "rebound",
            Self::Recovered => "recovered",
            Self::Restored => "restored",
        }
    }
}

/// One node's dependence on one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// The node.
    pub node: HostName,
    /// Thumbprint of the exchange key.
    pub key: String,
    /// When the bastion first knew.
    pub since: Timestamp,
    /// When it was last seen, and how.
    pub last: Timestamp,
    /// How it was last seen.
    pub seen: Seen,
}

/// What the ledger learned from something that was seen: what is to be kept, and what is no longer so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Learned {
    /// The binding as it is now.
    pub kept: Option<Binding>,
    /// Whether it was not known before.
    pub is_new: bool,
    /// Keys on which the node depends no more.
    pub dropped: Vec<String>,
}

/// All bindings.
#[derive(Debug, Clone, Default)]
pub struct Ledger(BTreeMap<(HostName, String), Binding>);

impl Ledger {
    /// The ledger with these bindings.
    pub fn of(bindings: impl IntoIterator<Item = Binding>) -> Self {
        let entry = |binding: Binding| ((binding.node.clone(), binding.key.clone()), binding);
        Self(bindings.into_iter().map(entry).collect())
    }

    /// Whether `node` depends on `key`.
    pub fn is_bound(&self, node: &HostName, key: &str) -> bool {
        self.0.contains_key(&(node.clone(), key.to_owned()))
    }

    /// Whether anything is known of `node`.
    pub fn knows(&self, node: &HostName) -> bool {
        self.0.keys().any(|(own, _)| own == node)
    }

    /// The nodes that depend on `key`.
    pub fn nodes_of(&self, key: &str) -> Vec<&Binding> {
        self.0.values().filter(|binding| binding.key == key).collect()
    }

    /// All bindings, by node and key.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding> {
        self.0.values()
    }

    /// Takes note that `node` was seen to depend on `key`.
    ///
    /// A new binding replaces what was known, for the node has moved all its disks. An advertisement or a recovery
    /// adds to it: the node may have disks that depend on different keys, and what it depended on before an install
    /// is over only with that; see [`Ledger::wiped`].
    pub fn saw(&mut self, node: &HostName, key: &str, seen: Seen, at: Timestamp) -> Learned {
        let replaces = seen == Seen::Rebound;
        let mut dropped = Vec::new();
        if replaces {
            let others = |(own, other): &(HostName, String)| own == node && other != key;
            let stale: Vec<(HostName, String)> =
                self.0.keys().filter(|entry| others(entry)).cloned().collect();
            for entry in stale {
                self.0.remove(&entry);
                dropped.push(entry.1);
            }
        }
        let entry = (node.clone(), key.to_owned());
        let before = self.0.get(&entry);
        let binding = Binding {
            node: node.clone(),
            key: key.to_owned(),
            since: before.map_or(at, |before| before.since),
            last: at,
            seen,
        };
        let is_new = before.is_none();
        self.0.insert(entry, binding.clone());
        Learned {
            kept: Some(binding),
            is_new,
            dropped,
        }
    }

    /// Takes note that the disks of `node` were wiped at `at` and bound since then: it depends no more on keys that
    /// it was not seen to use later.
    pub fn wiped(&mut self, node: &HostName, at: Timestamp) -> Learned {
        let is_stale = |binding: &&Binding| binding.node == *node && binding.last < at;
        let dropped: Vec<String> = self
            .0
            .values()
            .filter(is_stale)
            .map(|binding| binding.key.clone())
            .collect();
        for key in &dropped {
            self.0.remove(&(node.clone(), key.clone()));
        }
        Learned {
            dropped,
            ..Learned::default()
        }
    }

    /// Forgets a key that is destroyed; the nodes that depended on it.
    pub fn destroyed(&mut self, key: &str) -> Vec<HostName> {
        let nodes: Vec<HostName> = self
            .nodes_of(key)
            .into_iter()
            .map(|binding| binding.node.clone())
            .collect();
        self.0.retain(|(_, own), _| own != key);
        nodes
    }

    /// Forgets a node, whose disks are wiped or gone; the keys it depended on.
    pub fn forget(&mut self, node: &HostName) -> Vec<String> {
        let own: Vec<(HostName, String)> = self.0.keys().filter(|(own, _)| own == node).cloned().collect();
        own.into_iter()
            .map(|entry| {
                self.0.remove(&entry);
                entry.1
            })
            .collect()
    }
}
