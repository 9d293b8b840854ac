//! What network boot gives to whom.
//!
//! Who asks is known by its address: a node has its own, by reservation, from its first packet on. Only an
//! armed node gets what installs it; the rest is answered with nothing, and told.

use std::{net::Ipv4Addr, sync::Arc};

use faros_http::{Method, Route};
use faros_model::{
    event::EventKind,
    ids::{ContentName, Digest, HostName, MacAddr},
    plan::Service,
    sighting::Sighting,
    site::{ContentPolicy, Node},
};
use faros_net::pages::{Ask, Ended, OpenFile, Page, Pages, Soon};
use faros_store::OpenContent;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::daemon::{Intent, Shared, lock};

/// Answers for the network boot and Ignition services.
pub(crate) struct Bastion(pub(crate) Arc<Shared>);

impl Bastion {
    fn served(&self, service: Service) -> Option<Arc<Intent>> {
        self.0
            .served
            .borrow()
            .get(&service)
            .filter(|intent| intent.site.runs(service))
            .cloned()
    }

    fn saw(&self, from: Ipv4Addr, mac: Option<MacAddr>, kind: EventKind, detail: Value) {
        let detail = if let Value::Object(detail) = detail {
            detail
        } else {
            Map::new()
        };
        self.0.sightings.send(Sighting {
            at: Timestamp::now(),
            mac,
            address: Some(from),
            kind,
            detail,
        });
    }

    async fn boot_script(&self, from: Ipv4Addr, mac: MacAddr) -> Page {
        let Some(intent) = self.served(Service::Netboot) else {
            return Page::Status(503);
        };
        let (action, reason, text) = match intent.site.node_by_mac(mac) {
            None => {
                let reason = "this machine is not in the site file";
                ("nothing", reason.to_owned(), faros_render::nothing_script(reason))
            }
            Some(node) if !self.0.is_armed(&node.name) => {
                let reason = format!("{} is not armed", node.name);
                (
                    "local-disk",
                    reason.clone(),
                    faros_render::local_disk_script(&reason),
                )
            }
            Some(node) => match self.0.store.image(&node.image).await {
                Ok(Some(image)) if image.architecture == node.architecture => {
                    let script = faros_render::install_script(&intent.site, node, &image);
                    ("install", format!("{} is armed", node.name), script)
                }
                Ok(image) => {
                    let why = match image {
                        None => format!("the image {} is not in the content store", node.image),
                        Some(image) => {
                            format!("the image {} is for {}", node.image, image.architecture.as_str())
                        }
                    };
                    ("nothing", why.clone(), faros_render::nothing_script(&why))
                }
                Err(error) => {
                    let why = format!("the image {} cannot be used", node.image);
                    tracing::error!(node = %node.name, "{:#}", anyhow::Error::new(error).context(why.clone()));
                    ("nothing", why.clone(), faros_render::nothing_script(&why))
                }
            },
        };
        let detail = json!({ "mac": mac, "action": action, "reason": reason });
        self.saw(from, Some(mac), EventKind::BootScriptServed, detail);
        Page::Text {
            content_type: "text/plain",
            text,
        }
    }

    /// Opens content by its digest, for a client that may have it.
    async fn content(&self, from: Ipv4Addr, digest: Digest) -> Page {
        let Some(intent) = self.served(Service::Netboot) else {
            return Page::Status(503);
        };
        if intent.site.content == ContentPolicy::WhileArmed {
            let node = node_at(&intent, from);
            if !node.is_some_and(|node| self.0.is_armed(&node.name)) {
                return Page::Status(403);
            }
        }
        let name = match self.0.store.contents() {
            Ok(entries) => entries
                .into_iter()
                .find(|entry| entry.digest == digest)
                .map(|entry| entry.name),
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
            Err(error) => Page::Status(self.refused(&error, &name, digest)),
        }
    }

    fn refused(&self, error: &OpenContent, name: &str, digest: Digest) -> u16 {
        if let OpenContent::Missing(_) | OpenContent::NoName(_) = error {
            return 404;
        }
        tracing::error!(name, %digest, %error, "content cannot be served");
        if let OpenContent::Damaged { .. } = error {
            let detail = json!({ "name": name, "digest": digest, "found": error.to_string() });
            self.0.tell(EventKind::ContentDamaged, detail);
        }
        500
    }

