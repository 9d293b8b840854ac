//! Assertions that hold for any bytes, shared by the fuzz target and unit tests.

use faros_model::{
    event::EventKind,
    ids::{HostName, SessionId},
    sighting::Sighting,
    site::{Node, Site},
};
use jiff::{SignedDuration, Timestamp};

use crate::{Tracker, read_report};

/// Whatever a node reports, line by line, is recorded of that node alone, and word for word.
pub fn reports(site: &Site, node: &Node, bytes: &[u8]) {
    let mut tracker = Tracker::new(vec![], vec![], SessionId(1));
    tracker.follow(site);
    let mut at = Timestamp::UNIX_EPOCH;
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((report, said)) = read_report(line) else {
            continue;
        };
        assert_eq!(said["report"], report);
        at += SignedDuration::from_secs(1);
        let drafts = tracker.observe(
            Some(site),
            Sighting {
                at,
                mac: Some(node.boot_mac),
                address: Some(node.address),
                kind: EventKind::NodeReport,
                detail: said.clone(),
            },
        );
        assert_eq!(drafts.first().map(|draft| &draft.detail), Some(&said));
        let whose: Option<&HostName> = Some(&node.name);
        assert!(drafts.iter().all(|draft| draft.node.as_ref() == whose));
    }
}
