//! Servers that get no new connections because the operator wants it so.

use std::collections::BTreeSet;

use faros_model::event::EventKind;
use serde_json::json;

use crate::daemon::{Shared, lock};

/// Why a server cannot be drained.
pub(crate) enum NotDrained {
    /// There is no such server; the names that there are.
    Unknown(BTreeSet<String>),
    /// These services would have nobody.
    Needed(Vec<String>),
    Store(faros_store::StoreError),
}

/// Keeps new connections from a server, or leads them to it again; whether that changed anything.
pub(crate) async fn drain(
    shared: &Shared,
    name: &str,
    drained: bool,
    force: bool,
    by: &str,
) -> Result<bool, NotDrained> {
    let balancing = &shared.balancing;
    let wanted = {
        let core = lock(&balancing.core);
        let now = balancing.now();
        let known = core.view(now).into_iter().flat_map(|service| service.backends);
        let known: BTreeSet<String> = known.map(|own| own.name.to_owned()).collect();
        let mut wanted = lock(&balancing.drained).clone();
        // One that left the site may still be let go of.
        if !known.contains(name) && !wanted.contains(name) {
            return Err(NotDrained::Unknown(known));
        }
        let changed = if drained {
            wanted.insert(name.to_owned())
        } else {
            wanted.remove(name)
        };
        if !changed {
            return Ok(false);
        }
        let needed = core.needs(name, now);
        if drained && !force && !needed.is_empty() {
            return Err(NotDrained::Needed(
                needed.into_iter().map(str::to_owned).collect(),
            ));
        }
        wanted
    };
    shared
        .store
        .set_drained(wanted.clone())
        .await
        .map_err(NotDrained::Store)?;
    lock(&balancing.core).drain(wanted.clone());
    *lock(&balancing.drained) = wanted;
    balancing.nudge.notify_one();
    shared.tell(
        EventKind::BackendDrained,
        json!({ "backend": name, "drained": drained, "by": by }),
    );
    Ok(true)
}
