//! The content store: kernels, images and loaders, by name and by digest.
//!
//! A blob is a file named by its SHA-256, complete and on disk before anything refers to it; the index that gives
//! it a name is in the database. Bytes are checked when they come in, and once more in each run of the daemon
//! before they are first served, because disks rot and people edit files.

mod blobs;
mod check;
mod import;

use std::{fmt, fs::File, io::Read};

use faros_model::{
    api::ContentVerified,
    content::{ContentEntry, ImageManifest},
    ids::{ContentName, Digest},
    kubernetes::{KubeVersion, Release},
};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;

pub(crate) use self::blobs::Blobs;
pub use self::import::{AddContent, Import};
use crate::{
    Store,
    error::StoreError,
    sql::{At, Bytes, Num, Text},
};

/// A manifest may have so many bytes.
const MAX_MANIFEST: u64 = 1024 * 1024;

/// What kind of manifest an entry is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `NAME/image.json`: the operating system of a node.
    NodeImage,
    /// `kubernetes/VERSION/release.json`.
    Release,
    /// `registry/…/tags/TAG` and `registry/…/manifests/HEX`: a manifest or an index of OCI.
    ContainerImage,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeImage => "an image manifest",
            Self::Release => "a release manifest of Kubernetes",
            Self::ContainerImage => "the manifest of a container image",
        })
    }
}

/// A blob, checked and ready to be sent.
#[derive(Debug)]
pub struct Opened {
    /// The file, at its start.
    pub file: File,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Why content cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenContent {
    /// Nothing has this name.
    #[error("there is no content called {0}")]
    NoName(ContentName),
    /// No blob has this digest.
    #[error("there is no content with digest {0}")]
    Missing(Digest),
    /// The blob is not what was added.
    #[error("the content with digest {digest} is damaged: what is there has digest {found}")]
    Damaged {
        /// What it should be.
        digest: Digest,
        /// What it is.
        found: Digest,
    },
    /// The blob cannot be read.
    #[error("cannot read the content with digest {digest}")]
    Read {
        /// Which blob.
        digest: Digest,
        /// What failed.
        source: std::io::Error,
    },
    /// It is no manifest of its kind.
    #[error("{name} is not {kind}")]
    Manifest {
        /// Which entry.
        name: ContentName,
        /// What it should be.
        kind: Kind,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The index cannot be read.
    #[error("cannot look up content")]
    Index(#[from] StoreError),
}

impl OpenContent {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoName(_) => Some("see `farosctl content list`; add it with `farosctl content add`"),
            Self::Missing(_) | Self::Damaged { .. } => {
                Some("add it again with `farosctl content add`; the disk may be failing")
            }
            Self::Read { .. } | Self::Manifest { .. } | Self::Index(_) => None,
        }
    }
}

impl Store {
    /// All named content, by name. Blocks.
    pub fn contents(&self) -> Result<Vec<ContentEntry>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT name, digest, size, added_at FROM content ORDER BY name")?;
        let entries = rows.query_map([], entry)?;
        Ok(entries.collect::<rusqlite::Result<_>>()?)
    }

    /// The entry called `name`. Blocks.
    pub fn content(&self, name: &ContentName) -> Result<Option<ContentEntry>, StoreError> {
        let db = self.reader();
        let mut rows =
            db.prepare_cached("SELECT name, digest, size, added_at FROM content WHERE name = ?1")?;
        Ok(rows.query_row([Text(name)], entry).optional()?)
    }

