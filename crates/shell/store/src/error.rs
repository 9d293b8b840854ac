//! What may fail, by step, with a hint for whoever is to mend it.

use std::{io, path::PathBuf, sync::Arc};

use faros_model::ids::{Generation, HostName};

/// Why a state folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStore {
    /// It cannot be made, or made private.
    #[error("cannot prepare the state folder {}", path.display())]
    Folder {
        /// Which folder or file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// The file system it is on is mounted read-only.
    #[error("the state folder {} cannot be written to", path.display())]
    ReadOnly {
        /// Which folder or file.
        path: PathBuf,
        /// What failed.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("the state folder {} is in use by {}", path.display(), holder(*pid))]
    InUse {
        /// Which folder.
        path: PathBuf,
        /// The other process, if it said who it is.
        pid: Option<u32>,
    },
    /// The database cannot be opened or read.
    #[error("cannot open the database {}", path.display())]
    Prepare {
        /// Which file.
        path: PathBuf,
        /// What failed.
        source: rusqlite::Error,
    },
    /// A newer program wrote it.
    #[error("the database {} has version {found}, and this program knows versions up to {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known.
        known: i64,
    },
    /// It is not what was written.
    #[error("the database {} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the check says.
        what: String,
    },
    /// The writer cannot be started.
    #[error("cannot start the thread that writes the database")]
    Thread(#[source] io::Error),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenStore {
    pub(crate) fn folder(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                Self::ReadOnly { path, source }
            }
            _ => Self::Folder { path, source },
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Folder { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("the disk is full; make room and start again")
            }
            Self::Folder { .. } | Self::Thread(_) => None,
            Self::ReadOnly { .. } => Some(
                "farosd must own its state folder, on a file system that is mounted read-write; see --state-dir",
            ),
            Self::InUse { .. } => {
                Some("stop the other farosd first, or give this one a folder of its own with --state-dir")
            }
            Self::Prepare { .. } => Some("farosd must own its state folder, and the disk must have room"),
            Self::Newer { .. } => Some("start the newer farosd, or restore a backup that this version made"),
            Self::Damaged { .. } => {
                Some("restore a backup, or move the file away to start with an empty history")
            }
        }
    }
}

/// Why something was not written, or cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("cannot use the database")]
    Database(#[source] Arc<rusqlite::Error>),
    /// The transaction it was part of was taken back; nothing of it is on disk.
    #[error("the transaction was rolled back")]
    RolledBack,
    /// More is queued than may be.
    #[error("too many writes are waiting")]
    Busy,
    /// The store is closed.
    #[error("the store is closed")]
    Stopped,
    /// An apply is under way, so no other can begin.
    #[error("an apply of generation {0} is under way")]
    ApplyUnderWay(Generation),
    /// No apply is under way.
    #[error("no apply is under way")]
    NoApply,
    /// The generation was accepted before.
    #[error("generation {0} was accepted before")]
    Accepted(Generation),
    /// The node was never armed or accepted.
    #[error("no node {0} is known")]
    NoNode(HostName),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl StoreError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Database(error) => error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Database(_) if self.is_disk_full() => {
                Some("the disk of the state folder is full; make room, no restart is needed")
            }
            Self::ApplyUnderWay(_) => Some("wait for it, or see `farosctl status`"),
            _ => None,
        }
    }
}
