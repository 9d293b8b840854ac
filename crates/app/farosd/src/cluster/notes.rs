//! What the bastion takes note of in the record of the cluster.

use faros_cluster::{NotTaken, Said};
use faros_model::{
    ids::{Digest, HostName},
    site::Node,
};

use crate::{daemon::Shared, pages::reading};

impl Shared {
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
        if taken.is_ok() && next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(taken)
    }

    /// A node asks to join. Its script does that only after it has left the cluster as it was, and when nothing keeps it
    /// from that.
    pub(crate) async fn cluster_hears(&self, node: &Node) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.rejoin.remove(&node.name);
        next.complaints.remove(&node.name);
        if next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(())
    }

    /// All of the cluster was ready, for the first time.
    pub(super) async fn cluster_is_complete(&self) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.complete = next.established.is_some();
        self.store.put_cluster(next.clone()).await?;
        *record = next;
        Ok(())
    }

    /// A node is installed anew: what it was handed before is of another disk.
    pub(crate) async fn cluster_forgets(&self, node: &HostName) -> anyhow::Result<()> {
        let mut record = self.cluster.deciding.lock().await;
        let mut next = record.clone();
        next.installed(node);
        if next != *record {
            self.store.put_cluster(next.clone()).await?;
            *record = next;
        }
        Ok(())
    }

    /// The SHA-256 of the secret with which a node was installed last.
    pub(crate) async fn installed_with(&self, node: &HostName) -> anyhow::Result<Option<Digest>> {
        let name = node.clone();
        let pass = reading(self, move |store| store.pass(&name)).await?;
        Ok(pass.and_then(|pass| pass.join))
    }
}
