//! The state folder itself: private to its owner, and used by one daemon at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::error::OpenStore;

/// Makes a folder that only its owner may enter, or makes the one that is there so.
pub(crate) fn make_private(dir: &Path) -> Result<(), OpenStore> {
    let failed = |source| OpenStore::folder(dir, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed)?;
    let mode = fs::metadata(dir).map_err(failed)?.permissions().mode();
    if mode & 0o777 != 0o700 {
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Makes a file that only its owner may read, unless it is there. `SQLite` gives its other files the same mode.
pub(crate) fn touch_private(path: &Path) -> Result<(), OpenStore> {
    open_private(path)
        .map(drop)
        .map_err(|source| OpenStore::folder(path, source))
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut how = OpenOptions::new();
    how.read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    let file = how.open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// How long a child of a holder that was killed may hold the folder in its place: the moment between being made
/// and becoming another program, on a busy machine.
const HEIR: Duration = Duration::from_secs(1);

/// The same for a child of a holder that let it go in good order, and still runs.
const MOMENT: Duration = Duration::from_millis(50);

/// Held for as long as the folder is in use. The kernel lets it go when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

impl StateLock {
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenStore> {
        let path = dir.join("farosd.lock");
        let failed = |source| OpenStore::folder(&path, source);
        let mut file = open_private(&path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let mut text = String::new();
                    // The holder's name is told as far as it is known.
                    let read = file
                        .rewind()
                        .and_then(|()| (&mut file).take(32).read_to_string(&mut text));
                    let pid: Option<u32> = read.ok().and_then(|_| text.trim().parse().ok());
                    let is_dead = pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
                    if begun.elapsed() > if is_dead { HEIR } else { MOMENT } {
                        return Err(OpenStore::InUse {
                            path: dir.to_owned(),
                            pid,
                        });
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
        }
        let mut name = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        name().map_err(|source| OpenStore::folder(&path, source))?;
        Ok(Self { _file: file })
    }
}
