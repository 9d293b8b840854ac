//! The cluster begins anew from a snapshot of its etcd.
//!
//! The record is put back to before the cluster was begun; the nodes of the control plane are told to join once more,
//! and the first of them is handed the snapshot. Workers that are in it go on as they are: the keys are the same, and what
//! they knew is in the snapshot.

use std::{
    fs::File,
    io::{BufReader, Read as _, Seek as _, SeekFrom},
};

use anyhow::Context as _;
use faros_cluster::{etcd::has_majority, snapshots::Name};
use faros_model::{
    api::{Failure, RestoreRequest},
    event::EventKind,
    site::Site,
};
use faros_seal::open_stream;
use serde_json::json;

use super::snapshots::path_of;
use crate::{daemon::Shared, executor::failure};

/// So much of a snapshot is handed over at a time.
const PIECE: u64 = 2 << 20;

impl Shared {
    /// Puts the record back, so that the cluster begins from a snapshot.
    pub(crate) async fn restore_cluster(&self, site: &Site, asked: &RestoreRequest) -> Result<(), Failure> {
        let broken = |error: anyhow::Error| failure("failed", format!("{error:#}"), "");
        let name: Option<Name> = asked.snapshot.parse().ok();
        let all = self.snapshots().await.map_err(broken)?;
        let Some(name) = name.filter(|_| all.iter().any(|own| own.name == asked.snapshot)) else {
            let message = format!("there is no snapshot `{}`", asked.snapshot);
            return Err(failure(
                "not-found",
                message,
                "`farosctl cluster snapshot list` has all",
            ));
        };
        // Its last byte is behind all others: whoever can read that can read the whole.
        self.piece_of_snapshot(name, u64::MAX).await.map_err(broken)?;
        let record = self.cluster.deciding.lock().await.clone();
        if !asked.force
            && record.established.is_some()
            && let Ok(members) = self.etcd(site, &record).await
            && has_majority(&members.all)
        {
            let message = "etcd has its majority: what was written since the snapshot would be lost";
            return Err(failure("refused", message, "--force does it all the same"));
        }
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.restore(site, name, self.sightings.now());
        self.put_record(&mut record, next)
            .await
            .map_err(|error| broken(error.into()))?;
        drop(record);
        self.forget_view();
        let detail = json!({ "name": asked.snapshot, "by": asked.by });
        self.tell(EventKind::ClusterRestoring, detail);
        Ok(())
    }

    /// A piece of a snapshot from there on, in the clear; empty behind its end.
    pub(crate) async fn piece_of_snapshot(&self, name: Name, from: u64) -> anyhow::Result<Vec<u8>> {
        let key = self.snapshot_key()?;
        let path = path_of(&self.snapshot_folder(), name);
        tokio::task::spawn_blocking(move || {
            let file = File::open(&path).with_context(|| format!("there is no snapshot {name}"))?;
            let mut opened = open_stream(BufReader::new(file), &key)?;
            let end = opened.seek(SeekFrom::End(0))?;
            opened.seek(SeekFrom::Start(from.min(end)))?;
            let mut piece = Vec::new();
            opened.take(PIECE).read_to_end(&mut piece)?;
            Ok(piece)
        })
        .await?
    }
}
