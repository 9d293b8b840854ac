//! What the operator wants of the balancer, beyond the site file.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension as _, params};

use crate::{Store, error::StoreError, sql::Json, writer::Admission};

const DRAINED: &str = "drained";

impl Store {
    /// The names of servers that get no new connections by the operator's will. Blocks.
    pub fn drained(&self) -> Result<BTreeSet<String>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
        let found = rows.query_row([DRAINED], |row| Ok(row.get::<_, Json<BTreeSet<String>>>(0)?.0));
        Ok(found.optional()?.unwrap_or_default())
    }

    /// Keeps them; on disk when this returns.
    pub async fn set_drained(&self, names: BTreeSet<String>) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
                .execute(params![DRAINED, Json(&names)])?;
            Ok(())
        })
        .await
    }
}
