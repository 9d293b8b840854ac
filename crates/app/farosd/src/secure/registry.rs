//! The registry: gives nodes their container images from the content store, by `faros_registry`'s rules.
//!
//! The policy `content.serve` is for what installs a machine; images are needed for as long as a node lives, so the
//! site's nodes may pull always, known by address and MAC. Who else may is what the site file opens the port to
//! (`lan.firewall`, `registry`), and the bastion itself. Bytes are given only as part of a repository, and only if they
//! are what the digest says.

use std::{
    io::Read as _,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use faros_http::Method;
use faros_model::{
    event::EventKind,
    ids::{ContentName, Digest},
    plan::Service,
    site::{LanService, LanSource, Site},
};
use faros_net::pages::{Ask, OpenFile, Page, Said};
use faros_registry::{
    API_VERSION, Code, MAX_MANIFEST, MediaType, Reference, Refusal, Repository, Route, accepts, catalog,
    list, media_type, next_link, route, tags,
};
use faros_store::{OpenContent, Opened};
use faros_unlock::Told;
use jiff::Timestamp;
use serde_json::json;

use crate::{
    daemon::{Intent, Shared, lock},
    pages::reading,
};

/// Gives images.
pub(super) struct Images {
    shared: Arc<Shared>,
    told: Mutex<Told<String>>,
}

impl Images {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            told: Mutex::default(),
        }
    }

    pub(super) async fn page(&self, intent: &Intent, ask: &Ask) -> Page {
        let answer = if may_pull(&intent.site, ask.from) {
            self.answer(&intent.site, ask).await
        } else {
            let refusal = Refusal::new(Code::Denied, "images are for the nodes of this site");
            self.tell(ask, "denied");
            Err(refusal)
        };
        answer.unwrap_or_else(|refusal| {
            self.count(refusal.code);
            let mut said = json_said();
            if refusal.code == Code::Unsupported {
                said.fields.push(("Allow", "GET, HEAD".to_owned()));
            }
            Page::Answer {
                status: refusal.code.status(),
                said,
                text: refusal.json(),
            }
        })
    }

    async fn answer(&self, site: &Site, ask: &Ask) -> Result<Page, Refusal> {
        let zone = site.zone();
        let (registry, bastion) = (format!("registry.{zone}"), format!("bastion.{zone}"));
        let address = site.lan.addresses.bastion.to_string();
        let own = [registry.as_str(), &bastion, &address];
        let reads = matches!(ask.method, Method::Get | Method::Head);
        match route(reads, &ask.path, ask.query.as_deref(), &own)? {
            Route::Base => Ok(Page::Answer {
                status: 200,
                said: json_said(),
                text: "{}".to_owned(),
            }),
            Route::Catalog(page) => {
                let all = catalog(&self.names().await?);
                let listed = list(&all, &page);
                Ok(list_page(
                    next_link(&ask.path, &page, &listed),
                    listed.catalog_json(),
                ))
            }
            Route::Tags(repository, page) => {
                let names = self.names().await?;
                let all = tags(&repository, &names).ok_or_else(|| {
                    Refusal::new(Code::NameUnknown, format!("there is no image {repository}"))
                })?;
                let listed = list(&all, &page);
                let text = listed.tags_json(name_in(&ask.path));
                Ok(list_page(next_link(&ask.path, &page, &listed), text))
            }
            Route::Manifest(repository, reference) => self.manifest(ask, &repository, &reference).await,
            Route::Blob(repository, digest) => self.blob(ask, &repository, digest).await,
            // Nothing says anything of an image here; clients that look for signatures want to hear just that.
            Route::Referrers(..) => {
                let kind = MediaType::OciIndex.as_str();
                Ok(Page::Answer {
                    status: 200,
                    said: Said {
                        content_type: kind.to_owned(),
                        fields: vec![],
                    },
                    text: json!({ "schemaVersion": 2, "mediaType": kind, "manifests": [] }).to_string(),
                })
            }
        }
    }

    async fn manifest(
        &self,
        ask: &Ask,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Page, Refusal> {
        let (name, digest) = match reference {
            Reference::Tag(tag) => {
                let name = format!("{repository}:{}", tag.as_str());
                (name, self.entry(repository.tag_entry(tag)).await?)
            }
            Reference::Digest(digest) => {
                let name = format!("{repository}@sha256:{digest}");
                let found = self.entry(repository.manifest_entry(*digest)).await?;
                let found = match found.filter(|found| found == digest) {
                    None if self.has_tag_of(repository, *digest).await? => Some(*digest),
                    found => found,
                };
                (name, found)
            }
        };
        let unknown = |why: &str| Refusal::new(Code::ManifestUnknown, format!("{name} {why}"));
        let Some(digest) = digest else {
            self.tell_of(ask, &name, "unknown");
            return Err(unknown("is not in the content store of this site"));
        };
        let opened = self.open(ask, &name, digest).await?;
        let (opened, kind) = kind_of(opened)
            .await
            .ok_or_else(|| unknown("is no manifest of an image"))?;
        if !accepts(&ask.accept, kind) {
            self.tell_of(ask, &name, "unreadable");
            let kind = kind.as_str();
            return Err(unknown(&format!(
                "is of the type {kind}, which the client does not accept"
            )));
        }
        Ok(described(opened, name, kind.as_str()))
    }

    async fn blob(&self, ask: &Ask, repository: &Repository, digest: Digest) -> Result<Page, Refusal> {
        let name = format!("{repository}@sha256:{digest}");
        let found = self.entry(repository.blob_entry(digest)).await?;
        if found != Some(digest) {
            self.tell_of(ask, &name, "unknown");
            return Err(Refusal::new(
                Code::BlobUnknown,
                format!("{name} is not in the content store of this site"),
            ));
        }
        let opened = self.open(ask, &name, digest).await?;
        Ok(described(opened, name, "application/octet-stream"))
    }

    /// What an entry of the store has.
    async fn entry(&self, name: Option<ContentName>) -> Result<Option<Digest>, Refusal> {
        let Some(name) = name else { return Ok(None) };
        let entry = reading(&self.shared, move |store| store.content(&name)).await;
        Ok(entry.map_err(|error| failed(&error))?.map(|entry| entry.digest))
    }

    /// Whether a tag of the repository stands for this manifest.
    async fn has_tag_of(&self, repository: &Repository, digest: Digest) -> Result<bool, Refusal> {
        let entries = reading(&self.shared, faros_store::Store::contents).await;
        let names: Vec<ContentName> = entries
            .map_err(|error| failed(&error))?
            .into_iter()
            .filter(|entry| entry.digest == digest)
            .map(|entry| entry.name)
            .collect();
        Ok(tags(repository, &names).is_some())
    }

    async fn names(&self) -> Result<Vec<ContentName>, Refusal> {
        let entries = reading(&self.shared, faros_store::Store::contents).await;
        Ok(entries
            .map_err(|error| failed(&error))?
            .into_iter()
            .map(|entry| entry.name)
            .collect())
    }

    /// Opens what a digest names, after it was checked once in this run.
    async fn open(&self, ask: &Ask, name: &str, digest: Digest) -> Result<Opened, Refusal> {
        self.shared.store.open_blob(digest).await.map_err(|error| {
            let word = match error {
                OpenContent::Missing(_) => "unknown",
                OpenContent::Damaged { .. } => "damaged",
                _ => "unreadable",
            };
            self.tell_of(ask, name, word);
            match self.shared.content_fails(&error, name, digest) {
                404 => Refusal::new(
                    Code::BlobUnknown,
                    format!("{name} is gone from the content store"),
                ),
                _ => Refusal::new(Code::Unknown, format!("{name}: {error}")),
            }
        })
    }

    /// Tells that an image was not given, and why.
    fn tell_of(&self, ask: &Ask, name: &str, reason: &str) {
        let what = format!("{reason} {name}");
        let Some(repeated) = lock(&self.told).refused(ask.from, what, Timestamp::now()) else {
            return;
        };
        let detail = json!({ "image": name, "reason": reason, "repeated": repeated });
        self.shared.saw(ask.from, None, EventKind::ImageRefused, detail);
    }

    /// Tells that somebody is given nothing, whatever the image: whoever they are, they do not fill the history.
    fn tell(&self, ask: &Ask, reason: &str) {
        let Some(repeated) = lock(&self.told).refused(ask.from, reason.to_owned(), Timestamp::now()) else {
            return;
        };
        let detail = json!({ "image": "", "reason": reason, "repeated": repeated });
        self.shared.saw(ask.from, None, EventKind::ImageRefused, detail);
    }

    fn count(&self, code: Code) {
        let label = match code {
            Code::Denied => "registry_denied",
            Code::Unsupported => "registry_unsupported",
            Code::BlobUnknown | Code::ManifestUnknown | Code::NameUnknown => "registry_unknown",
            Code::DigestInvalid | Code::NameInvalid => "registry_invalid",
            Code::Unavailable | Code::Unknown => "registry_failed",
        };
        if let Some(health) = self.shared.counted.get(&Service::Registry) {
            health.counter(label).add(1);
        }
    }
}

