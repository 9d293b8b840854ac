//! What the tests share: values to store, and a folder to store them in.

use std::net::Ipv4Addr;

use faros_model::{
    ids::{Generation, HostName, MacAddr},
    lease::{Lease, LeaseState},
    plan::{Action, Plan, Step},
};
use faros_store::{JournalEntry, Store};
use jiff::Timestamp;

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A time, `second` after an arbitrary start.
pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap_or_default()
}

pub(crate) fn lease(n: u32) -> Lease {
    let [_, a, b, c] = n.to_be_bytes();
    Lease {
        address: Ipv4Addr::from_bits(0x0a00_0000 + n),
        mac: MacAddr([0x52, 0x54, 0, a, b, c]),
        client_id: Some(vec![1, a, b, c]),
        hostname: Some(format!("client-{n}")),
        state: LeaseState::Active,
        since: at(0),
        until: at(3600),
    }
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().unwrap_or_else(|why| unreachable!("`{name}` {why}"))
}

/// An apply of two steps that makes generation `next`.
pub(crate) fn entry(next: u64) -> JournalEntry {
    let step = |action| Step {
        action,
        changes: vec![],
    };
    let nodes = vec![host("node-1")];
    JournalEntry {
        site_file: format!("# generation {next}\n"),
        plan: Plan {
            base: (next > 1).then(|| Generation(next - 1)),
            next: Generation(next),
            steps: vec![step(Action::Arm { nodes }), step(Action::Accept)],
        },
        by: "root".to_owned(),
        at: at(0),
        rollback_of: None,
        summary: "2 steps".to_owned(),
    }
}

/// A fresh state folder, with its store.
pub(crate) fn store() -> Result<(tempfile::TempDir, Store), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(&dir.path().join("state"))?;
    Ok((dir, store))
}

/// Closes the store and opens it again, as a restart does.
pub(crate) fn reopen(store: Store) -> Result<Store, faros_store::OpenStore> {
    let dir = store.dir().to_owned();
    drop(store);
    Store::open(&dir)
}
