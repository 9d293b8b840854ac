//! What was built before, kept by the hash of all that decided it.
//!
//! `ROOT/KIND/KEY/` appears whole or not at all, so a build that was cut off leaves nothing that looks finished,
//! and what it had finished is there the next time.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use faros_model::ids::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::error::{BuildError, at};

/// The folder of what is kept. One build at a time has it.
#[derive(Debug)]
pub(crate) struct Keep {
    root: PathBuf,
    // Given back to others when it is closed.
    _lock: File,
}

impl Keep {
    /// Opens the folder, waiting for another build to end; `wait` is told of that.
    pub(crate) fn open(root: &Path, wait: &mut dyn FnMut()) -> Result<Self, BuildError> {
        fs::create_dir_all(root).map_err(at("make", root))?;
        let path = root.join("lock");
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(at("open", &path))?;
        if lock.try_lock().is_err() {
            wait();
            lock.lock().map_err(at("lock", &path))?;
        }
        let keep = Self {
            root: root.to_owned(),
            _lock: lock,
        };
        // Whoever had it before was cut off.
        keep.clear()?;
        Ok(keep)
    }

    /// Removes what is not finished.
    fn clear(&self) -> Result<(), BuildError> {
        let work = self.work();
        match fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", &work)(error)),
            _ => fs::create_dir_all(&work).map_err(at("make", &work)),
        }
    }

    /// A folder for what is not finished.
    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Where something of this kind and key is, or would be.
    pub(crate) fn place(&self, kind: &str, key: Digest) -> PathBuf {
        self.root.join(kind).join(key.to_string())
    }

    /// Gives a finished folder its place, on the disk.
    pub(crate) fn put(&self, made: &Path, kind: &str, key: Digest) -> Result<PathBuf, BuildError> {
        let place = self.place(kind, key);
        let parent = self.root.join(kind);
        fs::create_dir_all(&parent).map_err(at("make", &parent))?;
        if place.exists() {
            fs::remove_dir_all(&place).map_err(at("replace", &place))?;
        }
        sync(made)?;
        fs::rename(made, &place).map_err(at("finish", &place))?;
        Ok(place)
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        // The next build tries again.
        drop(fs::remove_dir_all(self.work()));
    }
}

/// A power cut after this takes nothing of it.
fn sync(folder: &Path) -> Result<(), BuildError> {
    for entry in fs::read_dir(folder).map_err(at("list", folder))?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            sync(&path)?;
        } else {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .map_err(at("write", &path))?;
        }
    }
    Ok(())
}

/// The hash of what decides about an outcome.
pub(crate) fn key(of: &impl Serialize) -> Digest {
    // Values of this crate, all of which are text and numbers, have a form in JSON.
    let text = serde_json::to_vec(of).unwrap_or_default();
    digest(&text)
}

/// The digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// The digest and the size of a file.
pub fn digest_of(path: &Path) -> Result<(Digest, u64), BuildError> {
    let mut to = Hashing::new(io::sink());
    let size = File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut to))
        .map_err(at("read", path))?;
    Ok((to.digest(), size))
}

/// Hashes what is written through it.
#[derive(Debug)]
pub(crate) struct Hashing<W> {
    to: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    pub(crate) fn new(to: W) -> Self {
        Self {
            to,
            hash: Sha256::new(),
        }
    }

    pub(crate) fn digest(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.to.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
