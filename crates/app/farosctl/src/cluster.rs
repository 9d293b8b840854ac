//! The cluster: a module for each verb.

mod snapshot;

use faros_client::Client;

use crate::{
    args::ClusterCommand,
    outcome::{Done, Error},
};

/// `cluster …`.
pub(crate) async fn cluster(client: &Client, command: ClusterCommand, as_json: bool) -> Result<Done, Error> {
    match command {
        ClusterCommand::Snapshot { command } => snapshot::snapshot(client, command, as_json).await,
    }
}
