//! What the bastion remembers of its cluster, from one run to the next.

use std::collections::{BTreeMap, BTreeSet};

use faros_model::{
    ids::{HostName, SessionId},
    kubernetes::KubeVersion,
    site::{Role, Site},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    install::{Attempt, Progress, Work},
    join::Grant,
    snapshots::Name,
    upgrade::Upgrade,
};

/// So much of what a node says of its failure is kept.
const MAX_SAID: usize = 2000;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Record {
    /// When the first node had begun the control plane.
    pub established: Option<Timestamp>,
    /// Whether all that had come was ready at some time since then: until then it is not ill, but not there yet.
    pub complete: bool,
    /// The version that the node was handed that began it; of all nodes from then on, until an upgrade.
    pub version: Option<KubeVersion>,
    /// What each node was handed last, since it was installed.
    pub attempts: BTreeMap<HostName, Attempt>,
    /// Nodes that were taken out of the cluster, until they are installed anew.
    pub removed: BTreeSet<HostName>,
    /// The snapshot from which the cluster is to begin anew, until it has.
    pub restoring: Option<Restoring>,
    /// Nodes that have to leave the cluster as it was, until they ask to join.
    pub rejoin: BTreeSet<HostName>,
    /// Tokens that may still be good.
    pub grants: Vec<Grant>,
    /// The upgrade that was begun, until it is at its end.
    pub upgrade: Option<Upgrade>,
    /// What nodes say that keeps them from their work, until they say that it is over.
    pub complaints: BTreeMap<HostName, String>,
}

/// A cluster that begins anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restoring {
    /// Its snapshot.
    pub snapshot: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a node says of its joining.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It has begun.
    Joining(Option<SessionId>),
    /// It is done.
    Joined(Option<SessionId>),
    /// It was a member already when it started.
    Member,
    /// It failed.
    Failed {
        /// At what.
        phase: String,
        /// The last words of what failed.
        said: String,
    },
    /// Something keeps it from its work; `None` if nothing does any more.
    Complains(Option<String>),
}

/// Why what a node says is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// It was handed nothing, or something else since.
    #[error("the node was not handed this, or something else since")]
    NotHanded,
    /// Another node has begun the control plane since.
    #[error("another node has begun the control plane since")]
    Established,
}

impl Said {
    /// Reads a report; `None` if it is about something else.
    pub fn of(report: &str, facts: &Map<String, Value>) -> Option<Self> {
        let word = |key: &str| {
            let text = facts.get(key).and_then(Value::as_str).unwrap_or_default();
            text.chars().take(MAX_SAID).collect::<String>()
        };
        let session = facts.get("session").and_then(Value::as_str);
        let session = session.and_then(|text| text.parse::<SessionId>().ok());
        Some(match report {
            "joining" => Self::Joining(session),
            "joined" if word("action") == "member" => Self::Member,
            "joined" => Self::Joined(session),
            "join-failed" => Self::Failed {
                phase: word("phase"),
                // kubeadm often only knows that it waited for the kubelet in vain.
                said: match word("kubelet") {
                    kubelet if kubelet.is_empty() => word("said"),
                    kubelet => format!("{}; the kubelet says: {kubelet}", word("said")),
                },
            },
            "join-stuck" | "disk-full" => Self::Complains(Some(word("said"))),
            "disk-well" => Self::Complains(None),
            _ => return None,
        })
    }
}

impl Record {
    /// The version of the cluster; `None` before there is one.
    pub fn running(&self) -> Option<KubeVersion> {
        self.version.filter(|_| self.established.is_some())
    }

    /// Whether nobody may join: versions of the control plane change, and a node has but one.
    pub fn keeps_joins_away(&self) -> bool {
        let upgrade = self.upgrade.as_ref();
        upgrade.is_some_and(|upgrade| self.running() != Some(upgrade.to))
    }

    /// A node asks to join: it has left the cluster as it was, and nothing keeps it from that.
    pub fn asked(&mut self, node: &HostName) {
        self.rejoin.remove(node);
        self.complaints.remove(node);
    }

    /// A node was installed anew: what it was handed before is of another disk.
    pub fn installed(&mut self, node: &HostName) {
        self.attempts.remove(node);
        self.removed.remove(node);
        self.rejoin.remove(node);
        self.complaints.remove(node);
        self.grants.retain(|grant| grant.node != *node);
    }

