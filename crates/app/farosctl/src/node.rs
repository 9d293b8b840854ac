//! Work on a node of the cluster: emptied, replaced, removed.

use faros_client::{Client, Lines};
use faros_model::{
    api::{NodeWorkRequest, WorkProgress},
    ids::HostName,
};
use serde_json::json;

use crate::{
    args::{Going, NodeCommand, NodeWork},
    outcome::{Done, Error, print, say},
    site::{confirm_word, who},
};

/// `node …`.
pub(crate) async fn node(client: &Client, command: NodeCommand, as_json: bool) -> Result<Done, Error> {
    match command {
        NodeCommand::Drain { node, lift, work } => {
            let lines = client.drain_node(&node, &request(work, lift)).await?;
            let done = if lift { "is open to pods again" } else { "is empty" };
            follow(lines, &format!("{node} {done}."), as_json).await
        }
        NodeCommand::Replace(Going { node, yes, work }) => {
            if !yes {
                ask(
                    &node,
                    "Its machine leaves the cluster, and the next one is installed in its place.",
                )?;
            }
            let lines = client.replace_node(&node, &request(work, false)).await?;
            follow(lines, &format!("{node} waits for its new machine."), as_json).await
        }
        NodeCommand::Remove(Going { node, yes, work }) => {
            if !yes {
                ask(&node, "Its machine leaves the cluster.")?;
            }
            let lines = client.remove_node(&node, &request(work, false)).await?;
            follow(lines, &format!("{node} is no part of the cluster."), as_json).await
        }
    }
}

fn ask(node: &HostName, warning: &str) -> Result<(), Error> {
    let question = format!("Type `{node}` to go on:");
    confirm_word(warning, &question, node.as_str())
}

fn request(work: NodeWork, lift: bool) -> NodeWorkRequest {
    NodeWorkRequest {
        by: who(),
        force: work.force,
        timeout: work.timeout,
        lift,
    }
}

/// Tells how work goes until it ends.
pub(crate) async fn follow(mut lines: Lines<WorkProgress>, done: &str, as_json: bool) -> Result<Done, Error> {
    while let Some(line) = lines.next().await? {
        if as_json {
            print(&(json!(line).to_string() + "\n"))?;
        }
        match line {
            WorkProgress::Step { title } if !as_json => say(&format!("  {title}")),
            WorkProgress::Waiting { for_what } if !as_json => {
                for own in for_what {
                    say(&format!("    waits for {own}"));
                }
            }
            WorkProgress::Step { .. } | WorkProgress::Waiting { .. } => {}
            WorkProgress::Done { next } => {
                if !as_json {
                    say(done);
                    if !next.is_empty() {
                        say(&format!("  {next}"));
                    }
                }
                return Ok(Done::Ok);
            }
            WorkProgress::Failed { failure } => return Err(Error::Apply(failure)),
        }
    }
    Err(Error::Failed(anyhow::anyhow!(
        "farosd ended before its work was done; begin it again, and it goes on where it was"
    )))
}
