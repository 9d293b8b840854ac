//! Reading the details of events, whose shape no type holds.

use faros_model::event::{Event, EventKind};
use jiff::SignedDuration;
use serde_json::Value;

pub(crate) trait Facts {
    /// A word among the facts; empty if it is not there.
    fn word(&self, key: &str) -> &str;

    /// A number among the facts.
    fn number(&self, key: &str) -> Option<u64>;

    /// Which report it is, if it is one.
    fn report(&self) -> Option<&str>;

    /// How long the transfer took of which it tells.
    fn transfer_time(&self) -> SignedDuration;
}

impl Facts for Event {
    fn word(&self, key: &str) -> &str {
        self.detail.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    fn number(&self, key: &str) -> Option<u64> {
        let value = self.detail.get(key)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    fn report(&self) -> Option<&str> {
        (self.kind == EventKind::NodeReport).then(|| self.word("report"))
    }

    fn transfer_time(&self) -> SignedDuration {
        let milliseconds = self.number("milliseconds").unwrap_or(0);
        // A transfer of more than a day is a slip of the record.
        let milliseconds = i64::try_from(milliseconds).unwrap_or(0).min(86_400_000);
        SignedDuration::from_millis(milliseconds)
    }
}
