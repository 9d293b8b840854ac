//! The documents of the OCI image format 1.1: manifests and indexes, and the descriptors they are made of.
//!
//! Only what Faros writes and looks at; what else a document has is kept by keeping its bytes, of which the digest
//! is taken.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::Error as _};

use crate::ids::Digest;

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an image's config.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a layer that is not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of a layer compressed with Zstandard.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// Refers to a blob by its digest (descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// SHA-256.
    #[serde(with = "prefixed")]
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// What it is for, of a manifest in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Refers to a blob, and says no more of it.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// Go's name of the architecture, such as `amd64`.
    pub architecture: String,
    /// The operating system.
    pub os: String,
    /// The architecture's variant, such as `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image for one platform (manifest.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u8,
    /// [`MANIFEST`].
    pub media_type: String,
    /// How it is run.
    pub config: Descriptor,
    /// Its files, the lowest layer first.
    pub layers: Vec<Descriptor>,
    /// More about it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Several manifests: an image for several platforms, or what an archive has (image-index.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u8,
    /// [`INDEX`].
    pub media_type: String,
    /// The manifests, or further indexes.
    pub manifests: Vec<Descriptor>,
}

/// What a manifest's name can stand for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Wire")]
pub enum Document {
    /// An image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// What it refers to, all of which an image needs to be whole.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        let (first, rest) = match self {
            Self::Manifest(manifest) => (Some(&manifest.config), &manifest.layers),
            Self::Index(index) => (None, &index.manifests),
        };
        first.into_iter().chain(rest)
    }

    /// Its media type: the one it names itself, or what it looks like.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => &manifest.media_type,
            Self::Index(index) => &index.media_type,
        }
    }
}

/// Docker's formats have the same fields, and other media types.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(default)]
    schema_version: u8,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl TryFrom<Wire> for Document {
    type Error = serde_json::Error;

    fn try_from(wire: Wire) -> Result<Self, Self::Error> {
        let Wire {
            schema_version,
            media_type,
            config,
            layers,
            manifests,
            annotations,
        } = wire;
        if schema_version != 2 {
            return Err(serde_json::Error::custom("`schemaVersion` is not 2"));
        }
        match (config, layers, manifests) {
            (Some(config), Some(layers), None) => Ok(Self::Manifest(Manifest {
                schema_version,
                media_type: media_type.unwrap_or_else(|| MANIFEST.to_owned()),
                config,
                layers,
                annotations,
            })),
            (None, None, Some(manifests)) => Ok(Self::Index(Index {
                schema_version,
                media_type: media_type.unwrap_or_else(|| INDEX.to_owned()),
                manifests,
            })),
            _ => Err(serde_json::Error::custom(
                "it has neither `config` and `layers` nor `manifests` alone",
            )),
        }
    }
}

/// A digest as OCI writes it: `sha256:` and 64 digits.
mod prefixed {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    use crate::ids::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let digits = text
            .strip_prefix("sha256:")
            .ok_or_else(|| D::Error::custom(format!("`{text}` is not a digest by SHA-256")))?;
        digits
            .parse()
            .map_err(|why| D::Error::custom(format!("`{text}` {why}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOB: &str = r#"{"mediaType": "x", "size": 3,
        "digest": "sha256:abababababababababababababababababababababababababababababababab"}"#;

    fn parsed(text: &str) -> Result<Document, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_manifest_is_told_from_an_index_by_what_it_has() -> Result<(), String> {
        let manifest = parsed(&format!(
            r#"{{"schemaVersion": 2, "config": {BLOB}, "layers": [{BLOB}]}}"#
        ))?;
        assert_eq!(manifest.descriptors().count(), 2);
        assert_eq!(manifest.media_type(), MANIFEST);
        let index = parsed(&format!(r#"{{"schemaVersion": 2, "manifests": [{BLOB}]}}"#))?;
        assert_eq!(index.media_type(), INDEX);
        Ok(())
    }

    #[test]
    fn what_is_neither_is_refused_with_the_reason() {
        let said = |text: &str| parsed(text).err().unwrap_or_default();
        assert!(said("{}").contains("schemaVersion"));
        assert!(said(r#"{"schemaVersion": 2}"#).contains("neither"));
        assert!(said("[").contains("EOF"));
        let sha512 = BLOB.replace("sha256:", "sha512:");
        assert!(said(&format!(r#"{{"schemaVersion": 2, "manifests": [{sha512}]}}"#)).contains("SHA-256"));
    }
}
