//! Snapshots of the cluster's etcd: taken, checked, encrypted, kept, and let go.
//!
//! They lie in the state folder as age files to a key that follows from the cluster's root keys, so that they are as
//! well kept as those, on whatever disk, and a bastion that has the roots can open them. A copy for a drawer is
//! encrypted anew, to whom the operator names. Nothing of them is ever on the bastion's disk in the clear.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use faros_cluster::{
    Record,
    snapshots::{Name, is_due, surplus},
};
use faros_model::{api::SnapshotInfo, event::EventKind, site::Site};
use faros_seal::{Identities, Recipient, open_stream, seal_stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::{Majority, members::Members};
use crate::daemon::{Intent, Shared, lock};

const FOLDER: &str = "snapshots";
const ENDING: &str = ".age";
const PARTIAL: &str = "being-taken.partial";

/// What the key of snapshots is for: another use of the roots has another key.
const USE: &str = "faros.dev snapshots of etcd, 1";

/// How often it is looked whether one is due, and how soon one that failed is tried again.
const LOOK: SignedDuration = SignedDuration::from_mins(2);

/// The bastion's disk keeps so much free: everything else of it is worth more than one more snapshot.
const SPARE: u64 = 512 << 20;

/// What etcd appends: the SHA-256 of what comes before it.
const HASH: usize = 32;

/// Taking snapshots, one at a time.
#[derive(Default)]
pub(crate) struct Snapshots {
    taking: tokio::sync::Mutex<()>,
    looked: std::sync::Mutex<(Option<Timestamp>, String)>,
}

impl Snapshots {
    /// Looks at the next occasion whether one is due.
    pub(super) fn look_again(&self) {
        lock(&self.looked).0 = None;
    }
}

impl Shared {
    /// Those that the bastion has, oldest first.
    pub(crate) async fn snapshots(&self) -> anyhow::Result<Vec<SnapshotInfo>> {
        let all = apart(self.snapshot_folder(), |folder| list(&folder)).await?;
        Ok(all.into_iter().map(|(name, size)| info(name, size)).collect())
    }

    /// Takes one in the background if one is due: each hour, and once when etcd has lost its majority: nothing is
    /// written after that, and whoever restores it loses no more than the last moment.
    pub(super) fn keep_snapshots(self: &Arc<Self>, intent: &Arc<Intent>) {
        let now = Timestamp::now();
        {
            let mut looked = lock(&self.cluster.snapshots.looked);
            if looked
                .0
                .is_some_and(|at| at <= now && now.duration_since(at) < LOOK)
            {
                return;
            }
            looked.0 = Some(now);
        }
        let lost_at = match lock(&self.cluster.view).majority {
            // Snapshots have the time that the clock shows.
            Majority::Lost { since, .. } => Some(self.sightings.clock().shown(since)),
            Majority::There | Majority::Unknown => None,
        };
        let (shared, intent) = (Arc::clone(self), Arc::clone(intent));
        tokio::spawn(async move {
            let due = async {
                let all = apart(shared.snapshot_folder(), |folder| list(&folder)).await?;
                anyhow::Ok(is_due(all.into_iter().map(|(name, _)| name), lost_at, now))
            };
            let taken = match due.await {
                Ok(false) => return,
                Ok(true) => shared.take_snapshot(&intent.site, "farosd").await.map(drop),
                Err(error) => Err(error),
            };
            let why = taken.err().map(|error| format!("{error:#}")).unwrap_or_default();
            let before = std::mem::replace(&mut lock(&shared.cluster.snapshots.looked).1, why.clone());
            if !why.is_empty() && before != why {
                tracing::warn!("no snapshot of etcd: {why}");
                shared.tell(EventKind::SnapshotFailed, json!({ "message": why }));
            }
        });
    }

    /// Takes one now.
    pub(crate) async fn take_snapshot(&self, site: &Site, by: &str) -> anyhow::Result<SnapshotInfo> {
        let Ok(_one) = self.cluster.snapshots.taking.try_lock() else {
            bail!("a snapshot is being taken just now");
        };
        let key = self.snapshot_key()?;
        let began = Instant::now();
        let record: Record = self.cluster.deciding.lock().await.clone();
        // Without its majority etcd takes no writes; what the member has that has most is as near as can be to all of it.
        let Members { client, .. } = self.etcd(site, &record).await?;
        let status = client.status().await?;
        let name = Name {
            at: Timestamp::from_second(Timestamp::now().as_second())?,
            revision: status.revision,
        };
        let (feed, pieces) = mpsc::channel::<Vec<u8>>(8);
        let writing = apart(self.snapshot_folder(), move |folder| {
            let room = rustix::fs::statvfs(&folder).context("cannot look at the disk")?;
            let room = room.f_bavail.saturating_mul(room.f_frsize);
            ensure!(
                room >= status.size + SPARE,
                "the bastion's disk has {} MiB left",
                room >> 20
            );
            write(&folder, name, &key, pieces)
        });
        let reading = async {
            let mut snapshot = client.snapshot().await?;
            while let Some(piece) = snapshot.piece().await? {
                // The writer failed: its own error is told.
                if feed.send(piece).await.is_err() {
                    break;
                }
            }
            // The mark of a whole one.
            let _ = feed.send(Vec::new()).await;
            drop(feed);
            anyhow::Ok(())
        };
        let (read, written) = tokio::join!(reading, writing);
        read?;
        let (n_bytes, dropped) = written?;
        let detail = json!({
            "name": name.to_string(), "bytes": n_bytes, "revision": name.revision, "by": by,
            "milliseconds": u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX), "dropped": dropped,
        });
        self.tell(EventKind::SnapshotTaken, detail);
        Ok(info(name, n_bytes))
    }

    /// A copy for others, in pieces.
    pub(crate) async fn export_snapshot(
        &self,
        name: Name,
        recipients: Vec<Recipient>,
    ) -> anyhow::Result<mpsc::Receiver<io::Result<Bytes>>> {
        let key = self.snapshot_key()?;
        let path = path_of(&self.snapshot_folder(), name);
        let (feed, pieces) = mpsc::channel(8);
        let begun = tokio::task::spawn_blocking(move || {
            let file =
                BufReader::new(File::open(&path).with_context(|| format!("there is no snapshot {name}"))?);
            let from = open_stream(file, &key)?;
            let to = seal_stream(&recipients, Feed(feed.clone()))?;
            anyhow::Ok((from, to, feed))
        });
        let (mut from, mut to, feed) = begun.await??;
        tokio::task::spawn_blocking(move || {
            let done = io::copy(&mut from, &mut to).and_then(|_| to.finish());
            if let Err(error) = done {
                // Whoever reads must not take it for whole.
                let _ = feed.blocking_send(Err(error));
            }
        });
        Ok(pieces)
    }

    pub(super) fn snapshot_folder(&self) -> PathBuf {
        self.store.dir().join(FOLDER)
    }

    pub(super) fn snapshot_key(&self) -> anyhow::Result<Identities> {
        let roots = self.authority.held();
        let roots = roots.context("the cluster's root keys are not open")?;
        Ok(Identities::derived(&roots.secrets_key, USE))
    }
}

