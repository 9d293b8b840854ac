//! The cluster: how it is, waiting for it, and beginning it.

mod credentials;
mod kubeconfig;
mod kubectl;
mod restore;
mod screen;
mod snapshot;
mod upgrade;
mod yaml;

use std::time::{Duration, Instant};

use faros_client::{Client, ClientError, Lines};
use faros_model::{
    api::{ClusterNode, ClusterState, ClusterStatus, MemberState, Missing, NodeStatus},
    event::Phase,
    site::Role,
};
use serde_json::json;

pub(crate) use self::kubectl::kubectl;
use crate::{
    args::ClusterCommand,
    outcome::{Done, Error, print, say},
    screens,
    site::{confirm_word, counted, missing, who},
};

/// How long after farosd went away it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// `cluster …`.
pub(crate) async fn cluster(client: &Client, command: ClusterCommand, as_json: bool) -> Result<Done, Error> {
    match command {
        ClusterCommand::Status { follow: false } => {
            screens::show(as_json, &client.cluster().await?, screen::status)
        }
        ClusterCommand::Status { follow: true } => {
            Follow::new(client, as_json, true).until(|_| false, None).await?;
            Ok(Done::Ok)
        }
        ClusterCommand::Nodes => {
            let status = client.cluster().await?;
            screens::show(as_json, &status.nodes, |nodes| screen::nodes(nodes, status.at))
        }
        ClusterCommand::Restore { snapshot, force, yes } => {
            restore::restore(client, snapshot, force, yes, as_json).await
        }
        ClusterCommand::Certificates => screens::show(as_json, &client.certificates().await?, |rows| {
            restore::certificates(rows)
        }),
        ClusterCommand::Snapshot { command } => snapshot::snapshot(client, command, as_json).await,
        ClusterCommand::Upgrade { to, work, command } => {
            upgrade::upgrade(client, to, work, command, as_json).await
        }
        ClusterCommand::Wait { timeout } => wait(client, timeout, as_json).await,
        ClusterCommand::Install {
            yes,
            no_wait,
            timeout,
        } => install(client, yes, (!no_wait).then_some(timeout), as_json).await,
        ClusterCommand::Credentials {
            whose,
            time,
            out,
            merge,
        } => {
            let wanted = credentials::Wanted::of(whose, time);
            credentials::write(client, wanted, out, merge, as_json).await
        }
        ClusterCommand::Kubeconfig { whose, time } => {
            credentials::show(client, credentials::Wanted::of(whose, time)).await
        }
    }
}

/// `wait`.
async fn wait(client: &Client, timeout: u32, as_json: bool) -> Result<Done, Error> {
    let time = Duration::from_secs(timeout.into());
    let is_over = |status: &ClusterStatus| matches!(status.state, ClusterState::Ready | ClusterState::None);
    let last = Follow::new(client, as_json, true)
        .until(is_over, Some(time))
        .await?;
    match last {
        Some(status) if status.state == ClusterState::Ready => {
            if !as_json {
                say(&format!("The cluster {} is ready.", status.name));
            }
            Ok(Done::Ok)
        }
        Some(status) if status.state == ClusterState::None => Err(no_cluster(&status)),
        Some(status) => {
            let why = if status.reasons.is_empty() {
                String::new()
            } else {
                format!(": {}", status.reasons.join("; "))
            };
            let state = status.state.as_str();
            Err(Error::Failed(anyhow::anyhow!(
                "the cluster is {state} after {timeout} s{why}"
            )))
        }
        None => Err(Error::Failed(anyhow::anyhow!(
            "farosd told nothing of the cluster in {timeout} s"
        ))),
    }
}

fn no_cluster(status: &ClusterStatus) -> Error {
    Error::Failed(anyhow::anyhow!("{}", status.reasons.join("; ")))
}

