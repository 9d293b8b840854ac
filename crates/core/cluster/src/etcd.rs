//! The members of etcd: whose they are, and which may be taken away.
//!
//! etcd takes writes while more than half of its voting members are well. A member of a machine that was wiped never
//! comes back, and counts all the same: it has to go before the machine joins again. But none goes whose going, or
//! whose absence while it goes, could cost the majority.

use std::{collections::BTreeMap, fmt, net::Ipv4Addr};

use faros_model::{
    ids::HostName,
    site::{Node, Site},
};

use crate::install::{Attempt, Progress, Verdict, Wait, Work};

/// Port on which members answer clients.
pub const CLIENT_PORT: u16 = 2379;

/// A member's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

impl fmt::Display for MemberId {
    /// As etcd's own tools show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// A member as etcd lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: MemberId,
    /// Its name; empty until it has started for the first time.
    pub name: String,
    /// Where other members reach it.
    pub peers: Vec<String>,
    /// Whether it has no vote yet.
    pub is_learner: bool,
}

impl Listed {
    /// The node that it is on: by its address, as a member that never started has no name.
    pub fn node<'a>(&self, site: &'a Site) -> Option<&'a Node> {
        let own = self.peers.iter().find_map(|peer| address(peer));
        site.nodes
            .values()
            .find(|node| own.is_some_and(|own| own == node.address))
            .or_else(|| site.nodes.values().find(|node| node.name.as_str() == self.name))
    }
}

/// The address of `https://192.168.8.11:2380`.
fn address(peer: &str) -> Option<Ipv4Addr> {
    let (_, rest) = peer.split_once("://")?;
    rest.rsplit_once(':')?.0.parse().ok()
}

/// A member, and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As etcd lists it.
    pub listed: Listed,
    /// Why it does not take writes; `None` if it does.
    pub ill: Option<String>,
    /// Whether it says anything at all: without the others it answers, and is ill.
    pub answers: bool,
}

impl Member {
    /// Whether it takes writes.
    pub const fn is_well(&self) -> bool {
        self.ill.is_none()
    }
}

/// What a member says of itself, and who it says belongs to etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its number.
    pub id: MemberId,
    /// How much of the common log it has applied.
    pub applied: u64,
    /// Why it does not take writes; `None` if it does.
    pub ill: Option<String>,
    /// All members, as it knows them.
    pub listed: Vec<Listed>,
}

/// The members of etcd, and which of the answers tells: a member that is well knows best who belongs to it, and has all
/// that was written; if none is, the one that has most. `None` if nobody answered.
pub fn of_answers(answers: &[Answer]) -> Option<(usize, Vec<Member>)> {
    let ranked = answers.iter().enumerate();
    let (best, tells) = ranked.max_by_key(|(_, own)| (own.ill.is_none(), own.applied))?;
    let member = |listed: &Listed| {
        let own = answers.iter().find(|own| own.id == listed.id);
        Member {
            listed: listed.clone(),
            ill: own.map_or_else(|| Some("it does not answer".to_owned()), |own| own.ill.clone()),
            answers: own.is_some(),
        }
    };
    Some((best, tells.listed.iter().map(member).collect()))
}

/// Why a member may not be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Risk {
    /// There is no such member.
    #[error("etcd has no such member")]
    Unknown,
    /// It is all that there is.
    #[error("it is the last member of etcd, and all data of the cluster with it")]
    Last,
    /// Nobody can be taken away.
    #[error("etcd has no majority: {well} of {of} members are well")]
    NoMajority {
        /// So many are well.
        well: usize,
        /// Of so many that vote.
        of: usize,
    },
    /// The rest would have no majority.
    #[error("without it etcd would have no majority: {well} of {of} members would be well")]
    WouldLose {
        /// So many would be well.
        well: usize,
        /// Of so many that would vote.
        of: usize,
    },
}

const fn majority(n_voters: usize) -> usize {
    n_voters / 2 + 1
}

/// Whether so many of the members that vote are well that etcd takes writes.
pub fn has_majority(members: &[Member]) -> bool {
    let (well, of) = votes(members, |_| true);
    well >= majority(of)
}

/// Whether what a node was handed may have made it a member of the cluster's etcd. Who joins just now, or failed at it,
/// may have a vote before it can say that it is done; what was begun and not ended is an etcd of its own.
pub fn may_be_member(attempt: &Attempt) -> bool {
    match attempt.work {
        Work::Init => attempt.progress == Progress::Joined,
        Work::JoinControlPlane => true,
        Work::JoinWorker => false,
    }
}