/// Whether a client may have images.
fn may_pull(site: &Site, from: Ipv4Addr) -> bool {
    if from == site.lan.addresses.bastion {
        return true;
    }
    if let Some(node) = site.nodes.values().find(|node| node.address == from) {
        return node.has_mac(faros_kernel::neighbors::mac_of(from));
    }
    let is_bmc = || {
        let mut bmcs = site.nodes.values().filter_map(|node| node.bmc.as_ref());
        bmcs.any(|bmc| bmc.address == from)
    };
    let is_host = || site.lan.hosts.values().any(|host| host.address == from);
    sources(site).any(|source| match source {
        LanSource::Nodes => site.bootstrap() == Some(from),
        LanSource::Bmcs => is_bmc(),
        LanSource::Hosts => is_host(),
        LanSource::Unknown => site.lan.subnet.contains(from) && !is_bmc() && !is_host(),
        LanSource::Network(network) => network.contains(from),
    })
}

/// Whether a client outside of the LAN's subnet may have images.
pub(super) fn is_in_a_network_that_may_pull(site: &Site, from: Ipv4Addr) -> bool {
    sources(site).any(|source| matches!(source, LanSource::Network(network) if network.contains(from)))
}

/// To whom the registry's port is open.
fn sources(site: &Site) -> impl Iterator<Item = LanSource> {
    let open = faros_firewall::lan_services(site).into_iter();
    open.filter(|(_, services)| services.contains(&LanService::Registry))
        .map(|(source, _)| source)
}

