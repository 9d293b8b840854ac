//! Which machine speaks: a node's name is its own for as long as the SMBIOS UUID behind it stays the same.

use faros_model::{event::EventKind, sighting::Sighting};
use serde_json::{Map, Value};

/// What a sighting says of which machine it comes from.
#[derive(Debug, PartialEq)]
pub(crate) enum Identity {
    /// Nothing.
    Unsaid,
    /// From the one that is known.
    Known,
    /// From another one than the one that is known.
    Other { detail: Map<String, Value>, why: String },
}

/// From which machine a sighting comes. The first UUID that a node shows is its own from then on.
pub(crate) fn identity(known: &mut Option<String>, sighting: &Sighting) -> Identity {
    if !matches!(sighting.kind, EventKind::DhcpDiscover | EventKind::NodeReport) {
        return Identity::Unsaid;
    }
    let said = sighting.detail.get("uuid").and_then(Value::as_str);
    let Some(found) = said.and_then(uuid_digits) else {
        return Identity::Unsaid;
    };
    let Some(expected) = known.as_deref() else {
        *known = Some(found);
        return Identity::Known;
    };
    if expected == found || expected == swapped(&found) {
        return Identity::Known;
    }
    let mut detail = Map::new();
    detail.insert("what".to_owned(), "uuid".into());
    detail.insert("expected".to_owned(), expected.into());
    detail.insert("found".to_owned(), found.clone().into());
    if let Some(address) = sighting.address {
        detail.insert("address".to_owned(), address.to_string().into());
    }
    let why = format!("another machine than before: its SMBIOS UUID is {found} and was {expected}");
    Identity::Other { detail, why }
}

/// The 32 digits of a UUID; `None` for what is none, or is what boards without one say.
fn uuid_digits(text: &str) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(|c| *c != '-')
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let says_nothing = digits.bytes().all(|b| b == b'0') || digits.bytes().all(|b| b == b'f');
    (is_uuid && !says_nothing).then_some(digits)
}

/// The same UUID with the bytes of its first three fields the other way round: firmware, loaders and kernels do
/// not agree on their order (SMBIOS 3.0 section 7.2.1).
fn swapped(digits: &str) -> String {
    const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let bytes: Vec<&str> = (0..16)
        .filter_map(|idx| digits.get(idx * 2..idx * 2 + 2))
        .collect();
    ORDER.iter().filter_map(|idx| bytes.get(*idx).copied()).collect()
}
