//! The details of sightings: exactly the keys that [`EventKind`](faros_model::event::EventKind) names.

use std::net::Ipv4Addr;

use faros_model::{event::EventKind, sighting::Sighting};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::Effect;
use crate::message::{Message, opt};

/// So much of what strangers ask for and are offered is told in one [`WINDOW`]: as many events as `faros-boot` records of
/// strangers in that time. In a flood of them the telling would take longer than the answer. That they look for an
/// address, and who gets which, is told always.
const TOLD: u32 = 600;
const WINDOW: SignedDuration = SignedDuration::from_mins(1);

/// How much was told of strangers.
#[derive(Debug, Default)]
pub(super) struct Told {
    since: Option<Timestamp>,
    n_told: u32,
}

impl Told {
    /// Whether one thing more may be told.
    pub(super) fn may(&mut self, now: Timestamp) -> bool {
        let is_open = |since: Timestamp| now >= since && now.duration_since(since) < WINDOW;
        if !self.since.is_some_and(is_open) {
            *self = Self {
                since: Some(now),
                n_told: 0,
            };
        }
        self.n_told = self.n_told.saturating_add(1);
        self.n_told <= TOLD
    }
}

/// What a machine says about itself.
pub(super) fn said(message: &Message) -> Map<String, Value> {
    let facts = [
        ("architecture", message.architecture().map(Value::from)),
        ("vendorClass", message.text(opt::VENDOR_CLASS).map(Value::from)),
        ("userClass", message.user_class().map(Value::from)),
        ("uuid", message.uuid().map(Value::from)),
        ("hostname", message.text(opt::HOST_NAME).map(Value::from)),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    [("mac".to_owned(), json!(message.mac))]
        .into_iter()
        .chain(facts)
        .collect()
}

/// What a machine is given.
pub(super) fn granted(address: Ipv4Addr, boot_file: Option<String>) -> Map<String, Value> {
    let mut detail = Map::new();
    detail.insert("address".into(), json!(address));
    detail.extend(boot_file.map(|file| ("bootFile".to_owned(), Value::from(file))));
    detail
}

pub(super) fn saw(
    now: Timestamp,
    message: &Message,
    address: Option<Ipv4Addr>,
    kind: EventKind,
    detail: Map<String, Value>,
) -> Effect {
    Effect::Saw(sighting(now, message, address, kind, detail))
}

pub(super) fn sighting(
    now: Timestamp,
    message: &Message,
    address: Option<Ipv4Addr>,
    kind: EventKind,
    mut detail: Map<String, Value>,
) -> Sighting {
    detail.entry("mac").or_insert_with(|| json!(message.mac));
    Sighting {
        at: now,
        mac: Some(message.mac),
        address,
        kind,
        detail,
    }
}