    fn ignition(&self, from: Ipv4Addr, name: &HostName) -> Page {
        let Some(intent) = self.served(Service::Ignition) else {
            return Page::Status(503);
        };
        let reason = match intent.site.nodes.get(name) {
            None => "there is no such node",
            Some(node) if node.address != from => "another machine asked for it",
            Some(_) if !self.0.is_armed(name) => "the node is not armed",
            Some(node) => {
                let text = faros_render::ignition(&intent.site, node);
                let detail = json!({ "node": name, "bytes": text.len() });
                self.saw(from, Some(node.boot_mac), EventKind::IgnitionServed, detail);
                return Page::Text {
                    content_type: "application/vnd.coreos.ignition+json",
                    text,
                };
            }
        };
        let detail = json!({ "node": name, "address": from, "reason": reason });
        self.saw(from, None, EventKind::IgnitionRefused, detail);
        // What is not for the client does not exist for it.
        Page::Status(404)
    }

    async fn report(&self, from: Ipv4Addr, name: &HostName, body: &[u8]) -> Page {
        let Some(intent) = self.served(Service::Netboot) else {
            return Page::Status(503);
        };
        let Some(node) = intent.site.nodes.get(name).filter(|node| node.address == from) else {
            return Page::Status(403);
        };
        let Ok(Value::Object(mut said)) = serde_json::from_slice::<Value>(body) else {
            return Page::Status(400);
        };
        let Some(report) = said.get("report").and_then(Value::as_str).map(str::to_owned) else {
            return Page::Status(400);
        };
        said.insert("node".into(), json!(name));
        // Disarmed before the answer leaves: a node that knows that it is installed is never installed again.
        if report == "installed" {
            match self.0.store.installed(name.clone(), Timestamp::now()).await {
                Ok(was_armed) => {
                    if let Err(error) = self.0.reload_armed() {
                        tracing::error!("{:#}", anyhow::Error::new(error));
                    }
                    if was_armed {
                        let detail = json!({ "node": name, "by": "farosd", "reason": "installed" });
                        self.saw(from, Some(node.boot_mac), EventKind::NodeDisarmed, detail);
                    }
                }
                Err(error) => {
                    tracing::error!(node = %name, "{:#}", anyhow::Error::new(error));
                    return Page::Status(503);
                }
            }
        }
        self.saw(
            from,
            Some(node.boot_mac),
            EventKind::NodeReport,
            Value::Object(said),
        );
        Page::Status(204)
    }

    async fn named(&self, name: &ContentName) -> Result<OpenFile, u16> {
        match self.0.store.open_content(name).await {
            Ok(opened) => Ok(OpenFile {
                file: Arc::new(opened.file),
                name: name.to_string(),
                size: opened.size,
                digest: opened.digest,
            }),
            Err(error) => Err(self.refused(&error, name.as_str(), Digest([0; 32]))),
        }
    }
}

/// The node that has this address.
fn node_at(intent: &Intent, address: Ipv4Addr) -> Option<&Node> {
    intent.site.nodes.values().find(|node| node.address == address)
}

impl Pages for Bastion {
    fn serves(&self, from: Ipv4Addr) -> bool {
        self.0
            .current()
            .is_some_and(|intent| intent.site.lan.subnet.contains(from))
    }

    fn mtu(&self) -> u16 {
        self.0.current().map_or(1500, |intent| intent.site.lan.mtu)
    }

    fn page(&self, ask: Ask) -> Soon<'_, Page> {
        Box::pin(async move {
            match (&ask.route, ask.method) {
                (Route::Report(node), Method::Post) => self.report(ask.from, node, &ask.body).await,
                (Route::Unknown, _) => Page::Status(404),
                (_, Method::Post) | (Route::Report(_), _) => Page::Status(405),
                (Route::BootScript(mac), _) => self.boot_script(ask.from, *mac).await,
                (Route::Content(digest), _) => self.content(ask.from, *digest).await,
                (Route::Ignition(node), _) => self.ignition(ask.from, node),
                (Route::Loader(name), _) if self.served(Service::Netboot).is_some() => {
                    self.named(name).await.map_or_else(Page::Status, Page::File)
                }
                (Route::Loader(_), _) => Page::Status(503),
            }
        })
    }

    fn loader(&self, _from: Ipv4Addr, name: String) -> Soon<'_, Option<OpenFile>> {
        Box::pin(async move {
            self.served(Service::Netboot)?;
            let name: ContentName = format!("loader/{name}").parse().ok()?;
            self.named(&name).await.ok()
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
        self.saw(from, None, kind, detail);
    }
}
