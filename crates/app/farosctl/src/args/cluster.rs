//! `farosctl cluster …`.

use clap::Subcommand;

use super::SnapshotCommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterCommand {
    /// Snapshots of etcd, with all that the cluster knows.
    Snapshot {
        #[command(subcommand)]
        command: SnapshotCommand,
    },
}