    /// The cluster is to begin anew from a snapshot. Workers that are in it go on as they are; kubelets make themselves
    /// known only when they start, so that who came later has to join once more.
    pub fn restore(&mut self, site: &Site, snapshot: Name, now: Timestamp) {
        self.established = None;
        self.complete = false;
        // What is in the snapshot is of one version, and the nodes may have another by now.
        self.upgrade = None;
        self.grants.clear();
        for node in site.nodes.values() {
            let is_control_plane = node.roles.contains(&Role::ControlPlane);
            let begins_anew =
                |own: &mut Attempt| is_control_plane || own.joined.unwrap_or(own.at) >= snapshot.at;
            if self.attempts.get_mut(&node.name).is_some_and(begins_anew) {
                self.attempts.remove(&node.name);
                self.rejoin.insert(node.name.clone());
            }
        }
        self.restoring = Some(Restoring {
            snapshot: snapshot.to_string(),
            since: now,
        });
    }

    /// A node is handed something.
    pub fn hand(&mut self, node: &HostName, work: Work, session: SessionId, now: Timestamp) {
        let attempt = Attempt::handed(work, session, now, self.attempts.get(node));
        self.attempts.insert(node.clone(), attempt);
    }

    /// A token is given; the node's tokens before it, and those that are too old, are to be withdrawn: their public
    /// halves.
    pub fn grant(&mut self, grant: Grant, now: Timestamp) -> Vec<String> {
        let is_over = |own: &Grant| own.node == grant.node || own.expires < now;
        let over = self.grants.extract_if(.., |own| is_over(own));
        let over = over.map(|own| own.token_id).collect();
        self.grants.push(grant);
        over
    }