/// `install`.
async fn install(client: &Client, yes: bool, timeout: Option<u32>, as_json: bool) -> Result<Done, Error> {
    let status = client.cluster().await?;
    if status.state == ClusterState::None {
        return Err(no_cluster(&status));
    }
    let machines = client.nodes().await?;
    let to_arm: Vec<&NodeStatus> = machines
        .iter()
        .filter(|node| has_to_be_armed(node, &status))
        .collect();
    let blocking: Vec<Missing> = status.missing.iter().filter(|own| own.blocks).cloned().collect();
    if !as_json {
        say(&screen::intent(&status, &to_arm));
    }
    if !blocking.is_empty() {
        return Err(Error::Refused(missing(&blocking)));
    }
    if !to_arm.is_empty() {
        if !yes {
            let warning = format!(
                "The next network boot of {} wipes its install disk, and its data disks save those of the storage provider.",
                counted(to_arm.len(), "machine")
            );
            let question = format!("Type the name of the cluster, {}, to go on:", status.name);
            confirm_word(&warning, &question, &status.name)?;
        }
        for node in &to_arm {
            client.set_armed(&node.name, true, &who()).await?;
            if !as_json {
                say(&format!("{} is armed: start it from its network.", node.name));
            }
        }
    }
    match timeout {
        Some(timeout) => wait(client, timeout, as_json).await,
        None if as_json => print(&(json!(client.cluster().await?).to_string() + "\n")),
        None => Ok(Done::Ok),
    }
}

/// Whether a node was never installed for this cluster, and would not install itself.
fn has_to_be_armed(node: &NodeStatus, status: &ClusterStatus) -> bool {
    let stands = status.nodes.iter().find(|own| own.name == node.name);
    let is_new = stands.is_some_and(|own| matches!(own.state, MemberState::Expected | MemberState::Booting));
    is_new && !node.armed && matches!(node.phase, Phase::Expected | Phase::LocalBoot)
}

/// Follows the cluster, and tells what is another than before.
struct Follow<'a> {
    client: &'a Client,
    as_json: bool,
    tells: bool,
    last: Option<ClusterStatus>,
}

impl<'a> Follow<'a> {
    fn new(client: &'a Client, as_json: bool, tells: bool) -> Self {
        Self {
            client,
            as_json,
            tells,
            last: None,
        }
    }

    /// Goes on until it is as wanted, or for so long; what was told last.
    async fn until(
        mut self,
        wanted: impl Fn(&ClusterStatus) -> bool,
        time: Option<Duration>,
    ) -> Result<Option<ClusterStatus>, Error> {
        let ends = time.map(|time| Instant::now() + time);
        // One that does not run at all is told at once; one that goes away comes back.
        let mut lines = Some(self.client.follow_cluster().await?);
        loop {
            let next = async {
                match &mut lines {
                    Some(lines) => lines.next().await,
                    None => {
                        tokio::time::sleep(AGAIN).await;
                        Ok(None)
                    }
                }
            };
            let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
            let next = match left {
                Some(left) => match tokio::time::timeout(left, next).await {
                    Ok(next) => next,
                    Err(_) => return Ok(self.last),
                },
                None => next.await,
            };
            match next {
                Ok(Some(status)) => {
                    self.tell(&status)?;
                    let is_over = wanted(&status);
                    self.last = Some(status);
                    if is_over {
                        return Ok(self.last);
                    }
                }
                Ok(None) | Err(ClientError::Broken(_) | ClientError::NotRunning { .. }) => {
                    lines = self.again(lines.is_some()).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn again(&self, is_news: bool) -> Option<Lines<ClusterStatus>> {
        if is_news && self.tells && !self.as_json {
            say("farosd went away; waiting for it to come back");
        }
        self.client.follow_cluster().await.ok()
    }

    fn tell(&self, status: &ClusterStatus) -> Result<(), Error> {
        if !self.tells {
            return Ok(());
        }
        if self.as_json {
            print(&(json!(status).to_string() + "\n"))?;
            return Ok(());
        }
        for line in screen::changes(self.last.as_ref(), status) {
            say(&line);
        }
        Ok(())
    }
}

/// Whether a node is one of the control plane.
fn is_control_plane(node: &ClusterNode) -> bool {
    node.roles.contains(&Role::ControlPlane)
}
