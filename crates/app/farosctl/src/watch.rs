//! Following the machines as they boot.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use faros_client::{Client, Events};
use faros_model::ids::HostName;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    outcome::{Done, Error, print},
    screens,
};

/// `watch`: on a terminal a table in place, elsewhere one event a line.
pub(crate) async fn watch(
    client: &Client,
    node: Option<HostName>,
    after: Option<u64>,
    as_json: bool,
) -> Result<Done, Error> {
    if !as_json && io::stdout().is_terminal() {
        return table(client, node.as_ref()).await;
    }
    let events = Events {
        after,
        follow: true,
        node,
        limit: None,
    };
    follow(client, &events, as_json).await
}

/// `events`: those of the past.
pub(crate) async fn events(
    client: &Client,
    node: Option<HostName>,
    after: Option<u64>,
    limit: usize,
    as_json: bool,
) -> Result<Done, Error> {
    let events = Events {
        after,
        follow: false,
        node,
        limit: Some(limit),
    };
    follow(client, &events, as_json).await
}

async fn follow(client: &Client, events: &Events, as_json: bool) -> Result<Done, Error> {
    let mut lines = client.events(events).await?;
    while let Some(event) = lines.next().await? {
        let line = if as_json {
            json!(event).to_string()
        } else {
            screens::event(&event)
        };
        print(&(line + "\n"))?;
    }
    Ok(Done::Ok)
}

/// Redraws the nodes once a second, until interrupted.
async fn table(client: &Client, only: Option<&HostName>) -> Result<Done, Error> {
    let mut drawn = 0;
    loop {
        let mut nodes = client.nodes().await?;
        nodes.retain(|node| only.is_none_or(|only| node.name == *only));
        let now = Timestamp::now();
        let rows: Vec<Vec<String>> = nodes
            .iter()
            .map(|node| {
                vec![
                    node.name.to_string(),
                    node.phase.to_string(),
                    node.since
                        .map(|since| screens::age(now, since))
                        .unwrap_or_default(),
                    screens::last(node, now),
                ]
            })
            .collect();
        let text = screens::table(&["NODE", "PHASE", "SINCE", "LAST"], &rows);
        // Back to the first line of the last drawing, and clear from there.
        let back = if drawn == 0 {
            String::new()
        } else {
            format!("\x1b[{drawn}A\x1b[J")
        };
        print(&(back + &text))?;
        drawn = text.lines().count();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
