//! Values as people read them: pure functions from a value to text.

use std::fmt::Write as _;

use faros_model::{
    api::{Discovered, GenerationInfo, LeaseInfo, NodeStatus, ServiceState, Status, Transfer},
    content::ContentEntry,
    event::Event,
};
use jiff::Timestamp;
use serde::Serialize;

use crate::outcome::{Done, Error, print};

/// Prints a value as JSON, or by its screen.
pub(crate) fn show<T: Serialize>(
    json: bool,
    value: &T,
    screen: impl Fn(&T) -> String,
) -> Result<Done, Error> {
    if json {
        let text = serde_json::to_string(value).map_err(anyhow::Error::from)?;
        print(&(text + "\n"))
    } else {
        print(&screen(value))
    }
}

/// A table with a head; columns are as wide as they must be.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut head.iter().copied());
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// How long ago, in short: `12s`, `5m`, `3h`, `2d`; in the future: `in 12s`.
pub(crate) fn age(now: Timestamp, at: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs();
    let lead = if seconds < 0 { "in " } else { "" };
    format!("{lead}{}", short(seconds.abs()))
}

/// How long until then, in short: `12s`, `5m`, `3h`, `2d`; `over` when it was.
pub(crate) fn left(now: Timestamp, at: Timestamp) -> String {
    match at.duration_since(now).as_secs() {
        seconds @ 1.. => short(seconds),
        _ => "over".to_owned(),
    }
}

fn short(seconds: i64) -> String {
    let (n, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "m"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{n}{unit}")
}

/// A size, in short.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mib = bytes as f64 / f64::from(1 << 20);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes >> 10),
        _ => format!("{mib:.1} MiB"),
    }
}

pub(crate) fn status(status: &Status) -> String {
    let now = Timestamp::now();
    let mut out = String::new();
    let site = status
        .site
        .as_ref()
        .map_or("nothing applied yet", faros_model::ids::HostName::as_str);
    let generation = status
        .generation
        .map_or_else(|| "none".to_owned(), |generation| generation.to_string());
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "Site        {site}");
    let _ = writeln!(out, "Generation  {generation}");
    let _ = writeln!(
        out,
        "farosd      {}, process {}, up {}",
        status.version,
        status.pid,
        age(now, status.started_at)
    );
    let _ = writeln!(
        out,
        "LAN         {}",
        status.lan_interface.as_deref().unwrap_or("not known yet")
    );
    let _ = writeln!(out, "State       {}", status.state_dir);
    if let Some((apply, left)) = status
        .apply
        .as_ref()
        .and_then(|apply| Some((apply, apply.seconds_left?)))
    {
        let _ = writeln!(
            out,
            "On trial    generation {} by {}, for another {left} s: `farosctl confirm` keeps it",
            apply.generation, apply.by
        );
    } else if let Some(apply) = &status.apply {
        let _ = writeln!(
            out,
            "Applying    generation {}, step {} of {}: {}",
            apply.generation,
            apply.done + 1,
            apply.of,
            apply.next_step
        );
    }
    let rows: Vec<Vec<String>> = status
        .services
        .iter()
        .map(|service| {
            let state = match service.state {
                ServiceState::Ready => "ready",
                ServiceState::Waiting => "WAITING",
                ServiceState::Off => "off",
                ServiceState::Failed => "FAILED",
            };
            let generation = service
                .generation
                .map(|generation| generation.to_string())
                .unwrap_or_default();
            let says = if service.reason.is_empty() {
                service.listens.join(", ")
            } else {
                service.reason.clone()
            };
            vec![
                service.service.as_str().to_owned(),
                state.to_owned(),
                generation,
                says,
            ]
        })
        .collect();
    let _ = write!(
        out,
        "\n{}",
        table(&["SERVICE", "STATE", "GEN", "LISTENS ON / REASON"], &rows)
    );
    if !status.warnings.is_empty() {
        let _ = writeln!(out, "\nThe site file says what nothing acts on yet:");
        for warning in &status.warnings {
            let _ = writeln!(out, "  {} ({})", warning.message, warning.path);
        }
    }
    out
}

pub(crate) fn nodes(nodes: &[NodeStatus]) -> String {
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = nodes
        .iter()
        .map(|node| {
            let roles: Vec<_> = node.roles.iter().map(|role| role.as_str()).collect();
            vec![
                node.name.to_string(),
                if node.reason.is_empty() {
                    node.phase.to_string()
                } else {
                    format!("{}: {}", node.phase, node.reason)
                },
                node.since.map(|since| age(now, since)).unwrap_or_default(),
                if node.armed { "armed" } else { "-" }.to_owned(),
                node.address.to_string(),
                node.boot_mac.to_string(),
                node.firmware.clone().unwrap_or_else(|| "-".to_owned()),
                roles.join(","),
                last(node, now),
            ]
        })
        .collect();
    let head = [
        "NODE", "PHASE", "SINCE", "ARMED", "ADDRESS", "MAC", "FIRMWARE", "ROLES", "LAST",
    ];
    if rows.is_empty() {
        "No nodes: nothing was applied yet.\n".to_owned()
    } else {
        table(&head, &rows)
    }
}

