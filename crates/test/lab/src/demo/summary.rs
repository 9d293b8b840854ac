//! What was seen, as a value: the end of the demo, and `summary.json`.

use std::{fmt::Write as _, time::Duration};

use faros_model::event::{Event, EventKind};
use jiff::Timestamp;
use serde::Serialize;

use super::cluster::Cluster;
use crate::{Lab, machine::Firmware};

/// The demo's outcome. The JSON shape is held on to by others.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    /// Whether all that was promised was seen.
    pub(super) ok: bool,
    /// How long the whole took, in seconds.
    pub(super) seconds: f64,
    /// How much of that was building the image and bringing the bastion up.
    pub(super) set_up_seconds: f64,
    /// Each machine.
    pub(super) machines: Vec<Machine>,
    /// What was shown besides.
    pub(super) proofs: Vec<Proof>,
    /// The cluster, of the demo that ends in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
}

/// Something that was shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Proof {
    /// What.
    pub(super) what: String,
    /// Whether it was seen; a demo in which it was not ends before it comes to this.
    seen: bool,
}

impl Proof {
    pub(super) fn seen(what: &str) -> Self {
        Self {
            what: what.to_owned(),
            seen: true,
        }
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Machine {
    name: String,
    firmware: &'static str,
    mac: String,
    addresses: Vec<String>,
    /// Its phases in order.
    phases: Vec<Phase>,
    /// What was seen of it, by kind of event, with when it was first seen.
    seen: Vec<Seen>,
    /// What was promised and not seen.
    missing: Vec<&'static str>,
    encrypted: bool,
    unlocked: bool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Phase {
    #[serde(rename = "phase")]
    name: String,
    start: Timestamp,
    end: Timestamp,
    /// The evidence for its start.
    seen_by: String,
}

#[derive(Debug, Clone, Serialize)]
struct Seen {
    kind: EventKind,
    at: Timestamp,
}

/// What each machine must have been seen to do.
const PROMISED: &[EventKind] = &[
    EventKind::DhcpDiscover,
    EventKind::DhcpAck,
    EventKind::BootScriptServed,
    EventKind::KernelFetched,
    EventKind::InitramfsFetched,
    EventKind::IgnitionServed,
    EventKind::NodeReport,
    EventKind::ContentFetched,
    EventKind::UnlockAdvertised,
    EventKind::UnlockBound,
    EventKind::NodeDisarmed,
    EventKind::UnlockRecovered,
];

/// What each machine must have reported.
const REPORTED: &[&str] = &["booted", "ignition-fetched", "installed", "booting", "started"];

/// Gathers what the bastion recorded.
pub(super) fn gather(
    lab: &Lab,
    machines: &[(&str, Firmware)],
    proofs: Vec<Proof>,
    cluster: Option<Cluster>,
    took: Duration,
    set_up: Duration,
) -> anyhow::Result<Summary> {
    let n_promised = machines.len();
    let events = lab.events(0)?;
    let end = events.last().map_or(Timestamp::UNIX_EPOCH, |event| event.at);
    let rows = lab.nodes()?;
    let machines: Vec<Machine> = machines
        .iter()
        .filter_map(|(name, firmware)| {
            let row = rows.iter().find(|row| row.name.as_str() == *name)?;
            let own: Vec<&Event> = events
                .iter()
                .filter(|event| event.node.as_ref() == Some(&row.name))
                .collect();
            let first = |kind| own.iter().find(|event| event.kind == kind).map(|event| event.at);
            let mut missing: Vec<&'static str> = PROMISED
                .iter()
                .filter(|kind| first(**kind).is_none())
                .map(|kind| kind.as_str())
                .collect();
            // UEFI firmware needs a loader; QEMU's BIOS has iPXE in the network card's ROM.
            if *firmware == Firmware::Uefi && first(EventKind::LoaderFetched).is_none() {
                missing.push(EventKind::LoaderFetched.as_str());
            }
            let report = |name: &str| {
                own.iter().find(|event| {
                    event.kind == EventKind::NodeReport
                        && event.detail.get("report").is_some_and(|report| report == name)
                })
            };
            missing.extend(REPORTED.iter().filter(|name| report(name).is_none()).copied());
            let is_encrypted = report("started")
                .and_then(|event| event.detail.get("encrypted")?.as_bool())
                .unwrap_or(false);
            if !is_encrypted {
                missing.push("encrypted");
            }
            let seen = EventKind::ALL.iter().filter_map(|kind| {
                Some(Seen {
                    kind: *kind,
                    at: first(*kind)?,
                })
            });
            Some(Machine {
                name: (*name).to_owned(),
                firmware: firmware.as_str(),
                mac: row.boot_mac.to_string(),
                addresses: vec![row.address.to_string()],
                phases: phases(&own, end),
                seen: seen.collect(),
                missing,
                encrypted: is_encrypted,
                unlocked: first(EventKind::UnlockRecovered).is_some(),
            })
        })
        .collect();
    Ok(Summary {
        ok: machines.len() == n_promised && machines.iter().all(|machine| machine.missing.is_empty()),
        seconds: took.as_secs_f64(),
        set_up_seconds: set_up.as_secs_f64(),
        machines,
        proofs,
        cluster,
    })
}

fn phases(events: &[&Event], end: Timestamp) -> Vec<Phase> {
    let changes: Vec<&&Event> = events
        .iter()
        .filter(|event| event.kind == EventKind::PhaseChanged)
        .collect();
    let word = |event: &Event, key: &str| {
        event
            .detail
            .get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let ends = changes.iter().skip(1).map(|event| event.at).chain([end]);
    changes
        .iter()
        .zip(ends)
        .map(|(event, end)| Phase {
            name: word(event, "to"),
            start: event.at,
            end,
            seen_by: word(event, "evidence"),
        })
        .collect()
}

impl Summary {
    /// The summary as people read it.
    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for machine in &self.machines {
            let _ = writeln!(
                out,
                "{} ({}, {}) at {}",
                machine.name,
                machine.firmware,
                machine.mac,
                machine.addresses.join(", ")
            );
            let begun = machine.seen.iter().map(|seen| seen.at).min();
            for seen in &machine.seen {
                let after = begun.map_or(0.0, |begun| seen.at.duration_since(begun).as_secs_f64());
                let _ = writeln!(out, "  {after:6.1} s  {}", seen.kind);
            }
            for missing in &machine.missing {
                let _ = writeln!(out, "  MISSING   {missing}");
            }
        }
        if let Some(cluster) = &self.cluster {
            out.push_str(&cluster.text());
        }
        for proof in &self.proofs {
            let _ = writeln!(out, "proved: {}", proof.what);
        }
        let (all, set_up) = (self.seconds, self.set_up_seconds);
        let _ = writeln!(
            out,
            "{all:.0} s in all, {set_up:.0} s of it for the image and the bastion"
        );
        out
    }
}
