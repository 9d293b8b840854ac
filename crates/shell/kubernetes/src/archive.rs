//! Reads the archives in which operators bring container images: an OCI image layout in a tar file, or what
//! `docker save` writes.
//!
//! An archive is looked at whole before anything of it is used: every document is parsed and every blob is hashed,
//! so that what is wrong with it is said first, and the store never gets half an image.

mod bad;
mod docker;
mod scan;

use std::{
    io::{self, Read, Seek, SeekFrom},
    str::FromStr as _,
};

use faros_model::{
    ids::Digest,
    image_name::ImageName,
    oci::{Descriptor, Document, Platform},
};

pub use self::bad::BadArchive;
use self::scan::Entries;
use crate::keep::{Hashing, digest};

/// No document of an image is larger.
const MAX_DOCUMENT: u64 = 4 * 1024 * 1024;

/// An index names indexes no deeper than this.
const MAX_DEPTH: usize = 4;

/// An archive, with a list of what is in it.
#[derive(Debug)]
pub struct Archive<R> {
    reader: R,
    entries: Entries,
}

/// An image of an archive. All of it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: ImageName,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The bytes of its manifest.
    pub manifest: Vec<u8>,
    /// Its config and its layers.
    pub parts: Vec<Part>,
}

/// A blob of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its digest.
    pub digest: Digest,
    /// Where it begins in the archive.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

/// What an archive says about one image, before its parts are looked at.
struct Named {
    name: Option<String>,
    manifest: Vec<u8>,
    parts: Paths,
}

/// Parts, with where in the archive they are.
type Paths = Vec<(String, Descriptor)>;

impl<R: Read + Seek> Archive<R> {
    /// Looks through an archive.
    ///
    /// # Errors
    /// If it is no archive, or is cut off.
    pub fn open(mut reader: R) -> Result<Self, BadArchive> {
        let entries = scan::scan(&mut reader)?;
        Ok(Self { reader, entries })
    }

    /// All images in it, for this platform if one is named, under this name if one is given. Every byte of them is
    /// read.
    ///
    /// # Errors
    /// The first thing that is wrong with any of them.
    pub fn images(
        &mut self,
        platform: Option<&Platform>,
        name: Option<&ImageName>,
    ) -> Result<Vec<Found>, BadArchive> {
        let named = if self.entries.find("index.json").is_some() {
            self.layout(platform)?
        } else if self.entries.find("manifest.json").is_some() {
            self.docker(platform)?
        } else {
            return Err(BadArchive::NoImages);
        };
        if named.is_empty() {
            return Err(BadArchive::NoImages);
        }
        // One image may have several names.
        let mut digests: Vec<Digest> = named.iter().map(|named| digest(&named.manifest)).collect();
        digests.sort();
        digests.dedup();
        if name.is_some() && digests.len() > 1 {
            return Err(BadArchive::OneName(digests.len()));
        }
        let mut found: Vec<Found> = Vec::new();
        for named in named {
            let name = match (name, named.name) {
                (Some(name), _) => name.clone(),
                (None, Some(own)) => {
                    ImageName::from_str(&own).map_err(|why| BadArchive::Name { name: own, why })?
                }
                (None, None) => return Err(BadArchive::NoName),
            };
            let image = Found {
                name,
                digest: digest(&named.manifest),
                manifest: named.manifest,
                parts: self.parts(named.parts)?,
            };
            if !found.contains(&image) {
                found.push(image);
            }
        }
        Ok(found)
    }

    /// An OCI image layout: `index.json`, and blobs by their digests (image-layout.md).
    fn layout(&mut self, platform: Option<&Platform>) -> Result<Vec<Named>, BadArchive> {
        let index = self.document("index.json")?;
        let index = parse("index.json", &index)?;
        let tops: Vec<Descriptor> = match index {
            Document::Index(index) => index.manifests,
            Document::Manifest(_) => return Err(BadArchive::NoImages),
        };
        let mut named = Vec::new();
        for top in tops {
            let annotation = |key: &str| top.annotations.get(key).cloned();
            // The second is a whole name with some programs, and only a tag with others.
            let name = annotation("io.containerd.image.name").or_else(|| {
                annotation("org.opencontainers.image.ref.name").filter(|name| name.contains(['/', ':']))
            });
            let label = name
                .clone()
                .unwrap_or_else(|| format!("the image sha256:{}", top.digest));
            let mut leaves = Vec::new();
            self.leaves(&top, 0, &mut leaves)?;
            let (_, manifest) = choose(&label, leaves, platform)?;
            let Document::Manifest(parsed) = parse(&label, &manifest)? else {
                return Err(BadArchive::NoImages);
            };
            let parts = std::iter::once(parsed.config).chain(parsed.layers);
            named.push(Named {
                name,
                manifest,
                parts: parts.map(|part| (blob_path(part.digest), part)).collect(),
            });
        }
        Ok(named)
    }

