//! What the bastion remembers of its cluster.

use faros_cluster::Record;
use rusqlite::{OptionalExtension as _, params};

use crate::{Store, StoreError, sql::Json, writer::Admission};

const CLUSTER: &str = "cluster";

impl Store {
    /// What is remembered; empty at first. Blocks.
    pub fn cluster(&self) -> Result<Record, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
        let found = rows.query_row([CLUSTER], |row| Ok(row.get::<_, Json<Record>>(0)?.0));
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Keeps it; on disk when this returns.
    pub async fn put_cluster(&self, record: Record) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
                .execute(params![CLUSTER, Json(&record)])?;
            Ok(())
        })
        .await
    }
}
