//! Adding content: bytes stream into a file that has no name yet; only when all of them are on disk does it get one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use faros_model::{
    api::ContentAdded,
    content::ContentEntry,
    ids::{ContentName, Digest},
};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Kind, blobs, check};
use crate::{Store, error::StoreError};

/// Why content was not added. Nothing of it is left on the disk.
#[derive(Debug, thiserror::Error)]
pub enum AddContent {
    /// The bytes cannot be written.
    #[error("cannot write content {name}")]
    Write {
        /// Which content.
        name: ContentName,
        /// What failed.
        source: io::Error,
    },
    /// The bytes cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// From where.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Its name is that of a manifest, and it is none.
    #[error("{name} is not {kind}")]
    Manifest {
        /// Which content.
        name: ContentName,
        /// What it should be.
        kind: Kind,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The manifest has the name of another image or release.
    #[error("{name} is the manifest of {found}")]
    OtherName {
        /// Which content.
        name: ContentName,
        /// Whose manifest it is.
        found: String,
    },
    /// The manifest has more bytes than a manifest has.
    #[error("{name} is too large for {kind}")]
    TooLarge {
        /// Which content.
        name: ContentName,
        /// What it should be.
        kind: Kind,
    },
    /// The name has a digest, and the bytes have another.
    #[error("{name} has digest {found}, not the one in its name")]
    OtherDigest {
        /// Which content.
        name: ContentName,
        /// The digest of the bytes.
        found: Digest,
    },
    /// The manifest names a blob that is not here.
    #[error("{name} names {file}, and there is no content of {size} bytes with digest {digest}")]
    NoBlob {
        /// Which content.
        name: ContentName,
        /// The blob's file name.
        file: String,
        /// The blob's digest.
        digest: Digest,
        /// The blob's size.
        size: u64,
    },
    /// The release names a container image that is not here.
    #[error("{name} names the container image {image}, and there is none with digest {digest}")]
    NoImage {
        /// Which content.
        name: ContentName,
        /// The image.
        image: String,
        /// The digest of its manifest.
        digest: Digest,
    },
    /// The name cannot be written to the index.
    #[error("cannot enter content {name} into the index")]
    Index {
        /// Which content.
        name: ContentName,
        /// What failed.
        source: StoreError,
    },
}

impl AddContent {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Write { source, .. } => source.kind() == io::ErrorKind::StorageFull,
            Self::Index { source, .. } => source.is_disk_full(),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            _ if self.is_disk_full() => {
                Some("the disk of the state folder is full; make room and add it again")
            }
            Self::NoBlob { .. } | Self::NoImage { .. } => {
                Some("add what a manifest names first, then the manifest")
            }
            Self::OtherName { .. } => Some("add it under the name that is in it"),
            Self::OtherDigest { .. } => Some("add it again; bytes were lost or changed on the way"),
            _ => None,
        }
    }
}

/// Content that is coming in. Dropped before [`finish`](Self::finish), it leaves nothing behind. Blocks.
#[derive(Debug)]
pub struct Import {
    store: Store,
    name: ContentName,
    tmp: Tmp,
    file: File,
    hash: Sha256,
    size: u64,
}

/// A file that is removed unless it was given its place.
#[derive(Debug)]
struct Tmp(PathBuf);

impl Drop for Tmp {
    fn drop(&mut self) {
        // It is gone after it was given its place; otherwise the next start tries again.
        drop(fs::remove_file(&self.0));
    }
}

impl Store {
    /// Begins to add content. Blocks.
    pub fn import(&self, name: ContentName) -> Result<Import, AddContent> {
        let tmp = Tmp(self.0.blobs.tmp_path());
        let mut how = OpenOptions::new();
        how.write(true).create_new(true).mode(0o600);
        match how.open(&tmp.0) {
            Ok(file) => Ok(Import {
                store: self.clone(),
                name,
                tmp,
                file,
                hash: Sha256::new(),
                size: 0,
            }),
            Err(source) => Err(AddContent::Write { name, source }),
        }
    }

    /// Adds a file, unless it is there under this name and undamaged. Blocks.
    pub fn import_file(
        &self,
        name: ContentName,
        path: &Path,
        at: Timestamp,
    ) -> Result<ContentAdded, AddContent> {
        let read = |source| AddContent::Read {
            path: path.to_owned(),
            source,
        };
        let index = |source| AddContent::Index {
            name: name.clone(),
            source,
        };
        let digest = blobs::digest_of(File::open(path).map_err(read)?).map_err(read)?;
        let held = self.content(&name).map_err(index)?;
        if let Some(entry) = held.filter(|entry| entry.digest == digest)
            && File::open(self.0.blobs.path(digest))
                .and_then(blobs::digest_of)
                .is_ok_and(|found| found == digest)
        {
            return Ok(ContentAdded {
                entry,
                unchanged: true,
            });
        }
        let mut import = self.import(name)?;
        let mut source = File::open(path).map_err(read)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match io::Read::read(&mut source, &mut buffer) {
                Ok(0) => return import.finish(at),
                Ok(n) => import.write(&buffer[..n])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(read(error)),
            }
        }
    }
}

impl Import {
    /// Takes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), AddContent> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.write_all(bytes).map_err(|source| AddContent::Write {
            name: self.name.clone(),
            source,
        })
    }

    /// Puts the content on disk and gives it its name. When this returns, a power cut takes nothing of it.
    pub fn finish(self, at: Timestamp) -> Result<ContentAdded, AddContent> {
        let Self {
            store,
            name,
            tmp,
            file,
            hash,
            size,
        } = self;
        let digest = Digest(hash.finalize().into());
        check::check(&store, &name, &tmp.0, size, digest)?;
        let placed = store.0.blobs.place(&file, &tmp.0, digest);
        placed.map_err(|source| AddContent::Write {
            name: name.clone(),
            source,
        })?;
        let entry = ContentEntry {
            name: name.clone(),
            digest,
            size,
            added_at: at,
        };
        match store.write_blocking(move |db| super::index(db, &entry)) {
            Ok((entry, unchanged)) => Ok(ContentAdded { entry, unchanged }),
            Err(source) => Err(AddContent::Index { name, source }),
        }
    }
}
