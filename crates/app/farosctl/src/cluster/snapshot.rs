//! Snapshots of the cluster's etcd.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use anyhow::Context as _;
use faros_client::Client;
use faros_model::api::SnapshotInfo;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    args::SnapshotCommand,
    outcome::{Done, Error, print, say},
    screens::{self, age, size, table},
    site::who,
};

/// `cluster snapshot …`.
pub(crate) async fn snapshot(
    client: &Client,
    command: SnapshotCommand,
    as_json: bool,
) -> Result<Done, Error> {
    match command {
        SnapshotCommand::List => screens::show(as_json, &client.snapshots().await?, |rows| list(rows)),
        SnapshotCommand::Take => {
            let taken = client.take_snapshot(&who()).await?;
            if as_json {
                return print(&(json!(taken).to_string() + "\n"));
            }
            say(&format!("Took {}: {}.", taken.name, size(taken.size)));
            Ok(Done::Ok)
        }
        SnapshotCommand::Export {
            snapshot,
            recipients,
            out,
        } => export(client, &snapshot, recipients, &out).await,
    }
}

fn list(rows: &[SnapshotInfo]) -> String {
    let now = Timestamp::now();
    let cells = |own: &SnapshotInfo| {
        vec![
            own.name.clone(),
            format!("{} ago", age(now, own.at)),
            own.revision.to_string(),
            size(own.size),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&["SNAPSHOT", "TAKEN", "REVISION", "SIZE"], &rows)
}

async fn export(client: &Client, name: &str, recipients: Vec<String>, out: &Path) -> Result<Done, Error> {
    let mut pieces = client.export_snapshot(name, recipients).await?;
    let cannot = || format!("cannot write {}", out.display());
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .with_context(cannot)?;
    let written = async {
        while let Some(piece) = pieces.next().await? {
            file.write_all(&piece).with_context(cannot)?;
        }
        file.sync_all().with_context(cannot)?;
        Ok::<(), Error>(())
    };
    if let Err(error) = written.await {
        // A part of a snapshot is none.
        drop(std::fs::remove_file(out));
        return Err(error);
    }
    say(&format!(
        "{} has it; `age --decrypt` opens it, and `etcdutl snapshot restore` reads what is in it.",
        out.display()
    ));
    say("Secrets in it are encrypted by the cluster's root keys: keep a copy of `authority.sealed` as well.");
    Ok(Done::Ok)
}
