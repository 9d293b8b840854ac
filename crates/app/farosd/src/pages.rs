//! What network boot gives to whom.
//!
//! Who asks is known by its address: a node has its own, by reservation, from its first packet on. Only an
//! armed node gets what installs it; the rest is answered with nothing, and told.

mod install;

use std::{net::Ipv4Addr, sync::Arc};

use faros_cluster::{Said, upgrade};
use faros_http::{Method, Route, route};
use faros_kernel::neighbors;
use faros_model::{
    event::EventKind,
    ids::{ContentName, Digest, HostName, MacAddr},
    plan::Service,
    site::{ContentPolicy, Node, UnlockBy},
};
use faros_net::pages::{Ask, Ended, Loaders, OpenFile, Page, Pages, Soon};
use faros_store::{OpenContent, Store, StoreError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::daemon::{Intent, Shared, lock};

/// What a node says of its packet filter.
pub(crate) const FILTER: [&str; 3] = ["filtered", "filterChanged", "filter"];

/// Answers for the network boot and Ignition services.
pub(crate) struct Bastion(pub(crate) Arc<Shared>);

impl Bastion {
    async fn boot_script(&self, from: Ipv4Addr, mac: MacAddr) -> Page {
        let Some(intent) = self.0.serves(Service::Netboot) else {
            return Page::Status(503);
        };
        let (action, reason, text) = match intent.site.node_by_mac(mac) {
            None => {
                let reason = "this machine is not in the site file";
                ("nothing", reason.to_owned(), faros_render::nothing_script(reason))
            }
            Some(node) if !self.0.is_armed(&node.name) => {
                let reason = format!("{} is not armed", node.name);
                // Without its image, the firmware has to find the disk.
                let image = self.0.store.image(&node.image).await.ok().flatten();
                let script = faros_render::local_disk_script(&intent.site, image.as_ref(), &reason);
                ("local-disk", reason, script)
            }
            Some(node) => match self.install_script(&intent, node, from).await {
                Ok(script) => ("install", format!("{} is armed", node.name), script),
                Err(why) => ("nothing", why.clone(), faros_render::nothing_script(&why)),
            },
        };
        let detail = json!({ "mac": mac, "action": action, "reason": reason });
        self.0.saw(from, Some(mac), EventKind::BootScriptServed, detail);
        Page::Text {
            content_type: "text/plain",
            text,
        }
    }

    /// Opens content by its digest, for a client that may have it.
    async fn content(&self, from: Ipv4Addr, digest: Digest) -> Page {
        let Some(intent) = self.0.serves(Service::Netboot) else {
            return Page::Status(503);
        };
        if intent.site.content == ContentPolicy::WhileArmed {
            let Some(node) = node_at(&intent, from) else {
                return Page::Status(403);
            };
            // What starts a machine's own disk is for those that are not armed.
            let is_local_boot = || async {
                let image = self.0.store.image(&node.image).await.ok().flatten();
                let program = image.and_then(|image| image.local_boot);
                program.is_some_and(|program| program.digest == digest)
            };
            // And the programs of its next version for the node at its turn in an upgrade.
            let is_upgraded = || async {
                let record = self.0.cluster.deciding.lock().await;
                let upgrade = record.upgrade.as_ref();
                upgrade.is_some_and(|upgrade| upgrade.work_of(&node.name).is_some())
            };
            if !self.0.is_armed(&node.name) && !is_local_boot().await && !is_upgraded().await {
                return Page::Status(403);
            }
        }
        let name = match self.0.store.name_of(digest).await {
            Ok(name) => name,
            Err(error) => {
                tracing::error!("{:#}", anyhow::Error::new(error));
                return Page::Status(500);
            }
        };
        let name = name.map_or_else(|| digest.to_string(), |name| name.to_string());
        match self.0.store.open_blob(digest).await {
            Ok(opened) => Page::File(OpenFile {
                file: Arc::new(opened.file),
                name,
                size: opened.size,
                digest: opened.digest,
            }),
            Err(error) => Page::Status(self.0.content_fails(&error, &name, digest)),
        }
    }

    async fn report(&self, from: Ipv4Addr, name: &HostName, body: &[u8]) -> Page {
        let Some(intent) = self.0.serves(Service::Netboot) else {
            return Page::Status(503);
        };
        let node = intent.site.nodes.get(name);
        let Some(node) = node.filter(|node| node.address == from && node.has_mac(neighbors::mac_of(from)))
        else {
            return Page::Status(403);
        };
        let Some((report, mut said)) = faros_boot::read_report(body) else {
            return Page::Status(400);
        };
        said.insert("node".into(), json!(name));
        // Life signs come all the time; only one that changes something is an event.
        let filter = FILTER.map(|key| said.get(key).cloned());
        let is_other = filter != FILTER.map(|_| None) && {
            let before = lock(&self.0.filters).insert(name.clone(), filter.clone());
            before.is_some_and(|before| before != filter)
        };
        let is_news = report != "alive" || is_other || lock(&self.0.tracker).is_news(name);
        // Disarmed before the answer leaves: a node that knows that it is installed is never installed again.
        if report == "installed" {
            if let Err(error) = self.wiped(node).await {
                tracing::error!(node = %name, "{error:#}");
                return Page::Status(503);
            }
            match self.0.store.installed(name.clone(), Timestamp::now()).await {
                Ok(was_armed) => {
                    if let Err(error) = self.0.reload_armed() {
                        tracing::error!("{:#}", anyhow::Error::new(error));
                    }
                    if was_armed {
                        let detail = json!({ "node": name, "by": "farosd", "reason": "installed" });
                        self.0
                            .saw(from, Some(node.boot_mac), EventKind::NodeDisarmed, detail);
                    }
                }
                Err(error) => {
                    tracing::error!(node = %name, "{:#}", anyhow::Error::new(error));
                    return Page::Status(503);
                }
            }
        }
        if report == "rebound"
            && let Some(thumbprint) = said.get("thumbprint").and_then(Value::as_str)
            && let Err(error) = self.0.node_rebound(node, thumbprint).await
        {
            tracing::error!(node = %name, "{:#}", anyhow::Error::new(error));
            return Page::Status(503);
        }
        // Whatever it is told when it can ask again is news.
        if report == "join-stuck"
            && let Some(own) = lock(&self.0.cluster.asked).get_mut(name)
        {
            own.told = None;
        }
        if let Some(joins) = Said::of(&report, &said) {
            match self.0.cluster_said(name, joins).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => {
                    tracing::warn!(node = %name, report, "what the node says of its joining is not taken: {why}");
                    return Page::Status(409);
                }
                Err(error) => {
                    tracing::error!(node = %name, "{error:#}");
                    return Page::Status(503);
                }
            }
        }
        if let Some(said) = upgrade::Said::of(&report, &said)
            && let Err(error) = self.0.upgrade_said(name, said).await
        {
            tracing::error!(node = %name, "{error:#}");
            return Page::Status(503);
        }
        if is_news {
            let said = Value::Object(said);
            self.0.saw(from, Some(node.boot_mac), EventKind::NodeReport, said);
        }
        match self.orders(&intent, node, &report).await {
            Some(orders) => Page::Text {
                content_type: "application/json",
                text: orders.to_string(),
            },
            None => Page::Status(204),
        }
    }

    /// Has the ledger forget what the node's disks depended on before this install, which began with its config.
    async fn wiped(&self, node: &Node) -> anyhow::Result<()> {
        let name = node.name.clone();
        let pass = reading(&self.0, move |store| store.pass(&name)).await?;
        // A node that is not armed did not install itself just now, whatever it says.
        let began = pass
            .and_then(|pass| pass.used)
            .filter(|_| self.0.is_armed(&node.name));
        if let Some(began) = began {
            self.0.node_wiped(node, began).await?;
        }
        Ok(())
    }

    /// What a node that runs from its disk is asked to do.
    async fn orders(&self, intent: &Intent, node: &Node, report: &str) -> Option<Value> {
        if !matches!(report, "started" | "alive") || !node.encryption.of.contains(&UnlockBy::Tang) {
            return None;
        }
        let thumbprint = self.0.unlock.thumbprint()?.to_string();
        if let Err(error) = self.0.node_may_rebind(node, &thumbprint).await {
            // It asks again in a few minutes.
            tracing::error!(node = %node.name, "{:#}", anyhow::Error::new(error));
            return None;
        }
        let url = faros_render::unlock_url(&intent.site);
        let rebind = self.0.unlock.has_to_rebind(&node.name);
        Some(json!({ "unlock": { "thumbprint": thumbprint, "url": url, "rebind": rebind } }))
    }

    async fn named(&self, name: &ContentName) -> Result<OpenFile, u16> {
        match self.0.store.open_content(name).await {
            Ok(opened) => Ok(OpenFile {
                file: Arc::new(opened.file),
                name: name.to_string(),
                size: opened.size,
                digest: opened.digest,
            }),
            Err(error) => Err(self.0.content_fails(&error, name.as_str(), Digest([0; 32]))),
        }
    }
}

