//! Tells when nodes are short of something, and when no longer.
//!
//! What was seen last is compared with what is seen; of a node that was not seen yet, since this program has begun, with
//! what was told last. So a shortage that ended in the meantime is told to be over.

use faros_kube::NodeFacts;
use faros_model::{
    event::{Event, EventKind},
    ids::HostName,
    site::Site,
};
use faros_store::EventQuery;
use serde_json::json;

use crate::{
    daemon::{Shared, lock},
    pages::reading,
};

/// What a node is short of, and what is said of that.
type Short = Option<(&'static str, String)>;

impl Shared {
    /// Tells what nodes are short of, if that is another than before. A silent one is short of what it was.
    pub(super) async fn tell_pressure(&self, site: &Site, nodes: &mut [NodeFacts]) -> anyhow::Result<()> {
        for facts in nodes {
            let Some(node) = site.nodes.values().find(|node| node.name.as_str() == facts.name) else {
                continue;
            };
            let seen = {
                let view = lock(&self.cluster.view);
                let was = view.nodes.iter().find(|own| own.name == facts.name);
                was.map(|was| was.short_of.clone())
            };
            let before = match seen {
                Some(before) => before,
                None => told(
                    self.last_told(Some(&node.name), EventKind::NodePressure)
                        .await?
                        .as_ref(),
                ),
            };
            if !facts.is_heard {
                // Kubernetes knows no more of it than before.
                facts.short_of = before;
                continue;
            }
            if of(&before) != of(&facts.short_of) {
                let (of, message) = facts.short_of.clone().unwrap_or_default();
                let detail = json!({ "of": of, "message": message });
                self.tell_of(node, EventKind::NodePressure, detail);
            }
        }
        Ok(())
    }

    /// The last event of a kind, of a node or of the site, from whichever run of this program.
    pub(super) async fn last_told(
        &self,
        node: Option<&HostName>,
        kind: EventKind,
    ) -> anyhow::Result<Option<Event>> {
        let query = EventQuery {
            node: node.cloned(),
            kind: Some(kind),
            limit: 1,
            ..EventQuery::default()
        };
        let found = reading(self, move |store| store.events(&query)).await?;
        Ok(found.into_iter().next())
    }
}

fn of(short: &Short) -> Option<&'static str> {
    short.as_ref().map(|(of, _)| *of)
}

/// What the history says that a node is short of.
fn told(last: Option<&Event>) -> Short {
    let word = |key: &str| last.and_then(|event| event.detail.get(key)?.as_str());
    let of = ["disk", "memory", "pids"]
        .into_iter()
        .find(|of| word("of") == Some(of))?;
    Some((of, word("message").unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_is_open_until_its_end_is_told() {
        let event = |detail: serde_json::Value| Event {
            seq: 1,
            at: jiff::Timestamp::UNIX_EPOCH,
            node: None,
            session: None,
            kind: EventKind::NodePressure,
            detail: detail.as_object().cloned().unwrap_or_default(),
        };
        let open = event(json!({ "of": "disk", "message": "kubelet has disk pressure" }));
        assert_eq!(
            told(Some(&open)),
            Some(("disk", "kubelet has disk pressure".to_owned()))
        );
        let over = event(json!({ "of": "", "message": "" }));
        assert_eq!(told(Some(&over)), None);
        assert_eq!(told(None), None);
    }
}