/// What a node did last, or what is being sent to it.
pub(crate) fn last(node: &NodeStatus, now: Timestamp) -> String {
    match (&node.transfer, &node.last_event) {
        (Some(transfer), _) => bar(transfer),
        (None, Some(event)) => format!("{} {}", event.kind, age(now, event.at)),
        (None, None) => "-".to_owned(),
    }
}

/// A transfer as a bar.
pub(crate) fn bar(transfer: &Transfer) -> String {
    const WIDTH: u64 = 16;
    let filled = (transfer.bytes * WIDTH)
        .checked_div(transfer.of)
        .unwrap_or(0)
        .min(WIDTH);
    let filled = usize::try_from(filled).unwrap_or(0);
    let name = transfer.name.rsplit('/').next().unwrap_or_default();
    format!(
        "[{}{}] {name} {} of {}",
        "#".repeat(filled),
        ".".repeat(16 - filled),
        size(transfer.bytes),
        size(transfer.of)
    )
}

pub(crate) fn leases(leases: &[LeaseInfo]) -> String {
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = leases
        .iter()
        .map(|lease| {
            vec![
                lease.address.to_string(),
                lease.mac.to_string(),
                lease.name.clone().unwrap_or_else(|| "-".to_owned()),
                if lease.reserved { "reserved" } else { "dynamic" }.to_owned(),
                lease.state.clone(),
                lease.until.map(|until| age(now, until)).unwrap_or_default(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "No leases.\n".to_owned();
    }
    table(&["ADDRESS", "MAC", "NAME", "KIND", "STATE", "ENDS"], &rows)
}

pub(crate) fn discovered(machines: &[Discovered]) -> String {
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = machines
        .iter()
        .map(|machine| {
            let said = machine.said.iter().filter(|(key, _)| *key != "mac");
            let said: Vec<_> = said
                .map(|(key, value)| {
                    format!(
                        "{key}={}",
                        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
                    )
                })
                .collect();
            vec![
                machine.mac.to_string(),
                machine
                    .address
                    .map_or_else(|| "-".to_owned(), |address| address.to_string()),
                age(now, machine.first_seen),
                age(now, machine.last_seen),
                said.join(" "),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "No machine was seen that is not in the site file.\n".to_owned();
    }
    table(&["MAC", "ADDRESS", "FIRST SEEN", "LAST SEEN", "SAID"], &rows)
}

pub(crate) fn contents(entries: &[ContentEntry]) -> String {
    let now = Timestamp::now();
    let row = |entry: &ContentEntry| {
        let digest = entry.digest.to_string();
        vec![
            entry.name.to_string(),
            size(entry.size),
            format!("sha256:{}…", &digest[..16]),
            age(now, entry.added_at),
        ]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    if rows.is_empty() {
        return "The content store is empty.\n".to_owned();
    }
    table(&["NAME", "SIZE", "DIGEST", "ADDED"], &rows)
}

pub(crate) fn history(rows: &[GenerationInfo]) -> String {
    let now = Timestamp::now();
    let row = |row: &GenerationInfo| {
        let back = row
            .rollback_of
            .map(|of| format!("rollback to {of}: "))
            .unwrap_or_default();
        vec![
            row.generation.to_string(),
            age(now, row.accepted_at),
            row.by.clone(),
            format!("{back}{}", row.summary),
        ]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    if rows.is_empty() {
        return "Nothing was applied yet.\n".to_owned();
    }
    table(&["GENERATION", "AGE", "BY", "CHANGED"], &rows)
}

pub(crate) fn generation(row: &GenerationInfo) -> String {
    let mut out = format!(
        "Generation  {}\nAccepted    {} by {}\n",
        row.generation, row.accepted_at, row.by
    );
    if let Some(of) = row.rollback_of {
        let _ = writeln!(out, "Rollback    to generation {of}");
    }
    let _ = writeln!(
        out,
        "Changed     {}\nDigest      sha256:{}\n",
        row.summary, row.digest
    );
    out + row.site_file.as_deref().unwrap_or_default()
}

/// An event in one line.
pub(crate) fn event(event: &Event) -> String {
    let detail = event.detail.iter().map(|(key, value)| {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            // Who wants to read them all asks for JSON.
            serde_json::Value::Array(list) if list.len() > 4 => format!("({} entries)", list.len()),
            other => other.to_string(),
        };
        format!("{key}={text}")
    });
    let node = event
        .node
        .as_ref()
        .map_or("-", faros_model::ids::HostName::as_str);
    let session = event
        .session
        .map_or_else(|| "-".to_owned(), |session| session.to_string());
    format!(
        "{:>6} {} {node:<10} {session:<8} {:<20} {}",
        event.seq,
        event.at.strftime("%H:%M:%S%.3f"),
        event.kind,
        detail.collect::<Vec<_>>().join(" ")
    )
}
