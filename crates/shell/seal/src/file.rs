//! A sealed secret's file: for its owner alone, and replaced as a whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::blob::MAX_SEALED;

/// Replaces the file at `path`. After a power cut there is the old one or the new one.
pub fn write_sealed(path: &Path, sealed: &[u8]) -> Result<(), FileError> {
    let failed = |source| FileError::Write {
        path: path.to_owned(),
        source,
    };
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let mut new = OsString::from(".");
    new.push(name);
    new.push(".new");
    let new = folder.join(new);
    let replace = || {
        let mut file = create(&new)?;
        file.write_all(sealed)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder)?.sync_all()
    };
    replace().map_err(failed)
}

/// Makes a file that nobody had open before; what a power cut left there is removed first.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => (),
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Reads the file at `path`, if others than its owner may not. `None` if there is none.
pub fn read_sealed(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let failed = |source| FileError::Read {
        path: path.to_owned(),
        source,
    };
    let mut how = OpenOptions::new();
    how.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = match how.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let meta = file.metadata().map_err(failed)?;
    let mode = meta.permissions().mode() & 0o777;
    if !meta.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    if mode & 0o077 != 0 {
        return Err(FileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let n_bytes = usize::try_from(meta.len()).unwrap_or(MAX_SEALED).min(MAX_SEALED);
    let mut sealed = Zeroizing::new(Vec::with_capacity(n_bytes + 64));
    // One byte more than the format allows, for the format to refuse.
    file.take(MAX_SEALED as u64 + 1)
        .read_to_end(&mut sealed)
        .map_err(failed)?;
    Ok(Some(sealed))
}

/// Why the file of a sealed secret cannot be read or replaced.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// It cannot be replaced; the old one is still there.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Others may read it, or write to it.
    #[error("others than its owner have access to {} (mode {mode:04o})", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl FileError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read { .. } => "the daemon must own its state folder",
            Self::Write { .. } => "there must be room, and the daemon must own its state folder",
            Self::Exposed { .. } => "find out who had access, then `chmod 600` it",
        }
    }
}

#[cfg(test)]
mod tests;
