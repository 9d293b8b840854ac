//! The details of sightings: exactly the keys that [`EventKind`](faros_model::event::EventKind) names.

use std::net::Ipv4Addr;

use faros_model::{event::EventKind, sighting::Sighting};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Effect;
use crate::message::{Message, opt};

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
