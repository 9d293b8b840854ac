//! The database's shape, and the way to it from every earlier shape.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::OpenStore;

/// Each entry leads from the version that is its index to the next. Never changed, only added to.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Pages that a connection keeps in memory, in KiB below zero.
const CACHE: i64 = -512;

/// The connection that writes. In WAL mode with `synchronous=FULL` each commit is on disk when it returns.
pub(crate) fn connect(path: &Path) -> Result<Connection, OpenStore> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | no_mutex())?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "foreign_keys", true)?;
        db.pragma_update(None, "cache_size", CACHE)?;
        db.set_prepared_statement_cache_capacity(64);
        Ok(db)
    };
    open().map_err(|source| unusable(path, source))
}

/// The connection that reads.
pub(crate) fn connect_reader(path: &Path) -> Result<Connection, OpenStore> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | no_mutex())?;
        db.busy_timeout(std::time::Duration::from_secs(5))?;
        db.pragma_update(None, "cache_size", CACHE)?;
        Ok(db)
    };
    open().map_err(|source| unusable(path, source))
}

/// Each connection is used by one thread at a time, which Rust sees to.
const fn no_mutex() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_NO_MUTEX
}

fn unusable(path: &Path, source: rusqlite::Error) -> OpenStore {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            OpenStore::Damaged {
                path,
                what: source.to_string(),
            }
        }
        _ => OpenStore::Prepare { path, source },
    }
}

/// Checks the database and brings it to the newest version.
pub(crate) fn prepare(db: &mut Connection, path: &Path) -> Result<(), OpenStore> {
    let failed = |source| unusable(path, source);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found: i64 = db
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed)?;
    if found > known {
        let path = path.to_owned();
        return Err(OpenStore::Newer { path, found, known });
    }
    check(db, path)?;
    let done = usize::try_from(found).unwrap_or(0);
    for (version, statements) in (1_i64..).zip(MIGRATIONS).skip(done) {
        let mut migrate = || -> rusqlite::Result<()> {
            let change = db.transaction()?;
            change.execute_batch(statements)?;
            change.pragma_update(None, "user_version", version)?;
            change.commit()
        };
        migrate().map_err(failed)?;
    }
    Ok(())
}

/// Gives back the memory that checking took: every page was read for it.
pub(crate) fn forget(db: &Connection, path: &Path) -> Result<(), OpenStore> {
    db.execute_batch("PRAGMA shrink_memory")
        .map_err(|source| unusable(path, source))
}

fn check(db: &Connection, path: &Path) -> Result<(), OpenStore> {
    let what: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|source| unusable(path, source))?;
    if what == "ok" {
        Ok(())
    } else {
        let path = path.to_owned();
        Err(OpenStore::Damaged { path, what })
    }
}
