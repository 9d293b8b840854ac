//! Which release of Kubernetes the site's nodes get.

use anyhow::Context as _;
use faros_cluster::{Images, version};
use faros_model::{
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
        let wanted = version::wanted(site.cluster.version.as_deref())
            .map_err(|why| format!("the version of Kubernetes {why}"))?;
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
        let what = match site.cluster.version.as_deref() {
            Some(version) => format!("Kubernetes {version}"),
            None => "a release of Kubernetes".to_owned(),
        };
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
