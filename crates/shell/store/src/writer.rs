//! Group commit: one thread, one transaction for all that is queued, one `fsync`, then everyone is told.
//!
//! Each write is fenced by a savepoint, so one that is refused does not take the others with it. If the disk
//! refuses, all of the group hear of it and none is acknowledged; the thread goes on, for the disk may have room
//! again a minute later.
//!
//! What nobody waits for has no sync of its own while more comes: it goes with what comes next, or a moment later. What
//! packets cause is on its way to the disk at once, unless a group has just been: then it waits for others a little.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use faros_model::chain::Chain;
use rusqlite::Connection;
use tracing::{error, info};

use crate::{error::StoreError, folder::StateLock};

/// So many writes share a commit at most, so that the first of them does not wait for ever.
const GROUP: usize = 1024;

/// So many writes may wait before further ones are turned away.
const MAX_QUEUED: usize = 16 * 1024;

/// For how long a write that nobody waits for waits for others, from when it came.
const MOMENT: Duration = Duration::from_millis(2);

/// For how long one that a packet causes waits for others, from when the last group began: a flood of them has not a
/// sync for every few.
const SPACE: Duration = Duration::from_millis(5);

/// Whether a write may be turned away when too many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Packets cause it, so there is no end to how many there may be.
    IfRoom,
    /// The same, and nobody waits for it.
    Later,
    /// An operator or the daemon itself causes it.
    Always,
}

type Work = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Worked + Send>;
type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A write that was carried out, as far as the transaction goes.
struct Worked {
    /// Why it was refused, if it was.
    refused: Option<StoreError>,
    /// Tells the caller, once the fate of the transaction is known.
    finish: Finish,
}

/// The writing thread and its queue.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    work: VecDeque<Work>,
    /// Since when there is any.
    since: Option<Instant>,
    /// Whether a packet's sender waits for any of it.
    is_awaited: bool,
    /// Whether it is to begin at once.
    is_urgent: bool,
    /// When the last group began.
    begun: Option<Instant>,
    closed: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread, which owns the connection from now on, and lets go of the folder when it has closed it.
    pub(crate) fn start(db: Connection, lock: StateLock) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let thread = thread::Builder::new().name("faros-store".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || {
                run(&db, &queue);
                drop(db);
                drop(lock);
            }
        })?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Queues `work`; `done` hears what became of it, on the writing thread after the commit, or at once if it
    /// cannot be queued.
    pub(crate) fn submit<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let mut waiting = self.queue.lock();
        let refusal = match admission {
            _ if waiting.closed => Some(StoreError::Stopped),
            Admission::IfRoom | Admission::Later if waiting.work.len() >= MAX_QUEUED => {
                Some(StoreError::Busy)
            }
            Admission::IfRoom | Admission::Later | Admission::Always => None,
        };
        if let Some(why) = refusal {
            drop(waiting);
            done(Err(why));
            return;
        }
        waiting.work.push_back(Box::new(|db| {
            let result = db.and_then(work);
            Worked {
                refused: result.as_ref().err().cloned(),
                finish: Box::new(|verdict| done(result.and_then(|value| verdict.map(|()| value)))),
            }
        }));
        let is_first = waiting.since.is_none();
        if is_first {
            waiting.since = Some(Instant::now());
        }
        let before = (waiting.is_awaited, waiting.is_urgent);
        waiting.is_awaited |= admission != Admission::Later;
        waiting.is_urgent |= admission == Admission::Always;
        let is_sooner = before != (waiting.is_awaited, waiting.is_urgent);
        let is_group = waiting.work.len() == GROUP;
        drop(waiting);
        // Else the thread knows already when to begin.
        if is_first || is_sooner || is_group {
            self.queue.wake.notify_one();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_one();
        let Some(thread) = self.thread.take() else { return };
        // The last handle may go away inside a `done`, on the thread itself, which then ends by itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            error!("the thread that writes the database panicked");
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group; `None` when the queue is closed and empty.
    fn next(&self) -> Option<Vec<Work>> {
        let mut waiting = self.lock();
        loop {
            let due = match waiting.since {
                None if waiting.closed => return None,
                None => None,
                Some(_) if waiting.is_urgent || waiting.closed || waiting.work.len() >= GROUP => break,
                Some(_) if waiting.is_awaited => match waiting.begun {
                    None => break,
                    Some(begun) => Some(begun + SPACE),
                },
                Some(since) => Some(since + MOMENT),
            };
            waiting = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    let woken = self.wake.wait_timeout(waiting, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let group = waiting.work.len().min(GROUP);
        let group = waiting.work.drain(..group).collect();
        let now = Instant::now();
        waiting.begun = Some(now);
        // Who waits for what is left has waited long enough.
        let is_left = !waiting.work.is_empty();
        waiting.since = is_left.then_some(now);
        (waiting.is_awaited, waiting.is_urgent) = (is_left, is_left);
        Some(group)
    }
}

/// However the thread ends, nobody waits for it afterwards.
struct CloseAtEnd<'q>(&'q Queue);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        let left = std::mem::take(&mut waiting.work);
        drop(waiting);
        for work in left {
            let worked = work(Err(StoreError::Stopped));
            (worked.finish)(Err(StoreError::Stopped));
        }
    }
}

fn run(db: &Connection, queue: &Queue) {
    let close = CloseAtEnd(queue);
    let mut works = true;
    while let Some(group) = queue.next() {
        let (verdict, finishes) = commit(db, group);
        // Said once when it begins and once when it ends, not for each write of a storm.
        match &verdict {
            Err(why) if works => error!(reason = %Chain(why), "cannot write to the database"),
            Ok(()) if !works => info!("the database can be written to again"),
            Ok(()) | Err(_) => (),
        }
        works = verdict.is_ok();
        for finish in finishes {
            finish(verdict.clone());
        }
    }
    drop(close);
}

/// Runs a group as one transaction: what became of it, and everyone who is to be told.
fn commit(db: &Connection, group: Vec<Work>) -> (Result<(), StoreError>, Vec<Finish>) {
    let mut verdict = execute(db, "BEGIN IMMEDIATE");
    let mut finishes = Vec::with_capacity(group.len());
    for work in group {
        let fenced = verdict.clone().and_then(|()| execute(db, "SAVEPOINT one"));
        let worked = work(fenced.clone().map(|()| db));
        finishes.push(worked.finish);
        if let Err(why) = fenced {
            verdict = verdict.and(Err(why));
            continue;
        }
        let unfenced = match &worked.refused {
            None => execute(db, "RELEASE one"),
            // On a full disk SQLite takes back the whole transaction by itself, the other writes included.
            Some(why) if db.is_autocommit() => Err(why.clone()),
            Some(_) => execute(db, "ROLLBACK TO one").and_then(|()| execute(db, "RELEASE one")),
        };
        verdict = verdict.and(unfenced);
    }
    let verdict = verdict.and_then(|()| execute(db, "COMMIT"));
    if verdict.is_err() && !db.is_autocommit() {
        // Whether or not this works, nobody was told that anything was written.
        drop(execute(db, "ROLLBACK"));
    }
    (verdict, finishes)
}

fn execute(db: &Connection, statement: &str) -> Result<(), StoreError> {
    db.prepare_cached(statement)?.execute([])?;
    Ok(())
}
