//! What the content store holds: blobs by digest, and images that name them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ContentName, Digest},
    site::Architecture,
};

/// One named entry of the content store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContentEntry {
    /// Name by which site files and services refer to it.
    pub name: ContentName,
    /// SHA-256 of the blob.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
    /// When it was added, RFC 3339.
    pub added_at: jiff::Timestamp,
}

/// A node operating system that can be network-booted: the entry `NAME/image.json` of the content store.
///
/// The blobs it names must be in the store before the manifest is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageManifest {
    /// The image's name, as in the site file's `image`.
    pub name: ContentName,
    /// What it runs on.
    pub architecture: Architecture,
    /// How it is installed, and what its config has to look like.
    #[serde(default)]
    pub family: Family,
    /// The kernel.
    pub kernel: Blob,
    /// The initramfs, loaded with the kernel.
    pub initramfs: Blob,
    /// What is put onto the disk: a `tar.zst` of the root file system (`faros`), or the root file system of the
    /// live system (`coreos`).
    #[serde(default)]
    pub root: Option<Blob>,
    /// How much the root has when it is unpacked, in bytes; 0 if that is not known.
    #[serde(default)]
    pub root_bytes: u64,
    /// A UEFI program that starts a machine's own disk; without it, unarmed UEFI machines are left to their
    /// firmware's next choice.
    #[serde(default)]
    pub local_boot: Option<Blob>,
    /// Kernel arguments that this image always needs.
    #[serde(default)]
    pub kernel_arguments: Vec<String>,
    /// Packages it was made of, as `name version`, sorted.
    #[serde(default)]
    pub packages: Vec<String>,
}

impl ImageManifest {
    /// All blobs that must be in the store with it.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        [&self.kernel, &self.initramfs]
            .into_iter()
            .chain(&self.root)
            .chain(&self.local_boot)
    }
}

/// How an image is installed, and what its Ignition config has to look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Built by `farosctl image build`: an installer that runs Ignition's stages itself.
    #[default]
    Faros,
    /// Fedora CoreOS or RHEL CoreOS: its live system runs `coreos-installer`.
    Coreos,
    /// Flatcar: its live system runs `flatcar-install`.
    Flatcar,
}

/// A blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blob {
    /// File name, for people and for URLs.
    pub file: String,
    /// SHA-256.
    pub digest: Digest,
    /// Size in bytes.
    pub size: u64,
}
