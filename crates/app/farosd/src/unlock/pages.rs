//! Answers as Tang: advertisements to whoever asks, recoveries by the policy of the site.

use std::{net::Ipv4Addr, sync::Arc};

use faros_http::Method;
use faros_model::{
    event::EventKind,
    ids::MacAddr,
    plan::Service,
    site::{Node, UnlockPolicy},
};
use faros_net::pages::{Ask, Page, Pages, Soon};
use faros_tang::{Hash, Route, Standing, Usage};
use faros_unlock::{Booting, Facts, Refusal, Seen, decide};
use jiff::Timestamp;
use serde_json::json;

use super::{Unlock, newest};
use crate::daemon::{Intent, Shared, lock};

/// Answers as Tang.
pub(crate) struct TangPages(pub(crate) Arc<Shared>);

impl TangPages {
    fn count(&self, label: &'static str) {
        if let Some(health) = self.0.counted.get(&Service::Unlock) {
            health.counter(label).add(1);
        }
    }

    /// Answers with the advertisement. A node that installs itself is about to bind its disks to what it says.
    async fn advertise(&self, from: Ipv4Addr, asked: Option<&str>) -> Page {
        let unlock = &self.0.unlock;
        let (Some(intent), Some((text, key))) = (self.0.serves(Service::Unlock), unlock.advertisement(asked))
        else {
            return Page::Status(503);
        };
        let Some(text) = text else {
            return Page::Status(404);
        };
        self.count("advertisements");
        let mac = faros_kernel::neighbors::mac_of(from);
        let is_it = |node: &&Node| node.address == from && node.has_mac(mac);
        let node = intent.site.nodes.values().find(is_it);
        let binds = node.filter(|node| self.0.is_armed(&node.name));
        if let Some(node) = binds
            && let Err(error) = self.0.saw_binding(node, &key, Seen::Advertised).await
        {
            // Rather no disk than one whose key is retired because nobody remembers it.
            tracing::error!("{:#}", anyhow::Error::new(error));
            return Page::Status(503);
        }
        if node.is_some() {
            let detail = json!({ "keys": key, "address": from });
            self.0.saw(
                from,
                node.map(|node| node.boot_mac),
                EventKind::UnlockAdvertised,
                detail,
            );
        }
        Page::Text {
            content_type: faros_tang::ADVERTISEMENT_TYPE,
            text,
        }
    }

    async fn recover(&self, from: Ipv4Addr, asked: &str, body: Vec<u8>) -> Page {
        let unlock = &self.0.unlock;
        // A site's worth of nodes may ask at once. Those that wait do nothing, so that whoever wants an address or a
        // name meanwhile need not wait for all of them.
        let Ok(turn) = unlock.work.acquire().await else {
            return Page::Status(503);
        };
        let (Some(intent), Some(tables)) = (self.0.serves(Service::Unlock), unlock.tables()) else {
            return Page::Status(503);
        };
        let now = self.0.sightings.now();
        let node = intent.site.nodes.values().find(|node| node.address == from);
        let mac = faros_kernel::neighbors::mac_of(from);
        if let Err(refusal) = self.admit(&intent, node, mac, asked, now) {
            return self.refuse(from, asked, refusal, now);
        }
        let key = asked.to_owned();
        let done = tokio::task::spawn_blocking(move || tables.recover(&key, &body)).await;
        let recovery = match done {
            Ok(Ok(recovery)) => recovery,
            Ok(Err(error)) => {
                self.count(error.label());
                let refusal = match error {
                    faros_tang::RecoverError::UnknownKey => Refusal::UnknownKey,
                    _ => Refusal::Malformed,
                };
                self.refuse(from, asked, refusal, now);
                return Page::Status(error.status());
            }
            Err(error) => {
                tracing::error!(%error, "a recovery did not end");
                return Page::Status(500);
            }
        };
        // What follows waits for the disk, and many may do that together.
        drop(turn);
        // It may have been set meanwhile.
        if unlock.lockdown().is_some() {
            return self.refuse(from, asked, Refusal::LockedDown, now);
        }
        let key = recovery.key.to_string();
        if let Some(node) = node.filter(|node| node.has_mac(mac))
            && let Err(error) = self.0.saw_binding(node, &key, Seen::Recovered).await
        {
            // The disk is bound whether or not it is remembered; a node that waits helps nobody.
            tracing::error!("{:#}", anyhow::Error::new(error));
        }
        self.count("recoveries");
        let rotated = recovery.standing == Standing::Hidden;
        let detail = json!({ "key": key, "rotated": rotated, "address": from });
        self.0.saw(
            from,
            node.map(|node| node.boot_mac),
            EventKind::UnlockRecovered,
            detail,
        );
        Page::Text {
            content_type: faros_tang::RECOVERY_TYPE,
            text: recovery.text,
        }
    }