/// What the name of a list is: what the client called it.
fn name_in(path: &str) -> &str {
    let name = path
        .strip_prefix("/v2/")
        .and_then(|rest| rest.strip_suffix("/tags/list"));
    name.unwrap_or_default()
}

fn failed(error: &anyhow::Error) -> Refusal {
    tracing::error!("{error:#}");
    Refusal::new(Code::Unavailable, "the index of the content store cannot be read")
}

/// Reads of what kind a manifest is, where it holds up nobody.
async fn kind_of(opened: Opened) -> Option<(Opened, MediaType)> {
    if opened.size > MAX_MANIFEST {
        return None;
    }
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        (&opened.file).take(MAX_MANIFEST).read_to_end(&mut bytes).ok()?;
        Some((opened, media_type(&bytes)?))
    });
    read.await.ok()?
}

fn described(opened: Opened, name: String, kind: &str) -> Page {
    let digest = format!("sha256:{}", opened.digest);
    Page::Described {
        file: OpenFile {
            file: Arc::new(opened.file),
            name,
            size: opened.size,
            digest: opened.digest,
        },
        said: Said {
            content_type: kind.to_owned(),
            fields: vec![("Docker-Content-Digest", digest), version()],
        },
    }
}

fn list_page(next: Option<String>, text: String) -> Page {
    let mut said = json_said();
    said.fields.extend(next.map(|next| ("Link", next)));
    Page::Answer {
        status: 200,
        said,
        text,
    }
}

fn json_said() -> Said {
    Said {
        content_type: "application/json".to_owned(),
        fields: vec![version()],
    }
}

fn version() -> (&'static str, String) {
    (API_VERSION.0, API_VERSION.1.to_owned())
}
