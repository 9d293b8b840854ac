//! A release of Kubernetes in the content store: which programs and images it is made of.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    content::Blob,
    ids::{ContentName, Digest},
    image_name::ImageName,
    net::serde_as_text,
    site::Architecture,
};

/// Where the images of every release are named: `faros.dev/kubernetes/COMPONENT:TAG`. It is kubeadm's
/// `imageRepository`, the same at all sites.
pub const IMAGE_REPOSITORY: &str = "faros.dev/kubernetes";

/// A version of Kubernetes, displayed as `v1.36.3`. The major version is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KubeVersion {
    /// The minor version, which decides what works with what.
    pub minor: u16,
    /// The patch.
    pub patch: u16,
}

impl KubeVersion {
    /// The folder of its content in the store, `kubernetes/v1.36.3`, with what is called `file` in it.
    pub fn entry(self, file: &str) -> Option<ContentName> {
        format!("kubernetes/{self}/{file}").parse().ok()
    }

    /// The entry of its release manifest.
    pub fn release_entry(self) -> ContentName {
        ContentName::of_checked(format!("kubernetes/{self}/release.json"))
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v1.{}.{}", self.minor, self.patch)
    }
}

impl FromStr for KubeVersion {
    type Err = &'static str;

    /// Takes `v1.36.3`, or the same without the `v`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "is not a version of Kubernetes, such as v1.36.3";
        let number = |digits: &str| {
            let is_plain =
                digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
            digits.parse::<u16>().ok().filter(|_| is_plain).ok_or(WHY)
        };
        let rest = text.strip_prefix('v').unwrap_or(text);
        let rest = rest.strip_prefix("1.").ok_or(WHY)?;
        let (minor, patch) = rest.split_once('.').ok_or(WHY)?;
        Ok(Self {
            minor: number(minor)?,
            patch: number(patch)?,
        })
    }
}

serde_as_text!(KubeVersion);

/// All that a node needs to be one of a cluster: the entry `kubernetes/VERSION/release.json` of the content store.
///
/// What it names must be in the store before it is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// The version of Kubernetes.
    pub version: KubeVersion,
    /// What it runs on.
    pub architecture: Architecture,
    /// The programs, by name.
    pub components: Vec<Component>,
    /// The images, by name.
    pub images: Vec<Image>,
    /// The system extension of a node (`systemd-sysext`): a squashfs with the programs that run outside of images.
    pub extension: Blob,
    /// What all of it is made of, as `CycloneDX` JSON.
    pub sbom: Blob,
}

impl Release {
    /// The image of a component, such as `coredns`.
    pub fn image(&self, component: &str) -> Option<&Image> {
        self.images.iter().find(|image| {
            let repository = image.name.repository();
            repository.rsplit('/').next() == Some(component)
        })
    }
}

/// A program of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// The program's name.
    pub name: String,
    /// Its version, as its makers write it.
    pub version: String,
    /// The Go module it was built from.
    pub module: String,
    /// SHA-256 of the program.
    pub sha256: Digest,
}

/// An image of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Image {
    /// Its full name; nodes ask for it.
    pub name: ImageName,
    /// SHA-256 of its manifest.
    pub digest: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        let version = |text: &str| text.parse::<KubeVersion>().expect("a version");
        assert!(version("v1.9.11") < version("v1.36.0"));
        assert!(version("1.36.3") < version("v1.36.10"));
        assert_eq!(version("1.36.3").to_string(), "v1.36.3");
        assert_eq!(
            version("v1.36.3").release_entry().as_str(),
            "kubernetes/v1.36.3/release.json"
        );
    }

    #[test]
    fn what_is_no_released_version_is_refused() {
        for text in [
            "",
            "v1",
            "v1.36",
            "v2.0.0",
            "v1.36.3-rc.1",
            "v1.036.3",
            "v1.36.+3",
            "v1.36.3 ",
            "v1.99999.0",
        ] {
            assert!(text.parse::<KubeVersion>().is_err(), "{text}");
        }
    }
}
