//! Blobs on disk: `sha256/<hex>`, and `tmp/` for what is still coming in.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use faros_model::ids::Digest;
use sha2::{Digest as _, Sha256};

use super::{OpenContent, Opened};
use crate::{error::OpenStore, folder};

/// The folder of blobs, and which of them were checked in this run.
#[derive(Debug, Clone)]
pub(crate) struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    imports: AtomicU64,
    checked: Mutex<HashMap<Digest, Checked>>,
}

/// One lock a blob: whoever comes while it is being checked waits for the outcome instead of reading it too.
type Checked = Arc<tokio::sync::Mutex<Option<Stamp>>>;

/// What a file looked like when it was checked; if it looks otherwise, it is checked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }
}

impl Blobs {
    /// Opens the folder, making it if it is not there, and removes what imports left that were cut short.
    pub(crate) fn open_dir(dir: &Path) -> Result<Self, OpenStore> {
        let tmp = dir.join("tmp");
        for folder in [dir, &dir.join("sha256"), &tmp] {
            folder::make_private(folder)?;
        }
        let failed = |source| OpenStore::folder(&tmp, source);
        for left in fs::read_dir(&tmp).map_err(failed)? {
            let left = left.map_err(failed)?.path();
            fs::remove_file(&left).map_err(|source| OpenStore::folder(&left, source))?;
        }
        sync_dir(dir).map_err(|source| OpenStore::folder(dir, source))?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            imports: AtomicU64::new(0),
            checked: Mutex::default(),
        })))
    }

    /// A path that no other import of this run uses.
    pub(crate) fn tmp_path(&self) -> PathBuf {
        let n = self.0.imports.fetch_add(1, Ordering::Relaxed);
        self.0.dir.join("tmp").join(format!("import-{n}"))
    }

    pub(crate) fn path(&self, digest: Digest) -> PathBuf {
        self.0.dir.join("sha256").join(digest.to_string())
    }

    /// Puts a complete file, which is at `tmp` and has this digest, on disk and in its place. It replaces what is there,
    /// which may be damaged. It counts as checked.
    pub(crate) fn place(&self, file: &File, tmp: &Path, digest: Digest) -> io::Result<()> {
        file.sync_all()?;
        fs::rename(tmp, self.path(digest))?;
        sync_dir(&self.0.dir.join("sha256"))?;
        // Whoever has the lock is checking this file, or the former one: then this one is checked when it is opened next.
        if let Ok(mut known) = self.checked(digest).try_lock() {
            *known = Stamp::of(file).ok();
        }
        Ok(())
    }

    /// The size of a blob, if it is there.
    pub(crate) fn size(&self, digest: Digest) -> Option<u64> {
        fs::metadata(self.path(digest)).ok().map(|meta| meta.len())
    }

    /// Opens a blob, after checking it if it was not checked in this run.
    pub(crate) async fn open(&self, digest: Digest) -> Result<Opened, OpenContent> {
        let opened = self.open_unchecked(digest)?;
        let stamp = stamp(&opened)?;
        let checked = self.checked(digest);
        let mut known = checked.lock().await;
        if *known == Some(stamp) {
            return Ok(opened);
        }
        *known = None;
        let opened = check(opened).await?;
        *known = Some(stamp);
        Ok(opened)
    }

    /// Checks a blob, whether or not it was checked before.
    pub(crate) async fn verify(&self, digest: Digest) -> Result<(), OpenContent> {
        let opened = self.open_unchecked(digest)?;
        let stamp = stamp(&opened)?;
        let checked = self.checked(digest);
        let mut known = checked.lock().await;
        *known = None;
        check(opened).await?;
        *known = Some(stamp);
        Ok(())
    }

    fn open_unchecked(&self, digest: Digest) -> Result<Opened, OpenContent> {
        let file = File::open(self.path(digest)).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => OpenContent::Missing(digest),
            _ => OpenContent::Read { digest, source },
        })?;
        let size = file
            .metadata()
            .map_err(|source| OpenContent::Read { digest, source })?
            .len();
        Ok(Opened { file, size, digest })
    }

    /// Only called for blobs that are there, so the map is no larger than the folder was at its largest.
    fn checked(&self, digest: Digest) -> Checked {
        let mut checked = self.0.checked.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(checked.entry(digest).or_default())
    }
}

fn stamp(opened: &Opened) -> Result<Stamp, OpenContent> {
    Stamp::of(&opened.file).map_err(|source| OpenContent::Read {
        digest: opened.digest,
        source,
    })
}

/// Reads all of a blob on a thread that may block.
async fn check(opened: Opened) -> Result<Opened, OpenContent> {
    let digest = opened.digest;
    let lost = |_| OpenContent::Read {
        digest,
        source: io::Error::other("the check was cut short"),
    };
    tokio::task::spawn_blocking(move || {
        let read = |source| OpenContent::Read { digest, source };
        let found = digest_of(&opened.file).map_err(read)?;
        if found != digest {
            return Err(OpenContent::Damaged { digest, found });
        }
        io::Seek::rewind(&mut &opened.file).map_err(read)?;
        Ok(opened)
    })
    .await
    .map_err(lost)?
}

/// The digest of everything that `file` still has to give.
pub(crate) fn digest_of(mut file: impl Read) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Digest(hash.finalize().into())),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// Puts the names in a folder on disk.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_has_just_come_in_counts_as_checked_and_after_a_start_nothing_does()
    -> Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let blobs = Blobs::open_dir(&dir.path().join("content"))?;
        let tmp = blobs.tmp_path();
        fs::write(&tmp, "hello")?;
        let digest = digest_of("hello".as_bytes())?;
        blobs.place(&File::open(&tmp)?, &tmp, digest)?;
        let opened = blobs.open_unchecked(digest)?;
        assert_eq!(*blobs.checked(digest).lock().await, Some(stamp(&opened)?));
        let after_a_start = Blobs::open_dir(&dir.path().join("content"))?;
        fs::write(after_a_start.path(digest), "hellO")?;
        let damaged = after_a_start.open(digest).await;
        assert!(matches!(damaged, Err(OpenContent::Damaged { .. })), "{damaged:?}");
        Ok(())
    }
}
