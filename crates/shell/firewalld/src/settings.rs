//! Settings as they travel: `a{sv}`.

use std::collections::{BTreeSet, HashMap};

use faros_firewall::{Settings, Value};
use zbus::{OwnedVariant, Variant};

/// Settings whose items have parts.
const PAIRS: &[&str] = &["ports", "source_ports"];
const QUADS: &[&str] = &["forward_ports"];

/// All of them, for what is permanent.
pub(crate) fn whole(settings: &Settings) -> HashMap<&str, Variant<'_>> {
    let all = settings.0.iter();
    all.map(|(name, value)| (name.as_str(), variant(name, value)))
        .collect()
}

/// What can be changed without a reload: words cannot.
pub(crate) fn changeable(settings: &Settings) -> HashMap<&str, Variant<'_>> {
    let all = settings
        .0
        .iter()
        .filter(|(_, value)| !matches!(value, Value::Text(_)));
    all.map(|(name, value)| (name.as_str(), variant(name, value)))
        .collect()
}

fn variant<'a>(name: &str, value: &'a Value) -> Variant<'a> {
    match value {
        Value::Text(text) => Variant::from(text.as_str()),
        Value::Flag(flag) => Variant::from(*flag),
        Value::Set(items) if PAIRS.contains(&name) => {
            let pairs = items
                .iter()
                .map(|item| item.split_once('/').unwrap_or((item, "")));
            Variant::from(pairs.collect::<Vec<(&str, &str)>>())
        }
        Value::Set(items) if QUADS.contains(&name) => {
            let quads = items.iter().map(|item| {
                let mut parts = item.split('/');
                let mut next = || parts.next().unwrap_or_default();
                (next(), next(), next(), next())
            });
            Variant::from(quads.collect::<Vec<(&str, &str, &str, &str)>>())
        }
        Value::Set(items) => {
            let items: Vec<&str> = items.iter().map(String::as_str).collect();
            Variant::from(items)
        }
    }
}

/// What firewalld says; of numbers, which have no place in our settings, nothing.
pub(crate) fn read(found: &HashMap<String, OwnedVariant>) -> Settings {
    let read = found.iter().filter_map(|(name, value)| {
        let value = match &**value {
            Variant::Str(text) => Value::Text(text.to_string()),
            Variant::Bool(flag) => Value::Flag(*flag),
            Variant::Array(items) => {
                let items: BTreeSet<String> = items.inner().iter().filter_map(item).collect();
                Value::Set(items)
            }
            _ => return None,
        };
        Some((name.clone(), value))
    });
    Settings(read.collect())
}

fn item(item: &Variant<'_>) -> Option<String> {
    match item {
        Variant::Str(text) => Some(text.to_string()),
        Variant::Structure(parts) => {
            let parts = parts.fields().iter().map(|part| match part {
                Variant::Str(text) => Some(text.as_str()),
                _ => None,
            });
            Some(parts.collect::<Option<Vec<&str>>>()?.join("/"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_as_they_went() {
        let items = |items: &[&str]| Value::Set(items.iter().map(|item| (*item).to_owned()).collect());
        let settings = Settings(
            [
                ("target", Value::Text("DROP".to_owned())),
                ("masquerade", Value::Flag(false)),
                ("ports", items(&["53/udp", "30000-32767/tcp"])),
                ("services", items(&[])),
                ("forward_ports", items(&["80/tcp/8080/"])),
                ("sources", items(&["192.168.8.12/31"])),
            ]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        );
        let sent = whole(&settings);
        let came = sent
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), OwnedVariant::try_from(value).ok()?)));
        assert_eq!(read(&came.collect()), settings);
        assert!(!changeable(&settings).contains_key("target"));
    }
}
