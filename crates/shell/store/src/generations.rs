//! Generations and the journal: what was accepted, and how far the apply under way has come.
//!
//! An apply is written down before its first step and struck off in the same transaction that accepts its
//! generation, so a crash finds it either open, with the number of steps done, or accepted.

use faros_model::{
    api::GenerationInfo,
    ids::{Digest, Generation},
    plan::Plan,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest as _, Sha256};

use crate::{
    Store,
    error::StoreError,
    sql::{At, Bytes, Json, Num},
    writer::Admission,
};

/// An apply that is to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// The text of the site file.
    pub site_file: String,
    /// What will be done; `plan.next` is the generation that it makes.
    pub plan: Plan,
    /// Who asked for it.
    pub by: String,
    /// When it begins.
    pub at: Timestamp,
    /// The generation whose file this is, if it is a rollback.
    pub rollback_of: Option<Generation>,
    /// What it changes, in one line.
    pub summary: String,
}

/// The apply under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// What it is.
    pub entry: JournalEntry,
    /// How many steps are done.
    pub steps_done: usize,
}

impl Journal {
    /// The generation that it makes.
    pub const fn generation(&self) -> Generation {
        self.entry.plan.next
    }
}

const GENERATION: &str = "generation, accepted_at, accepted_by, rollback_of, summary, digest";

impl Store {
    /// Writes down that an apply begins. Refused while another one is open.
    pub async fn begin(&self, entry: JournalEntry) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            if let Some(open) = open_journal(db)? {
                return Err(StoreError::ApplyUnderWay(open.generation()));
            }
            let next = entry.plan.next;
            if newest(db)?.is_some_and(|newest| newest >= next) {
                return Err(StoreError::Accepted(next));
            }
            db.prepare_cached(
                "INSERT INTO applies (generation, site_file, plan, begun_by, begun_at, rollback_of, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                Num(next.0),
                entry.site_file,
                Json(&entry.plan),
                entry.by,
                At(entry.at),
                entry.rollback_of.map(|generation| Num(generation.0)),
                entry.summary,
            ])?;
            Ok(())
        })
        .await
    }

    /// Writes down that the first `done` steps of the open apply are done.
    pub async fn steps_done(&self, done: usize) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            let done = Num(done as u64);
            let changed = db
                .prepare_cached("UPDATE applies SET steps_done = ?1 WHERE outcome IS NULL")?
                .execute([done])?;
            if changed == 1 {
                Ok(())
            } else {
                Err(StoreError::NoApply)
            }
        })
        .await
    }

    /// Accepts the generation of the open apply and strikes the apply off, both or neither.
    pub async fn accept(&self, at: Timestamp) -> Result<GenerationInfo, StoreError> {
        self.write(Admission::Always, move |db| {
            let Some(open) = open_journal(db)? else {
                return Err(StoreError::NoApply);
            };
            let steps = Num(open.entry.plan.steps.len() as u64);
            let generation = open.generation();
            let entry = open.entry;
            let digest = Digest(Sha256::digest(&entry.site_file).into());
            db.prepare_cached(
                "INSERT INTO generations
                     (generation, site_file, digest, accepted_by, accepted_at, rollback_of, summary)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                Num(generation.0),
                entry.site_file,
                Bytes(digest.0),
                entry.by,
                At(at),
                entry.rollback_of.map(|of| Num(of.0)),
                entry.summary,
            ])?;
            db.prepare_cached(
                "UPDATE applies SET outcome = 'accepted', steps_done = ?1 WHERE outcome IS NULL",
            )?
            .execute([steps])?;
            Ok(GenerationInfo {
                generation,
                accepted_at: at,
                by: entry.by,
                rollback_of: entry.rollback_of,
                summary: entry.summary,
                digest,
                site_file: Some(entry.site_file),
            })
        })
        .await
    }

    /// Strikes the open apply off as abandoned, and keeps the reason.
    pub async fn abandon(&self, reason: String) -> Result<(), StoreError> {
        self.write(Admission::Always, move |db| {
            let changed = db
                .prepare_cached(
                    "UPDATE applies SET outcome = 'abandoned', reason = ?1 WHERE outcome IS NULL",
                )?
                .execute([reason])?;
            if changed == 1 {
                Ok(())
            } else {
                Err(StoreError::NoApply)
            }
        })
        .await
    }

    /// The apply that is under way, or that a crash interrupted. Blocks.
    pub fn open_journal(&self) -> Result<Option<Journal>, StoreError> {
        open_journal(&self.reader())
    }

    /// The generation that runs, with its file. Blocks.
    pub fn latest_generation(&self) -> Result<Option<GenerationInfo>, StoreError> {
        let newest = newest(&self.reader())?;
        newest.map_or(Ok(None), |newest| self.generation(newest))
    }

    /// One generation, with its file. Blocks.
    pub fn generation(&self, generation: Generation) -> Result<Option<GenerationInfo>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!(
            "SELECT {GENERATION}, site_file FROM generations WHERE generation = ?1"
        ))?;
        let with_file = |row: &Row<'_>| {
            Ok(GenerationInfo {
                site_file: Some(row.get(6)?),
                ..info(row)?
            })
        };
        Ok(rows.query_row([Num(generation.0)], with_file).optional()?)
    }

    /// All generations, newest first, without their files. Blocks.
    pub fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!(
            "SELECT {GENERATION} FROM generations ORDER BY generation DESC"
        ))?;
        let generations = rows.query_map([], info)?;
        Ok(generations.collect::<rusqlite::Result<_>>()?)
    }
}

fn newest(db: &Connection) -> rusqlite::Result<Option<Generation>> {
    let mut rows = db.prepare_cached("SELECT max(generation) FROM generations")?;
    let newest: Option<Num> = rows.query_row([], |row| row.get(0))?;
    Ok(newest.map(|newest| Generation(newest.0)))
}

fn open_journal(db: &Connection) -> Result<Option<Journal>, StoreError> {
    let mut rows = db.prepare_cached(
        "SELECT site_file, plan, begun_by, begun_at, rollback_of, summary, steps_done
         FROM applies WHERE outcome IS NULL",
    )?;
    let journal = rows.query_row([], |row| {
        let entry = JournalEntry {
            site_file: row.get(0)?,
            plan: row.get::<_, Json<Plan>>(1)?.0,
            by: row.get(2)?,
            at: row.get::<_, At>(3)?.0,
            rollback_of: row.get::<_, Option<Num>>(4)?.map(|of| Generation(of.0)),
            summary: row.get(5)?,
        };
        let steps_done: u32 = row.get(6)?;
        Ok(Journal {
            entry,
            steps_done: steps_done as usize,
        })
    });
    Ok(journal.optional()?)
}

fn info(row: &Row<'_>) -> rusqlite::Result<GenerationInfo> {
    Ok(GenerationInfo {
        generation: Generation(row.get::<_, Num>(0)?.0),
        accepted_at: row.get::<_, At>(1)?.0,
        by: row.get(2)?,
        rollback_of: row.get::<_, Option<Num>>(3)?.map(|of| Generation(of.0)),
        summary: row.get(4)?,
        digest: row.get::<_, Bytes<32>>(5)?.into(),
        site_file: None,
    })
}
