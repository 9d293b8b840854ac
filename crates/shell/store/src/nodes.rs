//! Which nodes are armed, and which were ever armed: only the first apply of a node arms it by itself, and a
//! crash between two steps of an apply must not arm a node that has installed itself in the meantime.

use faros_model::ids::{Generation, HostName, MacAddr};
use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::{
    Store,
    error::StoreError,
    sql::{At, Bytes, Num, Text},
    writer::Admission,
};

/// What is remembered of a node's arming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: HostName,
    /// The MAC that network-booted when it was first armed.
    pub boot_mac: MacAddr,
    /// The generation that brought it.
    pub first_generation: Generation,
    /// Whether its next network boot installs it.
    pub armed: bool,
    /// When it was last armed or disarmed.
    pub changed_at: Timestamp,
    /// Who last armed or disarmed it.
    pub changed_by: String,
    /// When it last reported that it is installed.
    pub installed_at: Option<Timestamp>,
}

impl Store {
    /// Arms those of `nodes` that are new to the site, as the first apply of a node does; says which.
    pub async fn arm_new(
        &self,
        nodes: Vec<(HostName, MacAddr)>,
        generation: Generation,
        by: String,
        at: Timestamp,
    ) -> Result<Vec<HostName>, StoreError> {
        self.write(Admission::Always, move |db| {
            let mut insert = db.prepare_cached(
                "INSERT INTO nodes (name, boot_mac, first_generation, armed, changed_at, changed_by)
                 VALUES (?1, ?2, ?3, 1, ?4, ?5) ON CONFLICT (name) DO NOTHING",
            )?;
            let mut armed = vec![];
            for (name, mac) in nodes {
                let row = params![Text(&name), Bytes(mac.0), Num(generation.0), At(at), by];
                if insert.execute(row)? == 1 {
                    armed.push(name);
                }
            }
            Ok(armed)
        })
        .await
    }

    /// Arms a node that is known; whether it was not armed before.
    pub async fn arm(&self, name: HostName, by: String, at: Timestamp) -> Result<bool, StoreError> {
        self.write(Admission::Always, move |db| set_armed(db, &name, true, &by, at))
            .await
    }

    /// Disarms a node that is known; whether it was armed before.
    pub async fn disarm(&self, name: HostName, by: String, at: Timestamp) -> Result<bool, StoreError> {
        self.write(Admission::Always, move |db| set_armed(db, &name, false, &by, at))
            .await
    }

    /// Disarms a node because it is installed, and remembers when; whether it was armed before.
    pub async fn installed(&self, name: HostName, at: Timestamp) -> Result<bool, StoreError> {
        self.write(Admission::Always, move |db| {
            let was_armed = set_armed(db, &name, false, "faros", at)?;
            db.prepare_cached("UPDATE nodes SET installed_at = ?2 WHERE name = ?1")?
                .execute(params![Text(&name), At(at)])?;
            Ok(was_armed)
        })
        .await
    }

    /// Forgets nodes that left the site, their lives included: if they come back, they are new.
    pub async fn forget(&self, names: Vec<HostName>) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            let mut forget = db.prepare_cached("DELETE FROM nodes WHERE name = ?1")?;
            let mut bury = db.prepare_cached("DELETE FROM lives WHERE node = ?1")?;
            let mut revoke = db.prepare_cached("DELETE FROM passes WHERE node = ?1")?;
            for name in &names {
                forget.execute([Text(name)])?;
                bury.execute([Text(name)])?;
                revoke.execute([Text(name)])?;
            }
            Ok(())
        })
        .await
    }

    /// All nodes that were ever armed and not forgotten since, by name. Blocks.
    pub fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT name, boot_mac, first_generation, armed, changed_at, changed_by, installed_at
             FROM nodes ORDER BY name",
        )?;
        let nodes = rows.query_map([], node)?;
        Ok(nodes.collect::<rusqlite::Result<_>>()?)
    }
}

fn set_armed(
    db: &Connection,
    name: &HostName,
    armed: bool,
    by: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let was: Option<bool> = {
        use rusqlite::OptionalExtension;
        let mut rows = db.prepare_cached("SELECT armed FROM nodes WHERE name = ?1")?;
        rows.query_row([Text(name)], |row| row.get(0)).optional()?
    };
    match was {
        None => Err(StoreError::NoNode(name.clone())),
        Some(was) if was == armed => Ok(false),
        Some(_) => {
            db.prepare_cached(
                "UPDATE nodes SET armed = ?2, changed_at = ?3, changed_by = ?4 WHERE name = ?1",
            )?
            .execute(params![Text(name), armed, At(at), by])?;
            Ok(true)
        }
    }
}

fn node(row: &Row<'_>) -> rusqlite::Result<NodeRow> {
    Ok(NodeRow {
        name: row.get::<_, Text<HostName>>(0)?.0,
        boot_mac: row.get::<_, Bytes<6>>(1)?.into(),
        first_generation: Generation(row.get::<_, Num>(2)?.0),
        armed: row.get(3)?,
        changed_at: row.get::<_, At>(4)?.0,
        changed_by: row.get(5)?,
        installed_at: row.get::<_, Option<At>>(6)?.map(|at| at.0),
    })
}