    /// The manifests that a descriptor leads to, with their platforms.
    fn leaves(
        &mut self,
        at: &Descriptor,
        depth: usize,
        leaves: &mut Vec<(Option<Platform>, Vec<u8>)>,
    ) -> Result<(), BadArchive> {
        let path = blob_path(at.digest);
        if depth > MAX_DEPTH || leaves.len() > 100 {
            return Err(BadArchive::TooLarge(path));
        }
        let bytes = self.document(&path)?;
        let found = digest(&bytes);
        if found != at.digest {
            return Err(BadArchive::Damaged { name: path, found });
        }
        match parse(&path, &bytes)? {
            Document::Manifest(manifest) => {
                let platform = match &at.platform {
                    Some(platform) => Some(platform.clone()),
                    None => self.platform_of(&manifest.config)?,
                };
                leaves.push((platform, bytes));
            }
            Document::Index(index) => {
                for below in &index.manifests {
                    // Attestations are no images.
                    let is_image = below.platform.as_ref().is_none_or(|p| p.os != "unknown");
                    // Of an index for many platforms, archives often have one.
                    let is_here = self.entries.find(&blob_path(below.digest)).is_some();
                    if is_image && (is_here || index.manifests.len() == 1) {
                        self.leaves(below, depth + 1, leaves)?;
                    }
                }
                if leaves.is_empty() {
                    return Err(BadArchive::Missing(format!("the manifests of {path}")));
                }
            }
        }
        Ok(())
    }

    /// What a config says it is for.
    fn platform_of(&mut self, config: &Descriptor) -> Result<Option<Platform>, BadArchive> {
        let path = blob_path(config.digest);
        let bytes = self.document(&path)?;
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Reads every part, and holds it against its digest.
    fn parts(&mut self, parts: Paths) -> Result<Vec<Part>, BadArchive> {
        let mut checked = Vec::new();
        for (path, part) in parts {
            let place = self
                .entries
                .find(&path)
                .ok_or(BadArchive::Missing(path.clone()))?;
            let mut hash = Hashing::new(io::sink());
            self.reader
                .seek(SeekFrom::Start(place.offset))
                .map_err(BadArchive::Read)?;
            io::copy(&mut (&mut self.reader).take(place.size), &mut hash).map_err(BadArchive::Read)?;
            let found = hash.digest();
            if found != part.digest || place.size != part.size {
                return Err(BadArchive::Damaged { name: path, found });
            }
            checked.push(Part {
                digest: part.digest,
                offset: place.offset,
                size: place.size,
            });
        }
        Ok(checked)
    }

    /// A document, in memory.
    fn document(&mut self, path: &str) -> Result<Vec<u8>, BadArchive> {
        let place = self.entries.find(path);
        let place = place.ok_or_else(|| BadArchive::Missing(path.to_owned()))?;
        if place.size > MAX_DOCUMENT {
            return Err(BadArchive::TooLarge(path.to_owned()));
        }
        self.reader
            .seek(SeekFrom::Start(place.offset))
            .map_err(BadArchive::Read)?;
        let mut bytes = Vec::new();
        (&mut self.reader)
            .take(place.size)
            .read_to_end(&mut bytes)
            .map_err(BadArchive::Read)?;
        Ok(bytes)
    }
}

fn blob_path(digest: Digest) -> String {
    format!("blobs/sha256/{digest}")
}

fn parse(name: &str, bytes: &[u8]) -> Result<Document, BadArchive> {
    serde_json::from_slice(bytes).map_err(|source| BadArchive::Document {
        name: name.to_owned(),
        source,
    })
}

/// The one that is meant: of the platform, or the only one.
fn choose<T>(
    image: &str,
    mut there: Vec<(Option<Platform>, T)>,
    wanted: Option<&Platform>,
) -> Result<(Option<Platform>, T), BadArchive> {
    let platforms = || {
        let mut words: Vec<String> = there
            .iter()
            .map(|(platform, _)| platform.as_ref().map_or_else(|| "unknown".to_owned(), words))
            .collect();
        words.sort();
        words.join(", ")
    };
    let idx = match wanted {
        None if there.len() == 1 => Some(0),
        None => {
            return Err(BadArchive::Platforms {
                image: image.to_owned(),
                platforms: platforms(),
            });
        }
        Some(wanted) => there
            .iter()
            .position(|(platform, _)| platform.as_ref().is_some_and(|own| fits(own, wanted))),
    };
    match (idx, wanted) {
        (Some(idx), _) => Ok(there.swap_remove(idx)),
        (None, wanted) => Err(BadArchive::NotFor {
            image: image.to_owned(),
            wanted: wanted.map(words).unwrap_or_default(),
            platforms: platforms(),
        }),
    }
}

/// Whether an image for `own` is what is wanted; a variant that is not asked for does not matter.
fn fits(own: &Platform, wanted: &Platform) -> bool {
    (&own.os, &own.architecture) == (&wanted.os, &wanted.architecture)
        && (wanted.variant.is_none() || wanted.variant == own.variant)
}

fn words(platform: &Platform) -> String {
    let Platform {
        architecture,
        os,
        variant,
    } = platform;
    match variant {
        Some(variant) => format!("{os}/{architecture}/{variant}"),
        None => format!("{os}/{architecture}"),
    }
}

#[cfg(test)]
mod tests;
