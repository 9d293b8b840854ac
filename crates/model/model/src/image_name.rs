//! Names of container images, and what the content store calls their parts.
//!
//! An image keeps the name it was made with, whatever site it is used at: nodes ask for
//! `docker.io/library/nginx:1.27` and are answered by the bastion. In the store, a tag, a manifest and a blob of an
//! image are entries `registry/HOST/REPOSITORY/{tags,manifests,blobs}/…`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ContentName, Digest},
    net::serde_as_text,
};

/// The full name of a container image with its tag, such as `docker.io/library/nginx:1.27`.
///
/// Invariant: host, repository and tag are words that a [`ContentName`] can hold, and all together have at most
/// 255 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageName {
    host: Box<str>,
    repository: Box<str>,
    tag: Box<str>,
}

impl ImageName {
    /// The registry's host, such as `docker.io`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The name within the registry, such as `library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, such as `1.27`.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The entry of the tag: what the image is, a manifest or an index.
    pub fn tag_entry(&self) -> ContentName {
        self.entry("tags", &self.tag)
    }

    /// The entry of a manifest or an index, by its digest.
    pub fn manifest_entry(&self, digest: Digest) -> ContentName {
        self.entry("manifests", digest)
    }

    /// The entry of a layer or a config, by its digest.
    pub fn blob_entry(&self, digest: Digest) -> ContentName {
        self.entry("blobs", digest)
    }

    fn entry(&self, kind: &str, what: impl fmt::Display) -> ContentName {
        let Self { host, repository, .. } = self;
        ContentName::of_checked(format!("registry/{host}/{repository}/{kind}/{what}"))
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.repository, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = &'static str;

    /// Takes what people write, and means by it what container engines mean: `nginx` is
    /// `docker.io/library/nginx:latest`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('@') {
            return Err("names a digest; name a tag");
        }
        if text.len() > 240 {
            return Err("has more than 240 characters");
        }
        let (path, tag) = match text.rsplit_once(':') {
            // What follows the last colon of `host:5000/nginx` is no tag.
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (text, "latest"),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        let host = if host == "index.docker.io" {
            "docker.io"
        } else {
            host
        };
        if host.contains(':') {
            return Err("names a port of its registry; give it a name without");
        }
        let is_word = |word: &str| word.parse::<ContentName>().is_ok_and(|_| !word.contains('/'));
        if !is_word(host) {
            return Err("has no host name of a registry before its first `/`");
        }
        let is_part = |part: &str| {
            is_word(part)
                && part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.ends_with(|c: char| c.is_ascii_alphanumeric())
        };
        if !repository.split('/').all(is_part) {
            return Err("is not the name of an image, such as docker.io/library/nginx:1.27");
        }
        if tag.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(
                "has a tag with capital letters, which the content store cannot hold; give it another tag",
            );
        }
        if tag.len() > 128 || !is_word(tag) || tag.starts_with('-') {
            return Err(
                "has a tag that is not of a-z, 0-9, `.`, `_`, `-`, or that is longer than 128 characters",
            );
        }
        Ok(Self {
            host: host.into(),
            repository: repository.into(),
            tag: tag.into(),
        })
    }
}

serde_as_text!(ImageName);

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        text.parse::<ImageName>()
            .map_or_else(str::to_owned, |name| name.to_string())
    }

    #[test]
    fn a_short_name_means_what_container_engines_mean_by_it() {
        assert_eq!(full("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full("nginx:1.27"), "docker.io/library/nginx:1.27");
        assert_eq!(full("grafana/loki:3"), "docker.io/grafana/loki:3");
        assert_eq!(
            full("index.docker.io/library/nginx:1"),
            "docker.io/library/nginx:1"
        );
        assert_eq!(full("localhost/mine:1"), "localhost/mine:1");
        assert_eq!(
            full("faros.dev/kubernetes/pause:3.10.2"),
            "faros.dev/kubernetes/pause:3.10.2"
        );
    }

    #[test]
    fn a_name_that_the_store_cannot_hold_is_refused_with_the_reason() {
        assert!(full("nginx:1.27-Alpine").contains("capital letters"));
        assert!(full("registry.example.com:5000/nginx").contains("port"));
        assert!(full("nginx@sha256:00").contains("digest"));
        assert!(full("../../etc/passwd").contains("host name"));
        assert!(full("docker.io/library/../x").contains("not the name"));
        assert!(full("docker.io//x").contains("not the name"));
        assert!(full("").contains("not the name"));
        assert!(full(&format!("a/{}", "b".repeat(250))).contains("240"));
    }

    #[test]
    fn the_longest_name_has_entries_in_the_store() {
        let longest = format!("example.com/{}:{}", "b".repeat(115), "c".repeat(112));
        let name: ImageName = longest.parse().expect("240 characters");
        let digest = Digest([0xab; 32]);
        for entry in [
            name.tag_entry(),
            name.manifest_entry(digest),
            name.blob_entry(digest),
        ] {
            assert!(entry.as_str().parse::<ContentName>().is_ok(), "{entry}");
        }
    }
}
