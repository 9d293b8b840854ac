//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};

use crate::{
    Cache, Dnssec, Outcome, Question, Transport, Zones, fitted, for_client, upstream_answers, with_rcode,
};

/// Whatever the query, the answer is its answer, and no longer than the client takes.
pub fn query(zones: &Zones, bytes: &[u8]) {
    let mut out = Vec::new();
    for transport in [Transport::Udp, Transport::Tcp] {
        let outcome = zones.answer(Ipv4Addr::LOCALHOST, transport, bytes, &mut out);
        if let Outcome::Answered(_) = outcome {
            assert_eq!(out[..2], bytes[..2]);
            assert_ne!(out[2] & 0x80, 0);
            assert!(transport == Transport::Tcp || out.len() <= 1232);
        } else {
            assert!(out.is_empty());
        }
    }
    drop(with_rcode(bytes, crate::Rcode::ServFail));
    assert!(fitted(bytes, vec![0; 2000]).len() <= 1232);
}

/// Whatever a forwarder sends, it is kept or not, and what comes back is as long.
pub fn upstream(bytes: &[u8]) {
    let question = Question {
        name: vec![0],
        kind: 1,
        class: 1,
        dnssec: Dnssec::default(),
    };
    let mut cache = Cache::default();
    let now = Timestamp::UNIX_EPOCH;
    cache.put(now, question.clone(), bytes);
    for seconds in [0, 10, 100_000] {
        if let Some(crate::Cached::Fresh(kept) | crate::Cached::Stale(kept)) =
            cache.get(now + SignedDuration::from_secs(seconds), &question)
        {
            assert_eq!(kept.len(), bytes.len());
        }
    }
    upstream_answers(bytes, 0, bytes);
    // With the header and the question of a query that has no EDNS, and what stands in the bytes after it.
    let root = [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
    let given = for_client(&root, bytes.to_vec());
    assert!(given.len() <= bytes.len());
}
