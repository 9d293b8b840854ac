//! The story of a boot, and why a node does not get on. What is told is decided elsewhere; here it is asked
//! for and shown.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use faros_client::{Client, ClientError};
use faros_model::{
    ids::{HostName, SessionId},
    timeline::{SessionInfo, Timeline},
};
use faros_why::draw;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    outcome::{Done, Error, print, say},
    screens,
};

/// How wide text may be where nobody says.
const WIDTH: usize = 80;

/// Which boot sessions are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) node: Option<HostName>,
    pub(crate) session: Option<SessionId>,
    pub(crate) last: usize,
}

/// `why`: the causes, most likely first.
pub(crate) async fn why(client: &Client, node: &HostName, as_json: bool) -> Result<Done, Error> {
    let diagnosis = client.why(node).await?;
    screens::show(as_json, &diagnosis, |diagnosis| draw::causes(diagnosis, width()))
}

/// `timeline NODE --sessions`.
pub(crate) async fn sessions(client: &Client, node: &HostName, as_json: bool) -> Result<Done, Error> {
    screens::show(as_json, &client.sessions(node).await?, |rows| listed(rows))
}

/// `timeline`: of one node or all, as text, as JSON or as a picture.
pub(crate) async fn timeline(
    client: &Client,
    wanted: &Wanted,
    picture: Option<&Path>,
    as_json: bool,
) -> Result<Done, Error> {
    let timelines = gather(client, wanted).await?;
    if let Some(path) = picture {
        let text = draw::svg(&timelines);
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        say(&format!(
            "{} boots are drawn in {}",
            timelines.len(),
            path.display()
        ));
        return Ok(Done::Ok);
    }
    match timelines.as_slice() {
        [only] if wanted.node.is_some() => screens::show(as_json, only, |only| draw::text(only, width())),
        _ => screens::show(as_json, &timelines, |timelines| text_of(timelines, wanted)),
    }
}

fn text_of(timelines: &[Timeline], wanted: &Wanted) -> String {
    if timelines.is_empty() {
        return "No node has booted yet.\n".to_owned();
    }
    if wanted.node.is_none() {
        return draw::side_by_side(timelines, width());
    }
    let texts = timelines.iter().map(|timeline| draw::text(timeline, width()));
    texts.collect::<Vec<_>>().join("\n")
}

/// The wanted timelines, oldest first on each node. Nodes that never booted have none, unless one was named.
async fn gather(client: &Client, wanted: &Wanted) -> Result<Vec<Timeline>, Error> {
    let nodes = match &wanted.node {
        Some(node) => vec![node.clone()],
        None => client.nodes().await?.into_iter().map(|row| row.name).collect(),
    };
    let mut timelines = Vec::new();
    for node in &nodes {
        if wanted.session.is_some() || wanted.last <= 1 {
            match client.timeline(node, wanted.session).await {
                Ok(timeline) => timelines.push(timeline),
                Err(ClientError::Refused(failure))
                    if failure.code == "not-found" && wanted.node.is_none() => {}
                Err(error) => return Err(error.into()),
            }
            continue;
        }
        let mut own = client.sessions(node).await?;
        own.truncate(wanted.last);
        for row in own.iter().rev() {
            timelines.push(client.timeline(node, Some(row.session)).await?);
        }
    }
    Ok(timelines)
}

/// `timeline --follow`: on a terminal drawn anew in place, elsewhere whenever something is new.
pub(crate) async fn follow(client: &Client, node: Option<&HostName>, as_json: bool) -> Result<Done, Error> {
    let wanted = Wanted {
        node: node.cloned(),
        session: None,
        last: 1,
    };
    let in_place = !as_json && io::stdout().is_terminal();
    let mut drawn = 0;
    let mut before: Vec<Timeline> = vec![];
    loop {
        let timelines = match gather(client, &wanted).await {
            // A node that is still to boot is what one waits for.
            Err(Error::Client(ClientError::Refused(failure)))
                if failure.code == "not-found" && is_known(client, node).await? =>
            {
                vec![]
            }
            other => other?,
        };
        if in_place {
            let text = match timelines.as_slice() {
                [only] if node.is_some() => draw::text(only, width()),
                timelines => text_of(timelines, &wanted),
            };
            // Back to the first line of the last drawing, and clear from there.
            let back = match drawn {
                0 => String::new(),
                drawn => format!("\x1b[{drawn}A\x1b[J"),
            };
            let text = fitting(&text);
            print(&(back + &text))?;
            drawn = text.lines().count();
        } else {
            for timeline in timelines.iter().filter(|timeline| is_news(&before, timeline)) {
                let text = if as_json {
                    json!(timeline).to_string() + "\n"
                } else {
                    draw::text(timeline, width()) + "\n"
                };
                print(&text)?;
            }
            before = timelines;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn is_known(client: &Client, node: Option<&HostName>) -> Result<bool, Error> {
    let nodes = client.nodes().await?;
    Ok(node.is_none_or(|node| nodes.iter().any(|row| row.name == *node)))
}

/// Whether a timeline tells more than that time has passed.
fn is_news(before: &[Timeline], timeline: &Timeline) -> bool {
    let told = |timeline: &Timeline| {
        let last = timeline.spans.iter().map(|span| span.events).max();
        (timeline.session, timeline.reached, timeline.marks.len(), last)
    };
    let same = before.iter().find(|own| own.node == timeline.node);
    same.is_none_or(|own| told(own) != told(timeline))
}

fn listed(rows: &[SessionInfo]) -> String {
    let now = Timestamp::now();
    let row = |row: &SessionInfo| {
        let took = faros_why::words::took(row.ended.duration_since(row.began));
        let reached = faros_why::words::with(row.reached.as_str(), &row.reason);
        vec![
            row.session.to_string(),
            screens::age(now, row.began),
            took,
            row.events.to_string(),
            reached,
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    if rows.is_empty() {
        return "It has not booted yet, as far as is recorded.\n".to_owned();
    }
    screens::table(&["SESSION", "AGE", "HEARD FOR", "EVENTS", "REACHED"], &rows)
}

/// The end of a text that is higher than the terminal: what was drawn must be drawn over again.
fn fitting(text: &str) -> String {
    let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    let n_lines = text.lines().count();
    let skip = match rows {
        0 => 0,
        rows => n_lines.saturating_sub(rows - 1),
    };
    text.split_inclusive('\n').skip(skip).collect()
}

/// The columns of the terminal, if it is one.
fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    match size.map(|size| usize::from(size.ws_col)) {
        None | Some(0) => WIDTH,
        Some(columns) => columns.min(160),
    }
}