    /// Decides by the policy of the site; what is let through is counted.
    fn admit(
        &self,
        intent: &Intent,
        node: Option<&Node>,
        mac: Option<MacAddr>,
        asked: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let unlock = &self.0.unlock;
        let booting = node.map_or(Booting::Never, |node| {
            let tracker = lock(&self.0.tracker);
            tracker
                .life(&node.name)
                .map_or(Booting::Never, faros_boot::Life::booting)
        });
        let booting = match node {
            Some(node) if booting != Booting::Closed && unlock.is_rebinding(&node.name, now) => {
                Booting::Rebinding
            }
            _ => booting,
        };
        let key = unlock.exchange_key(asked);
        let is_bound = node.zip(key.as_ref()).is_some_and(|(node, key)| {
            let ledger = lock(&unlock.ledger);
            ledger.is_bound(&node.name, key)
        });
        let mut recent = lock(&unlock.recent);
        let facts = Facts {
            now,
            policy: intent.site.unlock.policy,
            locked_down: unlock.lockdown().is_some(),
            node,
            mac,
            booting,
            is_key: key.is_some(),
            is_bound,
            recent: node.map_or(0, |node| recent.count(&node.name, now)),
        };
        decide(&facts)?;
        // Where anyone is helped there is no limit to hold anyone to.
        if let Some(node) = node.filter(|_| facts.policy != UnlockPolicy::Anyone) {
            recent.admitted(&node.name, now);
        }
        Ok(())
    }

    fn refuse(&self, from: Ipv4Addr, key: &str, refusal: Refusal, now: Timestamp) -> Page {
        self.count(refusal.label());
        let Some(repeated) = lock(&self.0.unlock.told).refused(from, refusal, now) else {
            return Page::Status(refusal.status());
        };
        let detail = json!({
            "reason": refusal.as_str(), "message": refusal.message(), "key": key, "address": from, "repeated": repeated,
        });
        // By its address alone: whoever was refused need not be the node.
        self.0.saw(from, None, EventKind::UnlockRefused, detail);
        Page::Status(refusal.status())
    }
}

impl Pages for TangPages {
    fn serves(&self, from: Ipv4Addr) -> bool {
        let intent = self.0.current();
        intent.is_some_and(|intent| {
            intent.site.lan.subnet.contains(from) && from != intent.site.lan.addresses.bastion
                || intent.site.unlock.policy == UnlockPolicy::Anyone
        })
    }

    fn page(&self, ask: Ask) -> Soon<'_, Page> {
        Box::pin(async move {
            match (faros_tang::route(&ask.path), ask.method) {
                (Route::Advertisement(asked), Method::Get) => self.advertise(ask.from, asked).await,
                (Route::Recovery(asked), Method::Post) => self.recover(ask.from, asked, ask.body).await,
                (Route::Unknown, _) => Page::Status(404),
                (Route::Advertisement(_) | Route::Recovery(_), _) => Page::Status(405),
            }
        })
    }
}

impl Unlock {
    /// What is advertised, and the key to which whoever believes it binds; `None` while the keys are sealed. The
    /// text is `None` if there is none that the asked key signs.
    fn advertisement(&self, asked: Option<&str>) -> Option<(Option<String>, String)> {
        let keys = self.keeper.held()?;
        let key = newest(&keys.ring, Usage::Exchange)?.thumbprint().to_string();
        Some((keys.tables.advertisement(asked).map(str::to_owned), key))
    }

    /// The exchange key of that name, as the ledger names it: by SHA-256. clevis asks by the hash that it was bound
    /// with.
    fn exchange_key(&self, asked: &str) -> Option<String> {
        let keys = self.keeper.held()?;
        let mut own = keys.ring.keys().filter(|key| key.usage() == Usage::Exchange);
        let is_it = |key: &&faros_tang::Key| Hash::ALL.iter().any(|hash| key.thumbprint_by(*hash) == asked);
        own.find(is_it).map(|key| key.thumbprint().to_string())
    }
}
