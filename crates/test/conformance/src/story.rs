//! Waiting for what a machine does, by what the bastion recorded of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::ensure;
use faros_model::event::{Event, EventKind};

use crate::Site;

/// How long an emulated machine may take for any one thing, on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_mins(20);

/// A text in what an event says; empty if there is none.
pub fn word<'a>(event: &'a Event, key: &str) -> &'a str {
    event
        .detail
        .get(key)
        .and_then(serde_json::Value::as_str)
        .unwrap_or_default()
}

/// Whether an event is about this node.
pub fn of(event: &Event, node: &str) -> bool {
    event.node.as_ref().is_some_and(|own| own.as_str() == node)
}

/// Whether an event is this report of this node.
pub fn reports(event: &Event, node: &str, report: &str) -> bool {
    of(event, node) && event.kind == EventKind::NodeReport && word(event, "report") == report
}

/// Tries again what fails because the bastion is dead at the moment.
///
/// # Errors
/// As `what` does, if it still does after half a minute.
pub fn retry<T>(mut what: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match what() {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_secs(1)),
            done => return done,
        }
    }
}

impl Site {
    /// The code of the first cause for which a node does not get on, and the whole answer.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn why(&self, node: &str) -> anyhow::Result<(String, String)> {
        let (said, code) = self.farosctl(&["why", node, "--output", "json"])?;
        ensure!(code == 0, "{said}");
        let answer: serde_json::Value = serde_json::from_str(&said)?;
        let first = answer["causes"][0]["code"].as_str().unwrap_or_default();
        Ok((first.to_owned(), said))
    }

    /// Asks until the first cause is the expected one.
    ///
    /// # Errors
    /// If another one stays the first.
    pub fn expect_why(&self, node: &str, expected: &str) -> anyhow::Result<()> {
        let mut said = (String::new(), String::new());
        for _ in 0..100 {
            said = self.why(node)?;
            if said.0 == expected {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(200));
        }
        anyhow::bail!("expected {expected}: {}", said.1)
    }

    /// The events after this number, of a bastion that may be dead at the moment.
    ///
    /// # Errors
    /// If it stays dead.
    pub fn events_in_trouble(&self, after: u64) -> anyhow::Result<Vec<Event>> {
        retry(|| self.events_after(after))
    }

    /// Waits for an event after `after`; its number.
    ///
    /// # Errors
    /// If it does not come within [`PATIENCE`].
    pub fn wait_for(&self, after: u64, what: &str, is_it: impl Fn(&Event) -> bool) -> anyhow::Result<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let events = self.events_in_trouble(after)?;
            if let Some(event) = events.iter().find(|event| is_it(event)) {
                return Ok(event.seq);
            }
            // A step that fails because the bastion has just died is tried again by the node itself.
            ensure!(Instant::now() < deadline, "{what} was not seen");
            thread::sleep(Duration::from_millis(300));
        }
    }
}
