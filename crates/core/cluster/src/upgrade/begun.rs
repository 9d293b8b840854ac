//! An upgrade that was begun, as the bastion remembers it, and what nodes say to it.
//!
//! What is remembered is how far the bastion has come in asking, and never how far a node is with its version: that is
//! seen.

use faros_model::{ids::HostName, kubernetes::KubeVersion};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An upgrade that was begun, as the bastion remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// From which version.
    pub from: KubeVersion,
    /// To which.
    pub to: KubeVersion,
    /// Who began it.
    pub by: String,
    /// When.
    pub since: Timestamp,
    /// Pods that nothing makes again go as well.
    pub force: bool,
    /// So many seconds a node may take to become empty.
    pub patience: u32,
    /// The snapshot of etcd from before it.
    pub snapshot: Option<String>,
    /// Whose turn it is.
    pub turn: Option<Turn>,
    /// Why it stands still.
    pub stop: Option<Stop>,
}

/// A node at its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// Which.
    pub node: HostName,
    /// What it is to do.
    pub way: Way,
    /// How far it is.
    pub step: Step,
    /// Since when.
    pub since: Timestamp,
    /// Whether it was closed to pods before, and stays so.
    pub was_closed: bool,
    /// What it said last of its upgrade.
    pub said: String,
    /// Whether it said that it is done: it is not told again.
    #[serde(default)]
    pub is_done: bool,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Its pods move elsewhere.
    Emptying,
    /// It has the upgrade to do, or does it, or comes back from it.
    Upgrading,
}

/// What a node does to be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `kubeadm upgrade apply`: its own part, and what the cluster as a whole knows.
    Apply,
    /// `kubeadm upgrade node`.
    Node,
}

impl Way {
    /// The word of kubeadm.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Node => "node",
        }
    }
}

/// Why an upgrade stands still until somebody says to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stop {
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub why: String,
    /// Whether somebody wanted it: then the node at its turn comes to its end.
    pub is_wanted: bool,
}

impl Upgrade {
    /// What a node is to do now to be upgraded.
    pub fn work_of(&self, node: &HostName) -> Option<Way> {
        let turn = self.turn.as_ref()?;
        let is_its = turn.node == *node && turn.step == Step::Upgrading && !turn.is_done;
        let goes_on = self.stop.as_ref().is_none_or(|stop| stop.is_wanted);
        (is_its && goes_on).then_some(turn.way)
    }

    /// Takes note of what a node says; whether it is news.
    pub fn said(&mut self, node: &HostName, said: Said, now: Timestamp) -> bool {
        let Some(turn) = self.turn.as_mut().filter(|turn| turn.node == *node) else {
            return false;
        };
        if turn.step != Step::Upgrading {
            return false;
        }
        match said {
            Said::At(phase) => {
                let is_news = turn.said != phase;
                turn.said = phase;
                is_news
            }
            Said::Done => {
                "it is done, and starts its programs anew".clone_into(&mut turn.said);
                !std::mem::replace(&mut turn.is_done, true)
            }
            Said::Failed(why) => {
                turn.said = format!("it failed {why}");
                self.stop = Some(Stop {
                    at: now,
                    why: format!("{node} failed {why}"),
                    is_wanted: false,
                });
                true
            }
        }
    }

    /// It goes on after it stood still.
    pub fn resume(&mut self, now: Timestamp) {
        self.stop = None;
        if let Some(turn) = &mut self.turn {
            turn.since = now;
            turn.said.clear();
            turn.is_done = false;
        }
    }
}

/// What a node says of its upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// How far it is.
    At(String),
    /// It is done.
    Done,
    /// It failed, and why.
    Failed(String),
}

impl Said {
    /// Reads a report; `None` if it is about something else.
    pub fn of(report: &str, facts: &Map<String, Value>) -> Option<Self> {
        let word = |key: &str| {
            let text = facts.get(key).and_then(Value::as_str).unwrap_or_default();
            text.chars().take(1000).collect::<String>()
        };
        match report {
            "upgrading" => Some(Self::At(word("phase"))),
            "upgraded" => Some(Self::Done),
            "upgrade-failed" => Some(Self::Failed(format!("at {}: {}", word("phase"), word("said")))),
            _ => None,
        }
    }
}
