//! `cluster upgrade`: says what it will do, begins it, and tells how it goes.

use std::{fmt::Write as _, time::Duration};

use faros_client::{Client, ClientError};
use faros_model::{
    api::{UpgradeNode, UpgradeNodeState, UpgradeRequest, UpgradeState, UpgradeStatus},
    kubernetes::KubeVersion,
    site::Role,
};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    args::{UpgradeCommand, UpgradeWork},
    outcome::{Done, Error, print, say},
    screens::{self, age, table},
    site::{confirm_word, who},
};

/// How often it is asked how it goes.
const PERIOD: Duration = Duration::from_secs(2);

/// `cluster upgrade …`.
pub(crate) async fn upgrade(
    client: &Client,
    to: Option<KubeVersion>,
    work: UpgradeWork,
    command: Option<UpgradeCommand>,
    as_json: bool,
) -> Result<Done, Error> {
    match command {
        None => begin(client, to, work, as_json).await,
        Some(UpgradeCommand::Status) => screens::show(as_json, &client.upgrade(None).await?, screen),
        Some(UpgradeCommand::Pause) => {
            let changed = client.pause_upgrade(&who()).await?;
            if as_json {
                return print(&(json!({ "changed": changed }).to_string() + "\n"));
            }
            say(if changed {
                "No further node has its turn. The one that is at it comes to its end."
            } else {
                "It stands still already."
            });
            Ok(Done::Ok)
        }
        Some(UpgradeCommand::Resume { work }) => {
            let status = client.upgrade(None).await?;
            if status.since.is_none() {
                let why = "no upgrade is under way; `farosctl cluster upgrade` begins one";
                return Err(Error::Failed(anyhow::anyhow!(why)));
            }
            go(client, &status, &work, as_json).await
        }
    }
}

async fn begin(
    client: &Client,
    to: Option<KubeVersion>,
    work: UpgradeWork,
    as_json: bool,
) -> Result<Done, Error> {
    let status = client.upgrade(to).await?;
    if status.state == UpgradeState::Done {
        if as_json {
            return print(&(json!(status).to_string() + "\n"));
        }
        say(&format!(
            "All nodes are at {}; there is nothing to do.",
            status.to
        ));
        return Ok(Done::Ok);
    }
    if !as_json {
        say(&intent(&status));
    }
    if !work.yes && status.state != UpgradeState::Running {
        let version = status.to.to_string();
        let question = format!("Type the version, {version}, to go on:");
        confirm_word(
            "Kubernetes does not go back to an older version.",
            &question,
            &version,
        )?;
    }
    go(client, &status, &work, as_json).await
}

/// Has it go on, and follows it.
async fn go(
    client: &Client,
    status: &UpgradeStatus,
    work: &UpgradeWork,
    as_json: bool,
) -> Result<Done, Error> {
    let request = UpgradeRequest {
        by: who(),
        to: Some(status.to),
        force: work.force,
        timeout: work.timeout,
    };
    let begun = client.begin_upgrade(&request).await?;
    if work.no_wait {
        return if as_json {
            print(&(json!(begun).to_string() + "\n"))
        } else {
            say("It goes on in farosd; `farosctl cluster upgrade` follows it.");
            Ok(Done::Ok)
        };
    }
    follow(client, begun, as_json).await
}

