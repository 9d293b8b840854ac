//! Manifests: of what kind they are, and who can read that.

use serde::Deserialize;

/// The largest manifest, in bytes; the specification has registries take at least so much.
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// One image (OCI).
    OciManifest,
    /// Images by platform (OCI).
    OciIndex,
    /// One image, as Docker had it first.
    DockerManifest,
    /// Images by platform, as Docker had it first.
    DockerList,
}

impl MediaType {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::OciManifest,
        Self::OciIndex,
        Self::DockerManifest,
        Self::DockerList,
    ];

    /// The type as clients write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            Self::OciIndex => "application/vnd.oci.image.index.v1+json",
            Self::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            Self::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
        }
    }
}

/// What says of what kind a manifest is; the rest of it is its readers' business.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    #[serde(default)]
    media_type: Option<String>,
    /// Only an index has these.
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    /// Only a manifest of one image has this.
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

/// What a manifest is: what it says itself, or else what its fields tell. `None` if it is none.
pub fn media_type(bytes: &[u8]) -> Option<MediaType> {
    let kind: Kind = serde_json::from_slice(bytes).ok()?;
    match kind.media_type {
        Some(said) => MediaType::ALL.into_iter().find(|own| own.as_str() == said),
        None if kind.manifests.is_some() => Some(MediaType::OciIndex),
        None => kind.config.map(|_| MediaType::OciManifest),
    }
}

/// Whether a client that says `Accept` can read it (RFC 9110 section 12.5.1). One that says nothing takes anything.
pub fn accepts(accept: &str, what: MediaType) -> bool {
    let mut ranges = accept
        .split(',')
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let is_refused = parts.any(|part| {
            let weight = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            weight.is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        let fits = matches!(kind, "*/*" | "application/*") || kind.eq_ignore_ascii_case(what.as_str());
        fits && !is_refused
    })
}