/// That etcd takes no writes, and the Kubernetes API does not answer: too few of its members are well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// So many are well or only lack the others.
    pub there: usize,
    /// Of so many that vote.
    pub of: usize,
    /// The nodes of those that do not answer.
    pub silent: Vec<String>,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { there, of, silent } = self;
        let silent = silent.join(" and ");
        write!(
            f,
            "etcd has lost its majority: {there} of {of} members are there, without {silent}; start {silent}, or, if that is \
             lost for good, `farosctl cluster restore` with the snapshot that was taken since (`farosctl cluster snapshot list`)"
        )
    }
}

/// Whether the majority is lost, and by whom. Members that answer and lack a leader lack the others.
pub fn lost(site: &Site, members: &[Member]) -> Option<Lost> {
    let voters = || members.iter().filter(|own| !own.listed.is_learner);
    let of = voters().count();
    let there = voters().filter(|own| own.answers).count();
    let name = |own: &Member| match own.listed.node(site) {
        Some(node) => node.name.to_string(),
        None => own.listed.name.clone(),
    };
    (there < majority(of)).then(|| Lost {
        there,
        of,
        silent: voters().filter(|own| !own.answers).map(name).collect(),
    })
}

fn votes(members: &[Member], counts: impl Fn(&Member) -> bool) -> (usize, usize) {
    let voters = members.iter().filter(|own| !own.listed.is_learner && counts(own));
    let well = voters.clone().filter(|own| own.is_well()).count();
    (well, voters.count())
}

/// Whether a member may be taken away.
///
/// # Errors
/// What would be lost.
pub fn may_go(members: &[Member], id: MemberId) -> Result<(), Risk> {
    let own = members
        .iter()
        .find(|own| own.listed.id == id)
        .ok_or(Risk::Unknown)?;
    let (well, of) = votes(members, |_| true);
    if of == 1 && !own.listed.is_learner {
        return Err(Risk::Last);
    }
    if well < majority(of) {
        return Err(Risk::NoMajority { well, of });
    }
    let (well, of) = votes(members, |other| other.listed.id != id);
    if well < majority(of) {
        return Err(Risk::WouldLose { well, of });
    }
    Ok(())
}