/// Bytes that go to whoever reads the answer.
struct Feed(mpsc::Sender<io::Result<Bytes>>);

impl Write for Feed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Ok(Bytes::copy_from_slice(bytes));
        let sent = self.0.blocking_send(piece);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn apart<T: Send + 'static>(
    folder: PathBuf,
    work: impl FnOnce(PathBuf) -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(move || {
        let mut how = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(how.recursive(true), 0o700)
            .create(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        work(folder)
    })
    .await?
}

pub(super) fn path_of(folder: &Path, name: Name) -> PathBuf {
    folder.join(format!("{name}{ENDING}"))
}

fn info(name: Name, size: u64) -> SnapshotInfo {
    SnapshotInfo {
        name: name.to_string(),
        at: name.at,
        revision: name.revision,
        size,
    }
}

/// What is there, oldest first.
fn list(folder: &Path) -> anyhow::Result<Vec<(Name, u64)>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let entry = entry.with_context(cannot)?;
        let file = entry.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(ENDING));
        if let Some(name) = name.and_then(|name| name.parse::<Name>().ok()) {
            all.push((name, entry.metadata().with_context(cannot)?.len()));
        }
    }
    all.sort_unstable();
    Ok(all)
}

/// Writes the pieces until an empty one, and checks them; its size, and how many others were let go for it.
fn write(
    folder: &Path,
    name: Name,
    key: &Identities,
    mut pieces: mpsc::Receiver<Vec<u8>>,
) -> anyhow::Result<(u64, usize)> {
    let partial = folder.join(PARTIAL);
    let cannot = || format!("cannot write {}", partial.display());
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .with_context(cannot)?;
    let mut sealed = seal_stream(&key.recipients(), BufWriter::new(file))?;
    let (mut hash, mut tail, mut n_bytes) = (Sha256::new(), Vec::new(), 0);
    loop {
        let Some(piece) = pieces.blocking_recv() else {
            bail!("etcd broke off");
        };
        if piece.is_empty() {
            break;
        }
        sealed.write_all(&piece).with_context(cannot)?;
        n_bytes += piece.len();
        tail.extend(piece);
        let n_hashed = tail.len().saturating_sub(HASH);
        hash.update(&tail[..n_hashed]);
        tail.drain(..n_hashed);
    }
    ensure!(
        n_bytes % 512 == HASH && hash.finalize().as_slice() == tail,
        "what etcd sent is no whole snapshot: its SHA-256 is another"
    );
    let file = sealed.finish().with_context(cannot)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error);
    let file = file.with_context(cannot)?;
    file.sync_all().with_context(cannot)?;
    let size = file.metadata().with_context(cannot)?.len();
    fs::rename(&partial, path_of(folder, name)).with_context(cannot)?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .with_context(cannot)?;
    let dropped = surplus(&list(folder)?);
    for own in &dropped {
        let path = path_of(folder, *own);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok((size, dropped.len()))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn name(hour: i64) -> Name {
        Name {
            at: Timestamp::from_second(1_795_000_000 + hour * 3600).unwrap(),
            revision: 7,
        }
    }

    /// A database as etcd sends it, with its hash behind it.
    fn database() -> Vec<u8> {
        let mut bytes = vec![0x5a; 512 * 300];
        bytes.extend(Sha256::digest(&bytes).as_slice());
        bytes
    }

    /// Writes these bytes in pieces of a size; with its end, if `is_whole`.
    fn written(folder: &Path, hour: i64, bytes: &[u8], is_whole: bool) -> anyhow::Result<(u64, usize)> {
        let (feed, pieces) = mpsc::channel(1000);
        for piece in bytes.chunks(1000) {
            feed.try_send(piece.to_vec())?;
        }
        if is_whole {
            feed.try_send(vec![])?;
        }
        drop(feed);
        write(folder, name(hour), &Identities::derived(&[7; 32], USE), pieces)
    }

    #[test]
    fn what_etcd_sent_is_kept_encrypted_and_comes_back() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let (size, dropped) = written(folder, 0, &database(), true)?;
        assert_eq!(dropped, 0);
        assert_eq!(list(folder)?, [(name(0), size)]);
        let kept = fs::read(path_of(folder, name(0)))?;
        assert!(!kept.windows(16).any(|own| own == [0x5a; 16]));
        let mut again = Vec::new();
        open_stream(kept.as_slice(), &Identities::derived(&[7; 32], USE))?.read_to_end(&mut again)?;
        assert!(again == database());
        Ok(())
    }

    #[test]
    fn what_is_not_whole_is_not_kept() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        let mut changed = database();
        changed[1000] = 0;
        for (bytes, is_whole) in [
            (changed.as_slice(), true),
            (&database()[..512 * 299], true),
            (&database(), false),
            (&[], true),
        ] {
            assert!(written(folder, 0, bytes, is_whole).is_err());
        }
        assert!(list(folder)?.is_empty());
        Ok(())
    }

    #[test]
    fn old_ones_are_let_go_when_a_new_one_is_there() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let folder = folder.path();
        fs::write(folder.join("20261118T110640Z-r7.txt"), "somebody else's")?;
        let mut dropped = 0;
        for hour in 0..20 {
            dropped += written(folder, hour, &database(), true)?.1;
        }
        assert_eq!((list(folder)?.len(), dropped), (12, 8));
        assert!(folder.join("20261118T110640Z-r7.txt").exists());
        Ok(())
    }
}
