//! Which release of Kubernetes the site's nodes get.

use std::collections::BTreeMap;

use anyhow::Context as _;
use faros_cluster::{
    Images,
    version::{self, Wanted},
};
use faros_model::{
    api::Missing,
    ids::ContentName,
    kubernetes::{KubeVersion, Release},
    site::{Distribution, Node, Site},
};
use sha2::{Digest as _, Sha256};

use crate::{daemon::Shared, pages::reading};

/// What a node needs of the bastion to join, besides its config.
pub(crate) struct Ready {
    /// The programs and images.
    pub(crate) release: Release,
    /// The certificate of the site's authority.
    pub(crate) site_ca: String,
}

impl Shared {
    /// The release that the site file asks for; `None` for a site without a cluster of ours.
    ///
    /// # Errors
    /// What is missing, as a sentence without its full stop.
    pub(crate) async fn release_of(&self, site: &Site) -> Result<Option<Release>, String> {
        if site.cluster.distribution != Distribution::Kubeadm {
            return Ok(None);
        }
        let wanted = self.wanted_version(site)?;
        let found = async {
            let names = reading(self, faros_store::Store::contents).await?;
            let versions = names.iter().filter_map(|entry| {
                let version = entry.name.as_str().strip_prefix("kubernetes/")?;
                version.strip_suffix("/release.json")?.parse::<KubeVersion>().ok()
            });
            match wanted.of(versions) {
                None => anyhow::Ok(None),
                Some(version) => Ok(self.store.release(version).await?),
            }
        };
        let what = said(wanted);
        match found.await {
            Ok(Some(release)) => {
                Images::of(&release).map_err(|why| why.to_string())?;
                Ok(Some(release))
            }
            Ok(None) => Err(format!(
                "{what} is not in the content store; `farosctl content build kubernetes` brings it there"
            )),
            Err(error) => {
                tracing::error!("{error:#}");
                Err(format!("{what} cannot be read from the content store"))
            }
        }
    }

    /// The version that the site's nodes get: the cluster's own once there is one, until it is upgraded.
    fn wanted_version(&self, site: &Site) -> Result<Wanted, String> {
        match self.running_version()? {
            Some(version) => Ok(Wanted::Exactly(version)),
            None => version::wanted(site.cluster.version.as_deref())
                .map_err(|why| format!("the version of Kubernetes {why}")),
        }
    }

    /// The version of the cluster that there is. Whoever decides just now may wait for Kubernetes, and is not waited for.
    fn running_version(&self) -> Result<Option<KubeVersion>, String> {
        if let Ok(record) = self.cluster.deciding.try_lock() {
            return Ok(record.running());
        }
        match self.store.cluster() {
            Ok(record) => Ok(record.running()),
            Err(error) => {
                tracing::error!("{:#}", anyhow::Error::new(error));
                Err("the bastion's database cannot be read".to_owned())
            }
        }
    }

    /// Whether the cluster that there is could come to be what a site file asks for.
    ///
    /// # Errors
    /// Why it could not.
    pub(crate) fn goes_with_what_runs(&self, site: &Site) -> Result<(), String> {
        if site.cluster.distribution != Distribution::Kubeadm {
            return Ok(());
        }
        let Some(running) = self.running_version()? else {
            return Ok(());
        };
        let wanted = version::wanted(site.cluster.version.as_deref()).map_err(|why| why.to_string())?;
        wanted.follows(running).map_err(|why| why.to_string())
    }