/// Members of machines that are about to join anew, and wait for these to go; and whether they may.
pub fn left_over<'a>(
    site: &'a Site,
    verdicts: &BTreeMap<HostName, Verdict>,
    members: &[Member],
) -> Vec<(&'a Node, MemberId, Result<(), Risk>)> {
    let waits = |node: &Node| verdicts.get(&node.name) == Some(&Verdict::Wait(Wait::OldMember));
    let old = members.iter().filter_map(|member| {
        let node = member.listed.node(site).filter(|node| waits(node))?;
        let id = member.listed.id;
        Some((node, id, may_go(members, id)))
    });
    old.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use faros_model::ids::SessionId;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{BRANCH_OFFICE, node, site};

    pub(crate) fn member(id: u64, is_well: bool, is_learner: bool) -> Member {
        Member {
            listed: Listed {
                id: MemberId(id),
                name: format!("node-{id}"),
                peers: vec![],
                is_learner,
            },
            ill: (!is_well).then(|| "it does not answer".to_owned()),
            answers: is_well,
        }
    }

    #[test]
    fn who_failed_to_begin_the_cluster_has_an_etcd_of_its_own() {
        let failed = Progress::Failed {
            phase: "init".to_owned(),
            said: "no".to_owned(),
        };
        let rows = [
            (Work::Init, Progress::Joined, true),
            (Work::Init, Progress::Joining, false),
            (Work::Init, failed.clone(), false),
            (Work::JoinControlPlane, Progress::Joined, true),
            (Work::JoinControlPlane, failed, true),
            (Work::JoinWorker, Progress::Joined, false),
        ];
        for (work, progress, expected) in rows {
            let mut attempt = Attempt::handed(work, SessionId(1), Timestamp::UNIX_EPOCH, None);
            attempt.progress = progress;
            assert_eq!(may_be_member(&attempt), expected, "{attempt:?}");
        }
    }

    #[test]
    fn who_is_well_is_believed_and_else_who_has_most() {
        let answer = |id, applied, is_well: bool, ids: &[u64]| Answer {
            id: MemberId(id),
            applied,
            ill: (!is_well).then(|| "it has no leader".to_owned()),
            listed: ids.iter().map(|id| member(*id, true, false).listed).collect(),
        };
        assert_eq!(of_answers(&[]), None);
        // The first was taken away, has more, and does not know.
        let answers = [answer(1, 90, false, &[1, 2, 3]), answer(2, 80, true, &[2, 3])];
        let (best, all) = of_answers(&answers).unwrap();
        assert_eq!(best, 1);
        assert_eq!(all, [member(2, true, false), member(3, false, false)]);
        let answers = [answer(1, 90, false, &[1, 2, 3]), answer(2, 80, false, &[1, 2, 3])];
        let (best, all) = of_answers(&answers).unwrap();
        assert_eq!(best, 0);
        assert_eq!(all[1].ill.as_deref(), Some("it has no leader"));
        assert!(all[1].answers && !all[2].answers, "{all:?}");
    }

    #[test]
    fn a_majority_that_is_lost_names_whom_it_lacks() {
        let site = site(BRANCH_OFFICE);
        // A letter a member: well, `a`lone (it answers, and has no leader), `i`ll, `l`earner.
        let rows = [
            ("w", None),
            ("ai", Some("1 of 2 members are there, without node-2;")),
            (
                "aii",
                Some("1 of 3 members are there, without node-2 and node-3;"),
            ),
            ("wwi", None),
            // They elect.
            ("aaa", None),
            ("wl", None),
        ];
        for (text, expected) in rows {
            let member = |(id, own): (u64, char)| Member {
                answers: own != 'i',
                ..member(id, own == 'w', own == 'l')
            };
            let members: Vec<Member> = (1..).zip(text.chars()).map(member).collect();
            let said = lost(&site, &members).map(|own| own.to_string());
            match (said, expected) {
                (None, None) => {}
                (Some(said), Some(expected)) => assert!(said.contains(expected), "{text}: {said}"),
                (said, _) => panic!("{text}: {said:?}"),
            }
        }
    }

    #[test]
    fn a_member_goes_only_if_the_rest_can_decide() {
        // A letter a member: `w`ell, `i`ll, `l`earner; the first is to go.
        let rows = [
            ("www", "may go"),
            ("iww", "may go"),
            (
                "wiw",
                "without it etcd would have no majority: 1 of 2 members would be well",
            ),
            ("iiw", "etcd has no majority: 1 of 3 members are well"),
            (
                "w",
                "it is the last member of etcd, and all data of the cluster with it",
            ),
            (
                "i",
                "it is the last member of etcd, and all data of the cluster with it",
            ),
            ("ww", "may go"),
            ("iw", "etcd has no majority: 1 of 2 members are well"),
            ("wi", "etcd has no majority: 1 of 2 members are well"),
            ("lw", "may go"),
            ("lwi", "etcd has no majority: 1 of 2 members are well"),
            ("iiwww", "may go"),
            (
                "wwwii",
                "without it etcd would have no majority: 2 of 4 members would be well",
            ),
            ("iwwwi", "may go"),
        ];
        for (text, expected) in rows {
            let members: Vec<Member> = (1..)
                .zip(text.chars())
                .map(|(id, own)| member(id, own != 'i', own == 'l'))
                .collect();
            let verdict = may_go(&members, MemberId(1));
            let said = verdict.map_or_else(|why| why.to_string(), |()| "may go".to_owned());
            assert_eq!(said, expected, "{text}");
        }
        assert_eq!(may_go(&[member(1, true, false)], MemberId(2)), Err(Risk::Unknown));
    }

    #[test]
    fn a_member_is_known_by_its_address_before_it_has_a_name() {
        let site = site(BRANCH_OFFICE);
        let first = node(&site, "node-1");
        let listed = |name: &str, peer: String| Listed {
            id: MemberId(1),
            name: name.to_owned(),
            peers: vec![peer],
            is_learner: true,
        };
        let own = listed("", format!("https://{}:2380", first.address));
        assert_eq!(own.node(&site).map(|own| &own.name), Some(&first.name));
        let named = listed("node-1", "nonsense".to_owned());
        assert_eq!(named.node(&site).map(|own| &own.name), Some(&first.name));
        assert_eq!(listed("", "https://10.9.9.9:2380".to_owned()).node(&site), None);
    }

    proptest! {
        /// Whatever goes, there was a majority before and there is one after.
        #[test]
        fn a_majority_is_never_given_away(kinds in prop::collection::vec((any::<bool>(), any::<bool>()), 1..8), id in 0_u64..8) {
            let members: Vec<Member> = (0..).zip(&kinds).map(|(id, (well, learner))| member(id, *well, *learner)).collect();
            if may_go(&members, MemberId(id)).is_ok() {
                prop_assert!(has_majority(&members));
                let rest: Vec<Member> = members.into_iter().filter(|own| own.listed.id != MemberId(id)).collect();
                prop_assert!(has_majority(&rest));
                prop_assert!(rest.iter().any(|own| !own.listed.is_learner));
            }
        }
    }
}