/// Tells how it goes until it ends.
async fn follow(client: &Client, begun: UpgradeStatus, as_json: bool) -> Result<Done, Error> {
    let to = begun.to;
    let mut last: Option<UpgradeStatus> = None;
    let mut next = Some(begun);
    let mut is_away = false;
    loop {
        if let Some(status) = next.take().filter(|own| last.as_ref() != Some(own)) {
            if as_json {
                print(&(json!(status).to_string() + "\n"))?;
            } else {
                for line in changes(last.as_ref(), &status) {
                    say(&line);
                }
            }
            match status.state {
                UpgradeState::Done => {
                    if !as_json {
                        say(&format!("All nodes are at {to}."));
                    }
                    return Ok(Done::Ok);
                }
                UpgradeState::Paused if status.nodes.iter().all(|own| !is_at_turn(own)) => {
                    return Err(Error::Failed(anyhow::anyhow!(
                        "the upgrade stands still: {}; `farosctl cluster upgrade resume` has it go on",
                        status.why
                    )));
                }
                UpgradeState::Stopped => {
                    return Err(Error::Failed(anyhow::anyhow!(
                        "the upgrade stopped: {}; `farosctl cluster upgrade resume` has it go on once that is mended",
                        status.why
                    )));
                }
                UpgradeState::Possible if status.from != to => {
                    return Err(Error::Failed(anyhow::anyhow!(
                        "the upgrade is no longer under way"
                    )));
                }
                UpgradeState::Possible | UpgradeState::Running | UpgradeState::Paused => {}
            }
            last = Some(status);
        }
        tokio::time::sleep(PERIOD).await;
        match client.upgrade(Some(to)).await {
            Ok(status) => {
                is_away = false;
                next = Some(status);
            }
            Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) => {
                if !is_away && !as_json {
                    say("farosd went away; waiting for it to come back");
                }
                is_away = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

const fn is_at_turn(node: &UpgradeNode) -> bool {
    matches!(
        node.state,
        UpgradeNodeState::Emptying | UpgradeNodeState::Upgrading
    )
}

fn is_control_plane(node: &UpgradeNode) -> bool {
    node.roles.contains(&Role::ControlPlane)
}

/// What an upgrade will do.
fn intent(status: &UpgradeStatus) -> String {
    let mut out = String::new();
    let word = match status.state {
        UpgradeState::Stopped | UpgradeState::Paused => "goes on",
        UpgradeState::Running => "is under way",
        UpgradeState::Possible | UpgradeState::Done => "would go",
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "The upgrade {word} from {} to {}:", status.from, status.to);
    if !status.why.is_empty() {
        let _ = writeln!(out, "  it stands at: {}", status.why);
    }
    match &status.snapshot {
        Some(name) => {
            let _ = writeln!(out, "  snapshot of etcd {name} was taken before it");
        }
        None => {
            let _ = writeln!(out, "  a snapshot of etcd is taken");
        }
    }
    for own in &status.nodes {
        let part = if is_control_plane(own) {
            "control plane"
        } else {
            "worker"
        };
        let version = own.version.map_or("-".to_owned(), |own| own.to_string());
        let what = match own.state {
            UpgradeNodeState::Upgraded => "is done",
            UpgradeNodeState::Waiting => "is emptied, upgraded, and opened again",
            UpgradeNodeState::Emptying | UpgradeNodeState::Upgrading => "is at its turn",
        };
        let _ = writeln!(out, "  {} ({part}, {version}) {what}", own.name);
    }
    if status.nodes.iter().filter(|own| is_control_plane(own)).count() < 3 {
        let _ = writeln!(
            out,
            "  The API is away for a minute or two while a node of the control plane is upgraded."
        );
    }
    out
}

/// The screen of `cluster upgrade status`.
fn screen(status: &UpgradeStatus) -> String {
    let now = Timestamp::now();
    let mut out = String::new();
    let _ = writeln!(out, "Upgrade     {} -> {}", status.from, status.to);
    let since = status
        .since
        .map_or_else(String::new, |since| format!(", since {}", age(now, since)));
    let _ = writeln!(out, "State       {}{since}", status.state.as_str());
    if !status.why.is_empty() {
        let _ = writeln!(out, "Because     {}", status.why);
    }
    if let Some(snapshot) = &status.snapshot {
        let _ = writeln!(out, "Snapshot    {snapshot}");
    }
    let row = |own: &UpgradeNode| {
        vec![
            own.name.to_string(),
            own.version.map_or("-".to_owned(), |own| own.to_string()),
            own.state.as_str().to_owned(),
            own.since.map_or("-".to_owned(), |since| age(now, since)),
            own.said.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = status.nodes.iter().map(row).collect();
    let head = ["NODE", "VERSION", "STATE", "FOR", "SAID"];
    let _ = write!(out, "\n{}", table(&head, &rows));
    out
}

/// One line for all that is another than before.
fn changes(last: Option<&UpgradeStatus>, next: &UpgradeStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(name) = &next.snapshot
        && last.is_none_or(|last| last.snapshot.is_none())
    {
        lines.push(format!("snapshot of etcd: {name}"));
    }
    for own in &next.nodes {
        let before = last.and_then(|last| last.nodes.iter().find(|before| before.name == own.name));
        let is_news = before.is_none_or(|before| (before.state, &before.said) != (own.state, &own.said));
        let is_worth = own.state != UpgradeNodeState::Waiting || before.is_some();
        if is_news && is_worth {
            let said = if own.said.is_empty() {
                String::new()
            } else {
                format!(": {}", own.said)
            };
            let version = own
                .version
                .map_or_else(String::new, |version| format!(" ({version})"));
            lines.push(format!("{}{version} {}{said}", own.name, own.state.as_str()));
        }
    }
    let is_of_node = next
        .nodes
        .iter()
        .any(|own| !own.said.is_empty() && next.why.ends_with(&own.said));
    let is_going = next.state == UpgradeState::Running;
    if is_going && !next.why.is_empty() && !is_of_node && last.is_none_or(|last| last.why != next.why) {
        lines.push(format!("  waits: {}", next.why));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: UpgradeState, rows: &[(&str, Role, &str, UpgradeNodeState, &str)]) -> UpgradeStatus {
        let node =
            |(name, role, version, state, said): &(&str, Role, &str, UpgradeNodeState, &str)| UpgradeNode {
                name: name.parse().unwrap(),
                roles: vec![*role],
                version: version.parse().ok(),
                state: *state,
                since: None,
                said: (*said).to_owned(),
            };
        UpgradeStatus {
            state,
            from: "v1.35.4".parse().unwrap(),
            to: "v1.36.3".parse().unwrap(),
            since: None,
            by: None,
            snapshot: None,
            why: String::new(),
            nodes: rows.iter().map(node).collect(),
        }
    }

    #[test]
    fn what_it_will_do_is_said_before_it_is_done() {
        let rows = [
            (
                "node-1",
                Role::ControlPlane,
                "v1.36.3",
                UpgradeNodeState::Upgraded,
                "",
            ),
            ("node-2", Role::Worker, "v1.35.4", UpgradeNodeState::Waiting, ""),
        ];
        expect_test::expect![[r"
            The upgrade would go from v1.35.4 to v1.36.3:
              a snapshot of etcd is taken
              node-1 (control plane, v1.36.3) is done
              node-2 (worker, v1.35.4) is emptied, upgraded, and opened again
              The API is away for a minute or two while a node of the control plane is upgraded.
        "]]
        .assert_eq(&intent(&status(UpgradeState::Possible, &rows)));
    }

    #[test]
    fn each_change_is_told_once() {
        let row = |state, said| [("node-1", Role::Worker, "v1.35.4", state, said)];
        let first = status(UpgradeState::Running, &row(UpgradeNodeState::Waiting, ""));
        let mut second = status(
            UpgradeState::Running,
            &row(UpgradeNodeState::Upgrading, "kubeadm upgrade node"),
        );
        second.why = "node-1 is at it: kubeadm upgrade node".to_owned();
        assert!(changes(None, &first).is_empty());
        assert_eq!(
            changes(Some(&first), &second),
            ["node-1 (v1.35.4) upgrading: kubeadm upgrade node"]
        );
        assert!(changes(Some(&second), &second).is_empty());
        let mut third = second.clone();
        third.why = "node-2 is not ready".to_owned();
        assert_eq!(changes(Some(&second), &third), ["  waits: node-2 is not ready"]);
    }
}