    /// Content that these nodes of a site need to be installed, and that is not in the store.
    pub(crate) async fn missing<'a>(
        &self,
        site: &Site,
        nodes: impl Iterator<Item = &'a Node>,
    ) -> Vec<Missing> {
        let blocks = site.cluster.distribution == Distribution::Kubeadm;
        let mut images: BTreeMap<&ContentName, Vec<&Node>> = BTreeMap::new();
        for node in nodes {
            images.entry(&node.image).or_default().push(node);
        }
        let mut missing = Vec::new();
        for (image, nodes) in &images {
            if matches!(self.store.image(image).await, Ok(Some(_))) {
                continue;
            }
            missing.push(Missing {
                what: format!("the image {image}"),
                needed_by: nodes.iter().map(|node| node.name.clone()).collect(),
                command: command_for(image),
                blocks,
            });
        }
        let all: Vec<&Node> = images.into_values().flatten().collect();
        if blocks && !all.is_empty() {
            missing.extend(self.missing_release(site, &all).await);
        }
        missing
    }

    /// What of the release is missing: all of it, or images that were taken out of the store since.
    async fn missing_release(&self, site: &Site, nodes: &[&Node]) -> Vec<Missing> {
        match self.release_of(site).await {
            Ok(Some(release)) => self.missing_of_release(&release, nodes).await,
            Ok(None) => Vec::new(),
            Err(_) => {
                let wanted = self.wanted_version(site);
                wanted.map_or_else(|_| Vec::new(), |wanted| vec![no_release(wanted, nodes)])
            }
        }
    }

    /// What these nodes need of a release that is there, and that is missing.
    pub(super) async fn missing_of_release(&self, release: &Release, nodes: &[&Node]) -> Vec<Missing> {
        let mut missing = Vec::new();
        let others: Vec<&Node> = nodes
            .iter()
            .copied()
            .filter(|node| node.architecture != release.architecture)
            .collect();
        if let Some(first) = others.first() {
            let what = format!(
                "Kubernetes {} for {}",
                release.version,
                first.architecture.as_str()
            );
            missing.push(blocking(what, &others, Wanted::Exactly(release.version)));
        }
        for image in &release.images {
            let entry = image.name.tag_entry();
            let found = reading(self, move |store| store.content(&entry)).await;
            if matches!(found, Ok(None)) {
                let what = format!("the container image {}", image.name);
                missing.push(blocking(what, nodes, Wanted::Exactly(release.version)));
            }
        }
        missing
    }

    /// All that makes a node one that can join; `None` for a site without a cluster of ours.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) async fn ready_to_join(&self, site: &Site, node: &Node) -> Result<Option<Ready>, String> {
        let Some(release) = self.release_of(site).await? else {
            return Ok(None);
        };
        if release.architecture != node.architecture {
            return Err(format!(
                "Kubernetes {} in the content store is for {}, and {} is {}",
                release.version,
                release.architecture.as_str(),
                node.name,
                node.architecture.as_str()
            ));
        }
        let site_ca = self.site_ca().ok_or("the cluster's root keys are not open yet")?;
        Ok(Some(Ready { release, site_ca }))
    }
}

/// Something of a release without which no cluster can be.
fn blocking(what: String, nodes: &[&Node], wanted: Wanted) -> Missing {
    Missing {
        what,
        needed_by: nodes.iter().map(|node| node.name.clone()).collect(),
        command: build(wanted),
        blocks: true,
    }
}

/// A release that is not there at all.
pub(super) fn no_release(wanted: Wanted, nodes: &[&Node]) -> Missing {
    blocking(said(wanted), nodes, wanted)
}

/// A version that is wanted, in words.
fn said(wanted: Wanted) -> String {
    match wanted {
        Wanted::Newest => "a release of Kubernetes".to_owned(),
        Wanted::Minor(minor) => format!("Kubernetes v1.{minor}"),
        Wanted::Exactly(version) => format!("Kubernetes {version}"),
    }
}

/// The command that brings a release.
fn build(wanted: Wanted) -> String {
    match wanted {
        Wanted::Newest => "farosctl content build kubernetes".to_owned(),
        Wanted::Minor(minor) => format!("farosctl content build kubernetes --version v1.{minor}.PATCH"),
        Wanted::Exactly(version) => format!("farosctl content build kubernetes --version {version}"),
    }
}

/// The command that brings an image of nodes.
fn command_for(image: &ContentName) -> String {
    match image.as_str() {
        "debian-13" => "farosctl image build".to_owned(),
        "debian-13-cloud" => "farosctl image build --kernel cloud".to_owned(),
        other => format!("farosctl content add ./{other}/"),
    }
}

/// A secret for one installation of a node, and its digest, which is what the bastion keeps.
pub(crate) fn secret() -> anyhow::Result<(String, faros_model::ids::Digest)> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits).context("there is no randomness")?;
    let text = faros_model::ids::Digest(bits).to_string();
    let digest = digest(text.as_bytes());
    Ok((text, digest))
}

/// SHA-256 of a secret that somebody shows.
pub(crate) fn digest(bytes: &[u8]) -> faros_model::ids::Digest {
    faros_model::ids::Digest(Sha256::digest(bytes).into())
}
