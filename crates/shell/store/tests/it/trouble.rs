//! Full disks, read-only folders, second daemons, newer and damaged databases.
//!
//! The tests that need a file system of their own start this test binary again in a mount namespace (`unshare
//! -m`); without root they say so and do nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use faros_boot::Changes;
use faros_store::{OpenStore, Store};

use crate::world::{Outcome, entry, lease, reopen, store};

const MOUNTED: &str = "FAROS_STORE_TEST_MOUNT";

/// Runs the test called `test` again, in a namespace in which `mount` has made `$D` a file system of its own.
/// Answers its folder in the inner run, and `None` in the outer one, which is done then.
fn in_own_mount(test: &str, mount: &str) -> Result<Option<std::path::PathBuf>, Box<dyn std::error::Error>> {
    if let Some(dir) = std::env::var_os(MOUNTED) {
        return Ok(Some(dir.into()));
    }
    if !rustix::process::geteuid().is_root() {
        eprintln_skip(test);
        return Ok(None);
    }
    let dir = tempfile::tempdir()?;
    let me = std::env::current_exe()?;
    let script = format!("{mount} && exec \"$0\" --exact \"$1\" --nocapture");
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .arg(me)
        .arg(test)
        .env("D", dir.path())
        .env(MOUNTED, dir.path())
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
    Ok(None)
}

#[expect(clippy::print_stderr, reason = "a test that did nothing must say so")]
fn eprintln_skip(test: &str) {
    eprintln!("{test}: not run, it needs root for a file system of its own");
}

#[test]
fn the_folder_and_its_files_are_private() -> Outcome {
    let dir = tempfile::tempdir()?;
    let state = dir.path().join("a/state");
    fs::create_dir_all(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755))?;
    let store = Store::open(&state)?;
    store.record(vec![], Changes::default());
    let mode = |path: &Path| fs::metadata(path).map(|meta| meta.permissions().mode() & 0o777);
    assert_eq!(mode(&state)?, 0o700);
    let mut names = vec![];
    for file in fs::read_dir(&state)? {
        let path = file?.path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path)?, expected, "{}", path.display());
        names.push(
            path.file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    assert_eq!(
        names,
        [
            "content",
            "faros.db",
            "faros.db-shm",
            "faros.db-wal",
            "farosd.lock"
        ]
    );
    Ok(())
}

#[test]
fn a_second_daemon_is_told_who_has_the_folder() -> Outcome {
    let (_dir, store) = store()?;
    let second = Store::open(store.dir())
        .err()
        .ok_or("two daemons share a folder")?;
    let expected = format!("is in use by process {}", std::process::id());
    assert!(second.to_string().ends_with(&expected), "{second}");
    assert!(second.hint().is_some());
    reopen(store)?;
    Ok(())
}

#[test]
fn a_newer_database_is_left_alone() -> Outcome {
    let (_dir, store) = store()?;
    let dir = store.dir().to_owned();
    drop(store);
    let db = rusqlite::Connection::open(dir.join("faros.db"))?;
    db.pragma_update(None, "user_version", 99)?;
    drop(db);
    let refused = Store::open(&dir).err().ok_or("a newer database was opened")?;
    assert!(
        matches!(
            refused,
            OpenStore::Newer {
                found: 99,
                known: 2,
                ..
            }
        ),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn a_damaged_database_is_not_used() -> Outcome {
    let (_dir, store) = store()?;
    let dir = store.dir().to_owned();
    for n in 0..3000 {
        store.append_leases(vec![lease(n)], Box::new(|_| ()));
    }
    drop(store);
    let path = dir.join("faros.db");
    let mut bytes = fs::read(&path)?;
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&path, &bytes)?;
    let refused = Store::open(&dir).err().ok_or("a damaged database was opened")?;
    assert!(matches!(refused, OpenStore::Damaged { .. }), "{refused:?}");
    fs::write(
        &path,
        "this is no database, and it is longer than a header, which has a hundred bytes or so; see there",
    )?;
    let refused = Store::open(&dir).err().ok_or("no database was opened")?;
    assert!(matches!(refused, OpenStore::Damaged { .. }), "{refused:?}");
    Ok(())
}

#[test]
fn a_read_only_folder_is_refused_with_a_hint() -> Outcome {
    let mount = "mount -t tmpfs -o ro none \"$D\"";
    let Some(dir) = in_own_mount("trouble::a_read_only_folder_is_refused_with_a_hint", mount)? else {
        return Ok(());
    };
    for dir in [dir.clone(), dir.join("state")] {
        let refused = Store::open(&dir).err().ok_or("a read-only folder was opened")?;
        assert!(matches!(refused, OpenStore::ReadOnly { .. }), "{refused:?}");
        assert!(refused.hint().is_some_and(|hint| hint.contains("--state-dir")));
    }
    Ok(())
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_and_all_goes_on_when_there_is_room() -> Outcome {
    let mount = "mount -t tmpfs -o size=2m none \"$D\"";
    let test = "trouble::on_a_full_disk_nothing_is_acknowledged_and_all_goes_on_when_there_is_room";
    let Some(dir) = in_own_mount(test, mount)? else {
        return Ok(());
    };
    let store = Store::open(&dir.join("state"))?;
    store.put_lease(lease(0)).await?;

    let mut import = store.import("big".parse()?)?;
    let refused = loop {
        if let Err(refused) = import.write(&[7; 8 * 1024]) {
            break refused;
        }
    };
    assert!(refused.is_disk_full() && refused.hint().is_some(), "{refused:?}");
    drop(import);
    assert_eq!(fs::read_dir(dir.join("state/content/tmp"))?.count(), 0);
    assert_eq!(store.contents()?, []);

    let ballast = dir.join("ballast");
    let mut bytes = 4 << 20;
    while bytes >= 512 {
        // Fills the disk to its last page, and is meant to fail.
        let grown = fs::metadata(&ballast).map_or(0, |meta| meta.len());
        let file = fs::OpenOptions::new().create(true).append(true).open(&ballast)?;
        if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), grown, bytes).is_err() {
            bytes /= 2;
        }
    }
    let mut written = vec![];
    let mut n = 1;
    let refused = loop {
        match store.put_lease(lease(n)).await {
            Ok(()) => written.push(n),
            Err(refused) => break refused,
        }
        n += 1;
    };
    assert!(refused.is_disk_full() && refused.hint().is_some(), "{refused:?}");
    assert!(store.begin(entry(1)).await.is_err());
    assert_eq!(store.leases()?.len(), 1 + written.len(), "it still reads");

    fs::remove_file(&ballast)?;
    store.put_lease(lease(9999)).await?;
    store.begin(entry(1)).await?;
    let store = reopen(store)?;
    assert_eq!(store.leases()?.len(), 2 + written.len());
    assert!(store.open_journal()?.is_some());
    Ok(())
}