    /// Takes note of what a node says, when the bastion's clock shows `shown`.
    ///
    /// # Errors
    /// It is of something that is no longer the node's to do.
    pub fn said(
        &mut self,
        node: &HostName,
        said: Said,
        now: Timestamp,
        shown: Timestamp,
    ) -> Result<(), NotTaken> {
        let attempt = self.attempts.get(node);
        let is_joined = attempt.is_some_and(|attempt| attempt.progress == Progress::Joined);
        let (session, progress) = match said {
            Said::Complains(of) => {
                match of {
                    Some(what) => drop(self.complaints.insert(node.clone(), what)),
                    None => drop(self.complaints.remove(node)),
                }
                return Ok(());
            }
            Said::Member if is_joined => {
                // It has started; what keeps it from its work yet, it says once more.
                self.complaints.remove(node);
                return Ok(());
            }
            Said::Member => return Err(NotTaken::NotHanded),
            Said::Joining(session) => (session, Progress::Joining),
            Said::Joined(session) => (session, Progress::Joined),
            Said::Failed { phase, said } => (None, Progress::Failed { phase, said }),
        };
        let attempt = attempt.ok_or(NotTaken::NotHanded)?;
        if session.is_some_and(|session| session != attempt.session) {
            return Err(NotTaken::NotHanded);
        }
        if attempt.work == Work::Init && !is_joined {
            if self.established.is_some() {
                return Err(NotTaken::Established);
            }
            if progress == Progress::Joined {
                self.established = Some(now);
                self.restoring = None;
            }
        }
        let mut attempt = attempt.clone().said(progress, now);
        if !is_joined && attempt.progress == Progress::Joined {
            attempt.joined = Some(shown);
        }
        self.attempts.insert(node.clone(), attempt);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn name(text: &str) -> HostName {
        text.parse().unwrap()
    }

    fn report(word: &str, facts: &Value) -> Said {
        Said::of(word, facts.as_object().unwrap()).unwrap()
    }

    #[test]
    fn the_first_who_has_begun_is_the_cluster_and_nobody_after() {
        let (a, b) = (name("a"), name("b"));
        let mut record = Record::default();
        record.hand(&a, Work::Init, SessionId(1), NOW);
        let later = NOW + SignedDuration::from_mins(21);
        record.hand(&b, Work::Init, SessionId(2), later);
        assert_eq!(
            record.said(&b, Said::Joining(Some(SessionId(2))), later, later),
            Ok(())
        );
        assert_eq!(
            record.said(&b, Said::Joined(Some(SessionId(2))), later, later),
            Ok(())
        );
        assert_eq!(record.established, Some(later));
        // It was given up, and is late.
        let late = record.said(&a, Said::Joined(Some(SessionId(1))), later, later);
        assert_eq!(late, Err(NotTaken::Established));
        assert_eq!(
            record.said(&b, Said::Joined(None), later, later),
            Ok(()),
            "said twice"
        );
        assert_eq!(record.said(&b, Said::Member, later, later), Ok(()));
        assert_eq!(
            record.said(&a, Said::Member, later, later),
            Err(NotTaken::NotHanded)
        );
    }

    #[test]
    fn what_was_said_in_another_boot_is_not_taken() {
        let a = name("a");
        let mut record = Record::default();
        assert_eq!(
            record.said(&a, Said::Joining(None), NOW, NOW),
            Err(NotTaken::NotHanded)
        );
        record.hand(&a, Work::JoinWorker, SessionId(1), NOW);
        record.hand(&a, Work::JoinWorker, SessionId(2), NOW);
        let old = report("joined", &json!({"session": "boot-1", "action": "join"}));
        assert_eq!(record.said(&a, old, NOW, NOW), Err(NotTaken::NotHanded));
        record.installed(&a);
        assert_eq!(
            record.said(&a, Said::Joined(None), NOW, NOW),
            Err(NotTaken::NotHanded)
        );
    }

    #[test]
    fn a_restore_puts_the_control_plane_back_and_leaves_workers_alone_that_are_in_it() {
        let site = crate::tests::small_site(&[("a", "control-plane"), ("w", "worker"), ("x", "worker")]);
        let mut record = Record::default();
        for (idx, node) in (1..).zip(site.nodes.values()) {
            let work = if idx == 1 { Work::Init } else { Work::JoinWorker };
            record.hand(&node.name, work, SessionId(idx), NOW);
            record.said(&node.name, Said::Joined(None), NOW, NOW).unwrap();
        }
        let before = record.attempts.len();
        let (early, late) = (name("w"), name("x"));
        let taken = NOW + SignedDuration::from_secs(60);
        // The bastion counts by a clock that was an hour ahead when it started.
        record.attempts.get_mut(&early).unwrap().at = taken + SignedDuration::from_hours(1);
        record.attempts.get_mut(&late).unwrap().joined = Some(taken + SignedDuration::from_secs(5));
        let snapshot = Name {
            at: taken,
            revision: 7,
        };
        record.restore(&site, snapshot, NOW);
        assert!(
            record.attempts.contains_key(&early) && record.rejoin.contains(&late),
            "{record:?}"
        );
        assert_eq!(record.established, None);
        assert!(!record.rejoin.is_empty());
        assert_eq!(record.attempts.len() + record.rejoin.len(), before);
        let first = record.rejoin.first().unwrap().clone();
        record.hand(&first, Work::Init, SessionId(9), NOW);
        record.said(&first, Said::Joined(None), NOW, NOW).unwrap();
        assert_eq!((record.established, record.restoring), (Some(NOW), None));
    }

    #[test]
    fn who_asks_to_join_has_left_and_is_kept_by_nothing() {
        let (a, b) = (name("a"), name("b"));
        let mut record = Record::default();
        for node in [&a, &b] {
            record.hand(node, Work::JoinWorker, SessionId(1), NOW);
            record.rejoin.insert(node.clone());
            record
                .complaints
                .insert(node.clone(), "its disk is full".to_owned());
        }
        record.asked(&a);
        assert_eq!(record.rejoin.iter().collect::<Vec<_>>(), [&b]);
        assert_eq!(record.complaints.keys().collect::<Vec<_>>(), [&b]);
        assert_eq!(record.attempts.len(), 2, "what it was handed stands");
    }

    #[test]
    fn a_node_has_one_token_at_a_time() {
        let mut record = Record::default();
        let grant = |id: &str, node: &str, at| Grant::new(id.to_owned(), name(node), SessionId(1), at);
        assert!(record.grant(grant("aaaaaa", "a", NOW), NOW).is_empty());
        assert!(record.grant(grant("bbbbbb", "b", NOW), NOW).is_empty());
        assert_eq!(record.grant(grant("cccccc", "a", NOW), NOW), ["aaaaaa"]);
        let later = NOW + SignedDuration::from_hours(1);
        assert_eq!(
            record.grant(grant("dddddd", "c", later), later),
            ["bbbbbb", "cccccc"]
        );
        assert_eq!(record.grants.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_read_again_and_a_long_tale_is_cut() {
        let mut record = Record::default();
        record.hand(&name("a"), Work::Init, SessionId(1), NOW);
        let tale = json!({"phase": "init", "said": "x".repeat(100_000)});
        record
            .said(&name("a"), report("join-failed", &tale), NOW, NOW)
            .unwrap();
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.len() < 2 * MAX_SAID);
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert!(Said::of("started", &Map::new()).is_none());
    }
}
