//! What the bastion takes note of in the record of the cluster.

use faros_cluster::{NotTaken, Record, Said};
use faros_model::{
    ids::{Digest, HostName},
    site::Node,
};
use faros_store::StoreError;

use crate::{daemon::Shared, pages::reading};

impl Shared {
    /// What is remembered from now on: on disk first, and only if it is another than what is held.
    pub(crate) async fn put_record(&self, held: &mut Record, next: Record) -> Result<(), StoreError> {
        if next != *held {
            self.store.put_cluster(next.clone()).await?;
            *held = next;
        }
        Ok(())
    }

    /// Takes note of what a node says of its joining; on disk when this returns.
    pub(crate) async fn cluster_said(
        &self,
        node: &HostName,
        said: Said,
    ) -> anyhow::Result<Result<(), NotTaken>> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        let now = self.sightings.now();
        let taken = next.said(node, said, now, self.sightings.clock().shown(now));
        if taken.is_ok() {
            self.put_record(&mut record, next).await?;
        }
        Ok(taken)
    }

    /// A node asks to join. Its script does that only after it has left the cluster as it was, and when nothing keeps it
    /// from that.
    pub(crate) async fn cluster_hears(&self, node: &Node) -> Result<(), StoreError> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.asked(&node.name);
        self.put_record(&mut record, next).await
    }

    /// All of the cluster was ready, for the first time.
    pub(super) async fn cluster_is_complete(&self) -> Result<(), StoreError> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.complete = next.established.is_some();
        self.put_record(&mut record, next).await
    }

    /// A node is installed anew: what it was handed before is of another disk.
    pub(crate) async fn cluster_forgets(&self, node: &HostName) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.installed(node);
        Ok(self.put_record(&mut record, next).await?)
    }

    /// The SHA-256 of the secret with which a node was installed last.
    pub(crate) async fn installed_with(&self, node: &HostName) -> anyhow::Result<Option<Digest>> {
        let name = node.clone();
        let pass = reading(self, move |store| store.pass(&name)).await?;
        Ok(pass.and_then(|pass| pass.join))
    }
}
