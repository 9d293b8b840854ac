//! Names of repositories and tags, and where the content store has what belongs to them.

use std::fmt;

use faros_model::ids::{ContentName, Digest};

/// What the entries of images begin with in the content store.
const STORE: &str = "registry";

/// A repository: the registry that an image is called after, and the image's name there.
///
/// Invariant: the words of both may stand in a [`ContentName`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    host: Box<str>,
    path: Box<str>,
}

impl Repository {
    /// The repository `path` of the registry `host`; `None` if either is no such name.
    pub fn new(host: &str, path: &str) -> Option<Self> {
        let is_host = is_word(host) && !host.starts_with('-');
        let is_part = |part: &str| {
            let ends = |c: char| c.is_ascii_alphanumeric();
            is_word(part) && part.starts_with(ends) && part.ends_with(ends)
        };
        // The longest entry is that of a manifest; this leaves room for it in a name of the store.
        let fits = host.len() + path.len() < 240;
        (fits && is_host && path.split('/').all(is_part)).then(|| Self {
            host: host.into(),
            path: path.into(),
        })
    }

    /// The repository of a full name, such as `faros.dev/kubernetes/pause`.
    pub fn of_full_name(name: &str) -> Option<Self> {
        let (host, path) = name.split_once('/')?;
        let is_host = host.contains('.') || host == "localhost";
        is_host.then(|| Self::new(host, path))?
    }

    /// The entry that says what a tag is.
    pub fn tag_entry(&self, tag: &Tag) -> Option<ContentName> {
        self.entry("tags", &tag.0)
    }

    /// The entry of a manifest or an index.
    pub fn manifest_entry(&self, digest: Digest) -> Option<ContentName> {
        self.entry("manifests", digest)
    }

    /// The entry of a layer or a config.
    pub fn blob_entry(&self, digest: Digest) -> Option<ContentName> {
        self.entry("blobs", digest)
    }

    fn entry(&self, kind: &str, what: impl fmt::Display) -> Option<ContentName> {
        let Self { host, path } = self;
        format!("{STORE}/{host}/{path}/{kind}/{what}").parse().ok()
    }

    /// The repository and the tag that an entry of the store is about, if it is about a tag.
    pub(crate) fn of_tag_entry(entry: &ContentName) -> Option<(Self, &str)> {
        let rest = entry.as_str().strip_prefix(STORE)?.strip_prefix('/')?;
        let (name, tag) = rest.rsplit_once('/')?;
        let (host, path) = name.strip_suffix("/tags")?.split_once('/')?;
        Some((Self::new(host, path)?, tag))
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.path)
    }
}

/// A tag, such as `v1.36.3`. Invariant: one word of a [`ContentName`], not longer than 128 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(Box<str>);

impl Tag {
    /// `None` if it is no tag that the store can hold.
    pub fn new(text: &str) -> Option<Self> {
        let good = text.len() <= 128 && is_word(text) && !text.starts_with('-');
        good.then(|| Self(text.into()))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_word(text: &str) -> bool {
    !text.contains('/') && text.parse::<ContentName>().is_ok()
}
