//! What the bastion serves over HTTPS on the LAN, on port 5000: [`registry`], and what nodes join the cluster with.
//!
//! One router for all of it: [`Area::of`] says from a path which area of the service is asked, and `page` has one arm
//! for each. A further area, as `/join/<node>`, is a variant there, an arm here, and a module beside `registry` that
//! takes the [`Intent`] and the [`Ask`] and gives a [`Page`]. Whoever is let in by [`Pages::serves`] is nobody yet:
//! each area judges by itself whom it answers.

mod admission;
mod join;
mod registry;
mod tend;

use std::{net::Ipv4Addr, sync::Arc};

use faros_model::plan::Service;
use faros_net::pages::{Ask, Page, Pages, Said, Soon};
use serde_json::{Value, json};

use self::registry::Images;
use crate::daemon::Shared;

/// Answers over HTTPS.
pub(crate) struct SecurePages {
    shared: Arc<Shared>,
    images: Images,
}

/// What is asked, by the first word of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Area {
    /// `/v2/…`: container images.
    Images,
    /// `/join/<node>`: what makes a node one of its cluster.
    Join,
    /// `/tend/<node>`: what a node that has joined is to do.
    Tend,
}

impl Area {
    fn of(path: &str) -> Option<Self> {
        match path.split('/').nth(1)? {
            "v2" => Some(Self::Images),
            "join" => Some(Self::Join),
            "tend" => Some(Self::Tend),
            _ => None,
        }
    }
}

impl SecurePages {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let images = Images::new(Arc::clone(&shared));
        Self { shared, images }
    }
}

impl Pages for SecurePages {
    fn serves(&self, from: Ipv4Addr) -> bool {
        let intent = self.shared.current();
        intent.is_some_and(|intent| {
            intent.site.lan.subnet.contains(from)
                || registry::is_in_a_network_that_may_pull(&intent.site, from)
        })
    }

    fn page(&self, ask: Ask) -> Soon<'_, Page> {
        Box::pin(async move {
            let Some(intent) = self.shared.serves(Service::Registry) else {
                return Page::Status(503);
            };
            match Area::of(&ask.path) {
                Some(Area::Images) => self.images.page(&intent, &ask).await,
                Some(Area::Join) => join::page(&self.shared, &intent, &ask).await,
                Some(Area::Tend) => tend::page(&self.shared, &intent, &ask).await,
                None => Page::Status(404),
            }
        })
    }
}

/// What somebody gets when the bastion itself is at fault; the reason is in its log.
fn failed(path: &str, error: &anyhow::Error) -> Page {
    tracing::error!(path, "{error:#}");
    answer(503, &json!({ "error": "the bastion cannot answer now" }))
}

/// An answer in JSON, which nobody keeps.
fn answer(status: u16, body: &Value) -> Page {
    Page::Answer {
        status,
        said: Said {
            content_type: "application/json".to_owned(),
            fields: vec![("Cache-Control", "no-store".to_owned())],
        },
        text: format!("{body}\n"),
    }
}
