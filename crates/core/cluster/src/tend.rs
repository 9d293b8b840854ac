//! What a node that has joined is told to do: nothing, mostly.
//!
//! Nodes ask every few minutes, and tell when the certificates of their control plane end; kubeadm gives them a year.
//! They are renewed in their last quarter, on one node at a time and while the rest of the control plane is well, since
//! its parts are started anew for it. When little time is left, nobody waits for anything. The kubelets renew theirs
//! themselves.

use std::collections::BTreeMap;

use faros_model::{
    ids::HostName,
    site::{Node, Role},
};
use jiff::{SignedDuration, Timestamp};

use crate::{etcd::Member, install::Progress, record::Record, upgrade::Way};

/// What is left of a certificate when it is renewed.
const RENEW: SignedDuration = SignedDuration::from_hours(24 * 90);

/// What is left when it is renewed whatever else there is.
const URGENT: SignedDuration = SignedDuration::from_hours(24 * 7);

/// So long a node has, before the next one is told.
const TURN: SignedDuration = SignedDuration::from_mins(10);

/// Ends of a node's certificates, by what they are for.
pub type Ends = BTreeMap<String, Timestamp>;

/// What a node is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Nothing,
    /// To renew the certificates of its control plane.
    Renew,
    /// To upgrade its part of the cluster.
    Upgrade(Way),
    /// To forget the cluster as it has it, and to join once more.
    Rejoin(&'static str),
}

/// What is known when a node asks.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What the bastion remembers.
    pub record: &'a Record,
    /// What the node says of its certificates.
    pub ends: &'a Ends,
    /// Who was told to renew last, and when.
    pub renewing: Option<&'a (HostName, Timestamp)>,
    /// The members of etcd, if they could be asked just now.
    pub members: Option<&'a [Member]>,
    /// The time that certificates go by.
    pub now: Timestamp,
}

impl Known<'_> {
    /// Whether the certificates are near enough to their end that somebody has to look.
    pub fn is_ending(&self) -> bool {
        let first = self.ends.values().min();
        first.is_some_and(|end| end.duration_since(self.now) <= RENEW)
    }
}

/// What this node is told.
pub fn order(node: &Node, known: &Known<'_>) -> Order {
    let attempt = known.record.attempts.get(&node.name);
    if known.record.removed.contains(&node.name) {
        return Order::Rejoin("the node was taken out of the cluster");
    }
    // Only what the record says: a bastion that has lost it must not take a cluster down.
    if known.record.rejoin.contains(&node.name) {
        return Order::Rejoin("the cluster begins anew from a snapshot");
    }
    if attempt.is_none_or(|attempt| attempt.progress != Progress::Joined) {
        return Order::Nothing;
    }
    if let Some(way) = known
        .record
        .upgrade
        .as_ref()
        .and_then(|own| own.work_of(&node.name))
    {
        return Order::Upgrade(way);
    }
    let first = known.ends.values().min();
    let left = |end: &Timestamp| end.duration_since(known.now);
    match first.map(left) {
        _ if !node.roles.contains(&Role::ControlPlane) => Order::Nothing,
        Some(left) if left <= URGENT => Order::Renew,
        Some(left) if left <= RENEW && is_its_turn(node, known) => Order::Renew,
        Some(_) | None => Order::Nothing,
    }
}

/// Nobody else is at it, and all members of etcd are well.
fn is_its_turn(node: &Node, known: &Known<'_>) -> bool {
    let is_others = known.renewing.is_some_and(|(name, at)| {
        // Of the future: the clock was put back since.
        *name != node.name && *at <= known.now && known.now.duration_since(*at) < TURN
    });
    // An upgrade renews them as well.
    let is_upgraded = known.record.upgrade.is_some();
    !is_others && !is_upgraded && known.members.is_some_and(|all| all.iter().all(Member::is_well))
}

#[cfg(test)]
mod tests {
    use faros_model::ids::SessionId;

    use super::*;
    use crate::{
        etcd::tests::member,
        install::Work,
        record::Said,
        tests::{BRANCH_OFFICE, node, site},
    };

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_000_000).unwrap()
    }

    /// A record in which the node has joined.
    fn joined(name: &HostName) -> Record {
        let mut record = Record::default();
        record.hand(name, Work::Init, SessionId(1), now());
        record.said(name, Said::Joined(None), now(), now()).unwrap();
        record
    }

    #[test]
    fn certificates_are_renewed_in_good_time_and_one_node_after_the_other() {
        let site = site(BRANCH_OFFICE);
        let own = node(&site, "node-1");
        let record = joined(&own.name);
        let (well, ill) = (
            [member(1, true, false)],
            [member(1, true, false), member(2, false, false)],
        );
        let other = (
            node(&site, "node-2").name.clone(),
            now() - SignedDuration::from_mins(5),
        );
        let before = (other.0.clone(), now() - SignedDuration::from_mins(11));
        let rows = [
            (365, None, Some(&well[..]), Order::Nothing),
            (91, None, Some(&well[..]), Order::Nothing),
            (89, None, Some(&well[..]), Order::Renew),
            (89, None, Some(&ill[..]), Order::Nothing),
            (89, None, None, Order::Nothing),
            (89, Some(&other), Some(&well[..]), Order::Nothing),
            (89, Some(&before), Some(&well[..]), Order::Renew),
            (6, Some(&other), None, Order::Renew),
            (-3, Some(&other), Some(&ill[..]), Order::Renew),
        ];
        for (days, renewing, members, expected) in rows {
            let ends = Ends::from([
                ("apiserver".to_owned(), now() + DAY * days),
                ("admin.conf".to_owned(), now() + DAY * 500),
            ]);
            let known = Known {
                record: &record,
                ends: &ends,
                renewing,
                members,
                now: now(),
            };
            assert_eq!(order(own, &known), expected, "{days} days, {renewing:?}");
        }
    }

    #[test]
    fn who_is_no_member_any_more_joins_once_more() {
        let site = site(BRANCH_OFFICE);
        let own = node(&site, "node-1");
        let ends = Ends::new();
        let told = |record: &Record| {
            order(
                own,
                &Known {
                    record,
                    ends: &ends,
                    renewing: None,
                    members: None,
                    now: now(),
                },
            )
        };
        assert_eq!(told(&joined(&own.name)), Order::Nothing);
        assert_eq!(
            told(&Record::default()),
            Order::Nothing,
            "the bastion has forgotten"
        );
        let mut restored = joined(&own.name);
        restored.restore(&site, "20261118T110640Z-r7".parse().unwrap(), now());
        assert!(matches!(told(&restored), Order::Rejoin(_)));
        restored.hand(&own.name, Work::Init, SessionId(2), now());
        let mut record = joined(&own.name);
        record.removed.insert(own.name.clone());
        assert!(matches!(told(&record), Order::Rejoin(_)));
    }
}
