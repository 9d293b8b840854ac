//! What unlocking must remember: the ledger of bindings, whether the site is locked down, and the passes by which
//! a boot has its Ignition config once.

use faros_boot::Pass;
use faros_model::{api::Lockdown, ids::HostName};
use faros_unlock::{Binding, Learned};
use rusqlite::{OptionalExtension as _, params};

use crate::{
    Store,
    error::StoreError,
    sql::{At, Json, Text},
    writer::Admission,
};

const LOCKDOWN: &str = "lockdown";

impl Store {
    /// All bindings of nodes to unlock keys. Blocks.
    pub fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        let db = self.reader();
        let mut rows =
            db.prepare_cached("SELECT node, key, since, last, seen FROM bindings ORDER BY node, key")?;
        let bindings = rows.query_map([], |row| {
            Ok(Binding {
                node: row.get::<_, Text<HostName>>(0)?.0,
                key: row.get(1)?,
                since: row.get::<_, At>(2)?.0,
                last: row.get::<_, At>(3)?.0,
                seen: row.get::<_, Json<_>>(4)?.0,
            })
        })?;
        Ok(bindings.collect::<rusqlite::Result<_>>()?)
    }

    /// Keeps what the ledger learned of `node`. It is queued when this returns, and on disk when the future does.
    #[must_use = "it may fail"]
    pub fn learn_binding(
        &self,
        node: HostName,
        learned: Learned,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.queue(Admission::Always, move |db| {
            let mut drop = db.prepare_cached("DELETE FROM bindings WHERE node = ?1 AND key = ?2")?;
            for key in &learned.dropped {
                drop.execute(params![Text(&node), key])?;
            }
            if let Some(own) = &learned.kept {
                db.prepare_cached(
                    "INSERT INTO bindings (node, key, since, last, seen) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (node, key) DO UPDATE SET last = ?4, seen = ?5",
                )?
                .execute(params![
                    Text(&own.node),
                    own.key,
                    At(own.since),
                    At(own.last),
                    Json(own.seen)
                ])?;
            }
            Ok(())
        })
    }

    /// The lockdown, if there is one. Blocks.
    pub fn lockdown(&self) -> Result<Option<Lockdown>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
        let found = rows.query_row([LOCKDOWN], |row| Ok(row.get::<_, Json<Lockdown>>(0)?.0));
        Ok(found.optional()?)
    }

    /// Stops all unlocking, or allows it again; on disk when this returns.
    pub async fn set_lockdown(&self, lockdown: Option<Lockdown>) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            match &lockdown {
                Some(lockdown) => db
                    .prepare_cached("INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)")?
                    .execute(params![LOCKDOWN, Json(lockdown)])?,
                None => db
                    .prepare_cached("DELETE FROM settings WHERE name = ?1")?
                    .execute([LOCKDOWN])?,
            };
            Ok(())
        })
        .await
    }

    /// The pass that a node was given last. Blocks.
    pub fn pass(&self, node: &HostName) -> Result<Option<Pass>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT pass FROM passes WHERE node = ?1")?;
        let found = rows.query_row([Text(node)], |row| Ok(row.get::<_, Json<Pass>>(0)?.0));
        Ok(found.optional()?)
    }

    /// Keeps a node's pass, instead of the one before; on disk when this returns.
    pub async fn put_pass(&self, pass: Pass) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            db.prepare_cached("INSERT OR REPLACE INTO passes (node, pass) VALUES (?1, ?2)")?
                .execute(params![Text(&pass.node), Json(&pass)])?;
            Ok(())
        })
        .await
    }
}
