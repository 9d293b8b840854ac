//! Unlocking: status, ledger, keys, lockdown.

use std::{
    fmt::Write as _,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use faros_client::Client;
use faros_model::{api::UnlockStatus, site::UnlockPolicy};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    args::UnlockCommand,
    outcome::{Done, Error, print, say},
    screens::{self, age, table},
    site::{confirm_word, who},
};

/// `unlock …`.
pub(crate) async fn unlock(client: &Client, command: UnlockCommand, as_json: bool) -> Result<Done, Error> {
    match command {
        UnlockCommand::Status => screens::show(as_json, &client.unlock().await?, status),
        UnlockCommand::Ledger => screens::show(as_json, &client.unlock().await?, ledger),
        UnlockCommand::Rotate => {
            let changed = client.rotate_unlock_keys(&who()).await?;
            if as_json {
                return print(&(json!(changed).to_string() + "\n"));
            }
            say(&format!(
                "New disks are bound to the new key {} from now on.",
                changed.key
            ));
            say(
                "The old key still unlocks. Nodes that run move to the new one within minutes; `farosctl unlock ledger` shows who has.",
            );
            Ok(Done::Ok)
        }
        UnlockCommand::Retire { key, force, yes } => retire(client, &key, force, yes, as_json).await,
        UnlockCommand::Backup { recipients, out } => backup(client, recipients, out).await,
        UnlockCommand::Restore { backup, identity } => restore(client, &backup, &identity, as_json).await,
    }
}

async fn retire(client: &Client, key: &str, force: bool, yes: bool, as_json: bool) -> Result<Done, Error> {
    if !yes {
        let mut warning = format!("The key {key} is destroyed, here and for ever.");
        if force {
            warning += " The disks of nodes that depend on it can never be opened again.";
        }
        confirm_word(&warning, "Type `retire` to go on:", "retire")?;
    }
    let changed = client.retire_unlock_key(key, force, &who()).await?;
    if as_json {
        return print(&(json!(changed).to_string() + "\n"));
    }
    say(&format!("The key {} is gone.", changed.key));
    Ok(Done::Ok)
}

async fn backup(client: &Client, recipients: Vec<String>, out: Option<PathBuf>) -> Result<Done, Error> {
    let backup = client.back_up_unlock_keys(recipients).await?;
    let Some(path) = out else {
        return print(&backup.armored);
    };
    let cannot = || format!("cannot write {}", path.display());
    let mut how = std::fs::OpenOptions::new();
    let mut file = how
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(cannot)?;
    file.write_all(backup.armored.as_bytes()).with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    say(&format!(
        "{} has the keys; `age --decrypt` opens it. A rotation makes it out of date.",
        path.display()
    ));
    if backup.roots {
        say("The roots of the cluster are in it too: whoever opens it is the cluster's administrator.");
    }
    Ok(Done::Ok)
}

async fn restore(client: &Client, backup: &Path, identity: &Path, as_json: bool) -> Result<Done, Error> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let restored = client
        .restore_unlock_keys(read(backup)?, read(identity)?, &who())
        .await?;
    if as_json {
        return print(&(json!(restored).to_string() + "\n"));
    }
    for key in &restored.keys {
        say(&format!("The key {key} unlocks again."));
    }
    if let Some(fingerprint) = &restored.roots {
        say(&format!(
            "The roots of the cluster are back; that of the site is {fingerprint}."
        ));
    }
    say(if restored.keys.is_empty() {
        "The bastion has all unlock keys of this backup already."
    } else {
        "Nodes that depend on it open their disks when they start next, and move to the key in use by themselves."
    });
    Ok(Done::Ok)
}

/// `lockdown`.
pub(crate) async fn lockdown(
    client: &Client,
    lift: bool,
    reason: &str,
    as_json: bool,
) -> Result<Done, Error> {
    if lift {
        let changed = client.lift_lockdown(&who()).await?;
        if as_json {
            return print(&(json!({ "changed": changed }).to_string() + "\n"));
        }
        say(if changed {
            "Unlocking is allowed again. Nodes that wait go on by themselves."
        } else {
            "There was no lockdown."
        });
        return Ok(Done::Ok);
    }
    let lockdown = client.lock_down(&who(), reason).await?;
    if as_json {
        return print(&(json!(lockdown).to_string() + "\n"));
    }
    say("The site is locked down: no disk that is closed opens until `farosctl lockdown --lift`.");
    say("Nodes that run go on running; one that restarts waits.");
    Ok(Done::Ok)
}

fn status(status: &UnlockStatus) -> String {
    let now = Timestamp::now();
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "service   {}", status.url);
    let _ = writeln!(
        out,
        "helps     {}",
        match status.policy {
            UnlockPolicy::BootSession => "nodes that boot right now, and depend on the key they ask for",
            UnlockPolicy::KnownNodes => "nodes of the site",
            UnlockPolicy::Anyone => "ANYONE on the LAN",
        }
    );
    let _ = writeln!(
        out,
        "keys      {}, sealed with {}",
        status.keys.len(),
        match status.sealed_with.as_str() {
            "nothing" => "NOTHING: whoever has the bastion's disk has them",
            other => other,
        }
    );
    let _ = match &status.lockdown {
        None => writeln!(out, "lockdown  no"),
        Some(lockdown) => writeln!(
            out,
            "lockdown  YES, for {}, by {}{}",
            age(now, lockdown.since),
            lockdown.by,
            match lockdown.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            }
        ),
    };
    out
}

fn ledger(status: &UnlockStatus) -> String {
    let now = Timestamp::now();
    let mut rows = Vec::new();
    for key in &status.keys {
        let standing = if key.advertised { "in use" } else { "rotated" };
        let made = format!("{} ago", age(now, key.created_at));
        let mut first = vec![key.key.clone(), standing.to_owned(), made];
        if key.nodes.is_empty() {
            let rest = ["-", "", ""].map(str::to_owned);
            first.extend(rest);
            rows.push(first);
            continue;
        }
        for binding in &key.nodes {
            let mut row = std::mem::replace(&mut first, vec![String::new(); 3]);
            row.push(binding.node.to_string());
            row.push(binding.seen.clone());
            row.push(format!("{} ago", age(now, binding.last)));
            rows.push(row);
        }
    }
    table(&["KEY", "STANDING", "MADE", "NODE", "SEEN BY", "LAST"], &rows)
}
