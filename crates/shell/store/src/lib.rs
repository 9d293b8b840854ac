//! Everything the bastion must remember, in one folder: a database and a content store.
//!
//! One thread owns the database's only writing connection. It takes what is queued, runs it as one transaction,
//! and tells the callers after the commit is on disk: a hundred leases cost one `fsync`, and none is acknowledged
//! that a power cut could take back. Reading has a connection of its own, so that a long look at the history does
//! not hold up a lease. The store decides nothing: who is armed and what is leased is said by its callers.
#![warn(missing_docs)]

mod balancer;
mod cluster;
mod content;
mod error;
mod events;
mod folder;
mod generations;
mod leases;
mod nodes;
mod schema;
mod sql;
mod unlock;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use rusqlite::Connection;

use self::{
    content::Blobs,
    folder::StateLock,
    writer::{Admission, Writer},
};
pub use self::{
    content::{AddContent, Import, Kind, OpenContent, Opened},
    error::{OpenStore, StoreError},
    events::EventQuery,
    generations::{Journal, JournalEntry},
    nodes::NodeRow,
};

/// How much is kept of what would grow for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events; the oldest go first.
    pub events: u64,
    /// Unknown machines; whoever was silent for longest goes first.
    pub discovered: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: 200_000,
            discovered: 512,
        }
    }
}

/// The open state folder. Clones share it; the last one to go writes what is queued and closes it.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    // Dropped in this order: the connection that closes last folds the log into the database, which only the
    // writing one can do.
    reader: Mutex<Connection>,
    writer: Writer,
    blobs: Blobs,
    limits: Limits,
    first_seq: u64,
    lost_events: Arc<AtomicU64>,
    dir: PathBuf,
}

impl Store {
    /// Opens the state folder `dir`, making it if it is not there. Blocks.
    pub fn open(dir: &Path) -> Result<Self, OpenStore> {
        Self::open_with(dir, Limits::default())
    }

    /// Opens the state folder `dir` with other limits than the usual ones.
    pub fn open_with(dir: &Path, limits: Limits) -> Result<Self, OpenStore> {
        folder::make_private(dir)?;
        let lock = StateLock::take(dir)?;
        let path = dir.join("faros.db");
        folder::touch_private(&path)?;
        let mut db = schema::connect(&path)?;
        schema::prepare(&mut db, &path)?;
        schema::forget(&db, &path)?;
        let reader = schema::connect_reader(&path)?;
        let first_seq = events::first_seq(&db).map_err(|source| OpenStore::Prepare {
            path: path.clone(),
            source,
        })?;
        let blobs = Blobs::open_dir(&dir.join("content"))?;
        let writer = Writer::start(db, lock).map_err(OpenStore::Thread)?;
        Ok(Self(Arc::new(Inner {
            writer,
            reader: Mutex::new(reader),
            blobs,
            limits,
            first_seq,
            lost_events: Arc::default(),
            dir: dir.to_owned(),
        })))
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Waits until everything that is queued so far is on disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(Admission::Always, |_| Ok(())).await
    }

    /// Queues a write; `done` hears of it after the commit.
    fn submit<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        self.0.writer.submit(admission, work, done);
    }

    /// Queues a write at once, so that what is called in order is written in order; the future waits for the commit.
    fn queue<T, W>(
        &self,
        admission: Admission,
        work: W,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (done, committed) = tokio::sync::oneshot::channel();
        self.submit(admission, work, |result| {
            // Whoever asked may have gone away, which does not undo the commit.
            drop(done.send(result));
        });
        async move { committed.await.unwrap_or(Err(StoreError::Stopped)) }
    }

    /// Writes, and waits for the commit.
    async fn write<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.queue(admission, work).await
    }

    /// Writes, and blocks until the commit. Not for async code.
    fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (done, committed) = std::sync::mpsc::channel();
        self.submit(Admission::Always, work, move |result| drop(done.send(result)));
        committed.recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// The reading connection. Blocks for as long as another reader reads.
    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.0.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.0.dir)
            .finish_non_exhaustive()
    }
}
