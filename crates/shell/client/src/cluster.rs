//! The Kubernetes cluster, and its nodes in it.

use faros_model::{
    api::{
        CertificateInfo, ClusterStatus, Credentials, CredentialsRequest, NodeWorkRequest, RestoreRequest,
        SnapshotExportRequest, SnapshotInfo, SnapshotRequest, UpgradePauseRequest, UpgradeRequest,
        UpgradeStatus, WorkProgress,
    },
    ids::HostName,
    kubernetes::KubeVersion,
};
use hyper::Method;

use crate::{Changed, Client, ClientError, Lines, Pieces, body_of, empty};

impl Client {
    /// Empties a node of the cluster, or opens it again.
    pub async fn drain_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "drain", request).await
    }

    /// Takes a node out of the cluster, and has the next machine installed in its place.
    pub async fn replace_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "replace", request).await
    }

    /// Takes a node out of the cluster for good.
    pub async fn remove_node(
        &self,
        node: &HostName,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        self.node_work(node, "remove", request).await
    }

    async fn node_work(
        &self,
        node: &HostName,
        what: &str,
        request: &NodeWorkRequest,
    ) -> Result<Lines<WorkProgress>, ClientError> {
        let path = format!("/v1/nodes/{node}/{what}");
        self.lines(Method::POST, &path, body_of(request)?).await
    }

    /// Snapshots of etcd, oldest first.
    pub async fn snapshots(&self) -> Result<Vec<SnapshotInfo>, ClientError> {
        self.get("/v1/cluster/snapshots").await
    }

    /// Takes a snapshot of etcd.
    pub async fn take_snapshot(&self, by: &str) -> Result<SnapshotInfo, ClientError> {
        let request = SnapshotRequest { by: by.to_owned() };
        self.json(Method::POST, "/v1/cluster/snapshots", Some(&request))
            .await
    }

    /// Has the cluster begin anew from a snapshot of its etcd.
    pub async fn restore_cluster(&self, request: &RestoreRequest) -> Result<(), ClientError> {
        let path = "/v1/cluster/restore";
        self.json::<_, Changed>(Method::POST, path, Some(request)).await?;
        Ok(())
    }

    /// How an upgrade of the cluster stands; if none was begun, what one to this version would do.
    pub async fn upgrade(&self, to: Option<KubeVersion>) -> Result<UpgradeStatus, ClientError> {
        let query = to.map_or_else(String::new, |to| format!("?to={to}"));
        self.get(&format!("/v1/cluster/upgrade{query}")).await
    }

    /// Begins an upgrade of the cluster, or has the one go on that stands still.
    pub async fn begin_upgrade(&self, request: &UpgradeRequest) -> Result<UpgradeStatus, ClientError> {
        self.json(Method::POST, "/v1/cluster/upgrade", Some(request))
            .await
    }

    /// Lets no further node be upgraded; whether that is news.
    pub async fn pause_upgrade(&self, by: &str) -> Result<bool, ClientError> {
        let request = UpgradePauseRequest { by: by.to_owned() };
        let path = "/v1/cluster/upgrade/pause";
        let changed: Changed = self.json(Method::POST, path, Some(&request)).await?;
        Ok(changed.changed)
    }

    /// When the cluster's certificates end, the first one first.
    pub async fn certificates(&self) -> Result<Vec<CertificateInfo>, ClientError> {
        self.get("/v1/cluster/certificates").await
    }

    /// A snapshot, encrypted for the holders of these age keys, in pieces.
    pub async fn export_snapshot(&self, name: &str, recipients: Vec<String>) -> Result<Pieces, ClientError> {
        let path = format!("/v1/cluster/snapshots/{name}/export");
        let body = body_of(&SnapshotExportRequest { recipients })?;
        self.send(Method::POST, &path, body).await.map(Pieces)
    }

    /// How the cluster is.
    pub async fn cluster(&self) -> Result<ClusterStatus, ClientError> {
        self.get("/v1/cluster").await
    }

    /// How the cluster is, now and whenever it is another.
    pub async fn follow_cluster(&self) -> Result<Lines<ClusterStatus>, ClientError> {
        self.lines(Method::GET, "/v1/cluster?follow=true", empty()).await
    }

    /// A certificate of the cluster for one person.
    pub async fn credentials(&self, request: &CredentialsRequest) -> Result<Credentials, ClientError> {
        self.json(Method::POST, "/v1/cluster/credentials", Some(request))
            .await
    }
}
