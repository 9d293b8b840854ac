//! What a name promises: a manifest is taken only when all that it names is here, so that no node is told to use
//! half of something; and a name with a digest has the bytes of that digest.

use std::{fs, path::Path};

use faros_model::{
    content::{Blob, ImageManifest},
    ids::{ContentName, Digest},
    kubernetes::{KubeVersion, Release},
    oci::Document,
};
use serde::de::DeserializeOwned;

use super::{AddContent, Kind, MAX_MANIFEST};
use crate::Store;

/// Checks what is about to be called `name`, and is at `path` still.
pub(super) fn check(
    store: &Store,
    name: &ContentName,
    path: &Path,
    size: u64,
    digest: Digest,
) -> Result<(), AddContent> {
    let incoming = Incoming {
        store,
        name,
        path,
        size,
    };
    if let Some(image) = name.as_str().strip_suffix("/image.json") {
        return incoming.node_image(image);
    }
    let words: Vec<&str> = name.as_str().split('/').collect();
    match words.as_slice() {
        ["kubernetes", version, "release.json"] => incoming.release(version),
        ["registry", _, _, .., kind @ ("blobs" | "manifests"), hex] => {
            if hex.parse() != Ok(digest) {
                return Err(AddContent::OtherDigest {
                    name: name.clone(),
                    found: digest,
                });
            }
            if *kind == "manifests" {
                incoming.container_image()?;
            }
            Ok(())
        }
        ["registry", _, _, .., "tags", _] => incoming.container_image(),
        _ => Ok(()),
    }
}

struct Incoming<'a> {
    store: &'a Store,
    name: &'a ContentName,
    path: &'a Path,
    size: u64,
}

impl Incoming<'_> {
    fn node_image(&self, image: &str) -> Result<(), AddContent> {
        let manifest: ImageManifest = self.read(Kind::NodeImage)?;
        if manifest.name.as_str() != image {
            return Err(AddContent::OtherName {
                name: self.name.clone(),
                found: format!("an image called {}", manifest.name),
            });
        }
        manifest.blobs().try_for_each(|blob| self.has_blob(blob))
    }

    fn release(&self, version: &str) -> Result<(), AddContent> {
        let release: Release = self.read(Kind::Release)?;
        if version.parse::<KubeVersion>() != Ok(release.version) || !version.starts_with('v') {
            return Err(AddContent::OtherName {
                name: self.name.clone(),
                found: format!("Kubernetes {}", release.version),
            });
        }
        self.has_blob(&release.extension)?;
        self.has_blob(&release.sbom)?;
        for image in release.images {
            let tag = self.store.content(&image.name.tag_entry());
            let tag = tag.map_err(|source| AddContent::Index {
                name: self.name.clone(),
                source,
            })?;
            if tag.is_none_or(|tag| tag.digest != image.digest) {
                return Err(AddContent::NoImage {
                    name: self.name.clone(),
                    image: image.name.to_string(),
                    digest: image.digest,
                });
            }
        }
        Ok(())
    }

    fn container_image(&self) -> Result<(), AddContent> {
        let document: Document = self.read(Kind::ContainerImage)?;
        document
            .descriptors()
            .try_for_each(|part| self.has(part.digest, part.size, &part.media_type))
    }

    fn has_blob(&self, blob: &Blob) -> Result<(), AddContent> {
        self.has(blob.digest, blob.size, &blob.file)
    }

    fn has(&self, digest: Digest, size: u64, file: &str) -> Result<(), AddContent> {
        if self.store.0.blobs.size(digest) == Some(size) {
            return Ok(());
        }
        Err(AddContent::NoBlob {
            name: self.name.clone(),
            file: file.to_owned(),
            digest,
            size,
        })
    }

    fn read<T: DeserializeOwned>(&self, kind: Kind) -> Result<T, AddContent> {
        let name = || self.name.clone();
        if self.size > MAX_MANIFEST {
            return Err(AddContent::TooLarge { name: name(), kind });
        }
        let bytes = fs::read(self.path).map_err(|source| AddContent::Read {
            path: self.path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&bytes).map_err(|source| AddContent::Manifest {
            name: name(),
            kind,
            source,
        })
    }
}
