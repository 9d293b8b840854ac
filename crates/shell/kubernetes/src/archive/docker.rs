//! What `docker save` wrote before it wrote the OCI layout, and what `skopeo` and `podman` call `docker-archive`:
//! `manifest.json`, configs, and layers that are tar files.
//!
//! There is no manifest in it that a registry could serve, so one is made. It is the same for the same archive.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Seek, SeekFrom},
};

use faros_model::{
    ids::Digest,
    oci::{self, Descriptor, Manifest, Platform},
};
use serde::Deserialize;

use super::{Archive, BadArchive, Named, Paths, choose};
use crate::keep::{Hashing, digest};

/// An image in `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// What is looked at of a config.
#[derive(Debug, Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<String>,
}

impl<R: io::Read + Seek> Archive<R> {
    pub(super) fn docker(&mut self, platform: Option<&Platform>) -> Result<Vec<Named>, BadArchive> {
        let bytes = self.document("manifest.json")?;
        let saved: Vec<Saved> = serde_json::from_slice(&bytes).map_err(|source| BadArchive::Document {
            name: "manifest.json".to_owned(),
            source,
        })?;
        let mut named = Vec::new();
        for image in saved {
            let (manifest, parts) = self.saved(&image, platform)?;
            let tags = image.repo_tags.unwrap_or_default();
            let nameless = tags.is_empty().then_some(None);
            for name in tags.into_iter().map(Some).chain(nameless) {
                named.push(Named {
                    name,
                    manifest: manifest.clone(),
                    parts: parts.clone(),
                });
            }
        }
        Ok(named)
    }

    fn saved(&mut self, image: &Saved, platform: Option<&Platform>) -> Result<(Vec<u8>, Paths), BadArchive> {
        let document = |source| BadArchive::Document {
            name: image.config.clone(),
            source,
        };
        let bytes = self.document(&image.config)?;
        let own: Option<Platform> = serde_json::from_slice(&bytes).ok();
        choose(&image.config, vec![(own, ())], platform)?;
        let config: Config = serde_json::from_slice(&bytes).map_err(document)?;
        // It is named by its digest, in all versions.
        let name = image.config.rsplit('/').next().unwrap_or_default();
        let found = digest(&bytes);
        if name
            .trim_end_matches(".json")
            .parse::<Digest>()
            .is_ok_and(|own| own != found)
        {
            let name = image.config.clone();
            return Err(BadArchive::Damaged { name, found });
        }
        let ids = config.rootfs.diff_ids;
        if ids.len() != image.layers.len() {
            return Err(BadArchive::Missing(format!("layers of {}", image.config)));
        }
        let config = Descriptor::new(oci::CONFIG, found, bytes.len() as u64);
        let mut parts = vec![(image.config.clone(), config.clone())];
        let mut layers = Vec::new();
        for (path, diff_id) in image.layers.iter().zip(&ids) {
            let (found, size) = self.hash(path)?;
            // The digest of the tar file itself stands in the config.
            if diff_id.strip_prefix("sha256:").and_then(|id| id.parse().ok()) != Some(found) {
                let name = path.clone();
                return Err(BadArchive::Damaged { name, found });
            }
            let layer = Descriptor::new(oci::LAYER, found, size);
            parts.push((path.clone(), layer.clone()));
            layers.push(layer);
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST.to_owned(),
            config,
            layers,
            annotations: BTreeMap::new(),
        };
        let manifest = serde_json::to_vec(&manifest).map_err(document)?;
        Ok((manifest, parts))
    }

    fn hash(&mut self, path: &str) -> Result<(Digest, u64), BadArchive> {
        let place = self.entries.find(path);
        let place = place.ok_or_else(|| BadArchive::Missing(path.to_owned()))?;
        let mut hash = Hashing::new(io::sink());
        self.reader
            .seek(SeekFrom::Start(place.offset))
            .map_err(BadArchive::Read)?;
        io::copy(&mut (&mut self.reader).take(place.size), &mut hash).map_err(BadArchive::Read)?;
        Ok((hash.digest(), place.size))
    }
}