/// Reads from the store where it holds up nobody: another reader may have much to read.
pub(crate) async fn reading<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
) -> anyhow::Result<T> {
    let store = shared.store.clone();
    Ok(tokio::task::spawn_blocking(move || read(&store)).await??)
}

/// The node that has this address.
fn node_at(intent: &Intent, address: Ipv4Addr) -> Option<&Node> {
    intent.site.nodes.values().find(|node| node.address == address)
}

impl Shared {
    /// The status of an answer in place of content that cannot be had; damage is told.
    pub(crate) fn content_fails(&self, error: &OpenContent, name: &str, digest: Digest) -> u16 {
        if let OpenContent::Missing(_) | OpenContent::NoName(_) = error {
            return 404;
        }
        tracing::error!(name, %digest, %error, "content cannot be served");
        if let OpenContent::Damaged { .. } = error {
            let detail = json!({ "name": name, "digest": digest, "found": error.to_string() });
            self.tell(EventKind::ContentDamaged, detail);
        }
        500
    }
}

impl Pages for Bastion {
    fn serves(&self, from: Ipv4Addr) -> bool {
        self.0
            .current()
            .is_some_and(|intent| intent.site.lan.subnet.contains(from))
    }

    fn page(&self, ask: Ask) -> Soon<'_, Page> {
        Box::pin(async move {
            match (&route(&ask.path), ask.method) {
                (Route::Report(node), Method::Post) => self.report(ask.from, node, &ask.body).await,
                (Route::Unknown, _) => Page::Status(404),
                // A look that takes nothing must not use a pass up.
                (_, Method::Post | Method::Other)
                | (Route::Report(_), _)
                | (Route::Ignition(..), Method::Head) => Page::Status(405),
                (Route::BootScript(mac), _) => self.boot_script(ask.from, *mac).await,
                (Route::Content(digest), _) => self.content(ask.from, *digest).await,
                (Route::Ignition(node, nonce), _) => self.ignition(ask.from, node, nonce).await,
                (Route::Loader(name), _) if self.0.serves(Service::Netboot).is_some() => {
                    self.named(name).await.map_or_else(Page::Status, Page::File)
                }
                (Route::Loader(_), _) => Page::Status(503),
            }
        })
    }

    fn progress(&self, from: Ipv4Addr, name: &str, bytes: u64, of: u64) {
        lock(&self.0.tracker).progress(from, name, bytes, of);
    }

    fn ended(&self, ended: Ended) {
        let Ended {
            from,
            file,
            bytes,
            of,
            elapsed,
            protocol,
            failed,
        } = ended;
        lock(&self.0.tracker).progress(from, &file.name, of, of);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (kind, detail) = match failed {
            Some(reason) => (
                EventKind::TransferFailed,
                json!({ "name": file.name, "bytes": bytes, "of": of, "reason": reason, "protocol": protocol }),
            ),
            None => {
                let kind = match file.name.rsplit('/').next().unwrap_or_default() {
                    _ if file.name.starts_with("loader/") => EventKind::LoaderFetched,
                    name if name.starts_with("vmlinuz") || name.starts_with("kernel") => {
                        EventKind::KernelFetched
                    }
                    name if name.starts_with("initramfs") || name.starts_with("initrd") => {
                        EventKind::InitramfsFetched
                    }
                    _ => EventKind::ContentFetched,
                };
                let detail = json!({
                    "name": file.name, "digest": file.digest, "bytes": bytes,
                    "milliseconds": milliseconds, "protocol": protocol,
                });
                (kind, detail)
            }
        };
        self.0.saw(from, None, kind, detail);
    }
}

impl Loaders for Bastion {
    fn mtu(&self) -> u16 {
        self.0.current().map_or(1500, |intent| intent.site.lan.mtu)
    }

    fn loader(&self, _from: Ipv4Addr, name: String) -> Soon<'_, Option<OpenFile>> {
        Box::pin(async move {
            self.0.serves(Service::Netboot)?;
            let name: ContentName = format!("loader/{name}").parse().ok()?;
            self.named(&name).await.ok()
        })
    }
}