    /// A name of the content with this digest. Reads at once if nobody else does, and otherwise waits where that holds
    /// up nobody.
    pub async fn name_of(&self, digest: Digest) -> Result<Option<ContentName>, StoreError> {
        if let Ok(db) = self.0.reader.try_lock() {
            return name_of(&db, digest);
        }
        let store = self.clone();
        let read = tokio::task::spawn_blocking(move || name_of(&store.reader(), digest));
        read.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Opens a blob by its digest. Unless it came in in this run its bytes are checked the first time, which waits for as
    /// long as reading them takes; the runtime's threads stay free.
    pub async fn open_blob(&self, digest: Digest) -> Result<Opened, OpenContent> {
        self.0.blobs.open(digest).await
    }

    /// Opens what is called `name`, checked like [`open_blob`](Self::open_blob) does it.
    pub async fn open_content(&self, name: &ContentName) -> Result<Opened, OpenContent> {
        let entry = self.content(name)?;
        let entry = entry.ok_or_else(|| OpenContent::NoName(name.clone()))?;
        self.open_blob(entry.digest).await
    }

    /// The image called `name`: the manifest that was added as `NAME/image.json`.
    pub async fn image(&self, name: &ContentName) -> Result<Option<ImageManifest>, OpenContent> {
        match format!("{name}/image.json").parse() {
            Ok(manifest) => self.manifest(manifest, Kind::NodeImage).await,
            Err(_) => Ok(None),
        }
    }

    /// The release of Kubernetes of this version.
    pub async fn release(&self, version: KubeVersion) -> Result<Option<Release>, OpenContent> {
        self.manifest(version.release_entry(), Kind::Release).await
    }

    async fn manifest<T: DeserializeOwned>(
        &self,
        name: ContentName,
        kind: Kind,
    ) -> Result<Option<T>, OpenContent> {
        if self.content(&name)?.is_none() {
            return Ok(None);
        }
        let opened = self.open_content(&name).await?;
        let mut bytes = vec![];
        opened
            .file
            .take(MAX_MANIFEST)
            .read_to_end(&mut bytes)
            .map_err(|source| OpenContent::Read {
                digest: opened.digest,
                source,
            })?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| OpenContent::Manifest { name, kind, source })
    }

    /// Reads every byte of all named content, and says of each entry what was found, as it is found.
    pub async fn verify_contents(
        &self,
        mut progress: impl FnMut(&ContentVerified) + Send + 'static,
    ) -> Result<Vec<ContentVerified>, StoreError> {
        let mut verified = vec![];
        for entry in self.contents()? {
            let state = match self.0.blobs.verify(entry.digest).await {
                Ok(()) => "ok",
                Err(OpenContent::Missing(_)) => "missing",
                Err(_) => "damaged",
            };
            let row = ContentVerified {
                name: entry.name,
                digest: entry.digest,
                state: state.to_owned(),
            };
            progress(&row);
            verified.push(row);
        }
        Ok(verified)
    }
}

fn name_of(db: &Connection, digest: Digest) -> Result<Option<ContentName>, StoreError> {
    let mut rows = db.prepare_cached("SELECT name FROM content WHERE digest = ?1 ORDER BY name LIMIT 1")?;
    let name = rows.query_row([Bytes(digest.0)], |row| Ok(row.get::<_, Text<ContentName>>(0)?.0));
    Ok(name.optional()?)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<ContentEntry> {
    Ok(ContentEntry {
        name: row.get::<_, Text<ContentName>>(0)?.0,
        digest: row.get::<_, Bytes<32>>(1)?.into(),
        size: row.get::<_, Num>(2)?.0,
        added_at: row.get::<_, At>(3)?.0,
    })
}

/// Gives a blob a name; whether it had that name already.
fn index(db: &Connection, entry: &ContentEntry) -> Result<(ContentEntry, bool), StoreError> {
    let mut rows = db.prepare_cached("SELECT name, digest, size, added_at FROM content WHERE name = ?1")?;
    let held = rows.query_row([Text(&entry.name)], self::entry).optional()?;
    if let Some(held) = held.filter(|held| held.digest == entry.digest) {
        return Ok((held, true));
    }
    let mut put = db.prepare_cached(
        "INSERT INTO content (name, digest, size, added_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET digest = excluded.digest, size = excluded.size,
             added_at = excluded.added_at",
    )?;
    put.execute(params![
        Text(&entry.name),
        Bytes(entry.digest.0),
        Num(entry.size),
        At(entry.added_at),
    ])?;
    Ok((entry.clone(), false))
}
