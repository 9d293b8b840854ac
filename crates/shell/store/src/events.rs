//! The flight recorder's memory: events, and with them where each node is in its life.
//!
//! The recorder numbers events before they are on disk, because they are shown live. So that no number is ever
//! used twice, not even after a crash, numbers are set aside in blocks, ahead of their use; a clean end gives
//! the rest of the block back.

use std::sync::atomic::Ordering;

use faros_boot::{Changes, NodeRecord};
use faros_model::{
    api::Discovered,
    event::{Event, EventKind},
    ids::{HostName, SessionId},
};
use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};

use crate::{
    Inner, Limits, Store,
    error::StoreError,
    sql::{At, Bytes, Ip, Json, Num, Text, unreadable},
    writer::Admission,
};

/// So many numbers are set aside at a time; more than can be under way at once.
const BLOCK: u64 = 100_000;

/// Old events go in batches of at least this many numbers.
const TRIM: u64 = 1024;

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Only those after this number, oldest first from there; without it, the newest ones.
    pub after: Option<u64>,
    /// Only those about this node or host.
    pub node: Option<HostName>,
    /// Only those of this boot session.
    pub session: Option<SessionId>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// So many at most.
    pub limit: usize,
}

impl Store {
    /// The number for the first event of this run; later ones follow without a gap.
    pub fn next_seq(&self) -> u64 {
        self.0.first_seq
    }

    /// Queues events for writing, with what the boot tracker changed, and does not wait.
    ///
    /// If the disk does not keep up or refuses, they are lost to the history and counted.
    pub fn record(&self, events: Vec<Event>, changes: Changes) {
        if events.is_empty() && changes.is_empty() {
            return;
        }
        let limits = self.0.limits;
        let lost = self.0.lost_events.clone();
        let n_events = events.len() as u64;
        self.submit(
            Admission::Later,
            move |db| {
                put_events(db, &events, limits)?;
                put_changes(db, &changes, limits)
            },
            move |result| {
                if result.is_err() {
                    lost.fetch_add(n_events, Ordering::Relaxed);
                }
            },
        );
    }

    /// How many events of this run are not in the history.
    pub fn lost_events(&self) -> u64 {
        self.0.lost_events.load(Ordering::Relaxed)
    }

    /// Events of the history, oldest first. Blocks.
    pub fn events(&self, query: &EventQuery) -> Result<Vec<Event>, StoreError> {
        let order = if query.after.is_some() { "ASC" } else { "DESC" };
        let mut wanted = "seq > ?1".to_owned();
        // An unused parameter is still bound, so each stands in the text in either case.
        wanted += if query.node.is_some() {
            " AND node = ?2"
        } else {
            " AND ?2 IS NULL"
        };
        wanted += if query.session.is_some() {
            " AND session = ?3"
        } else {
            " AND ?3 IS NULL"
        };
        wanted += if query.kind.is_some() {
            " AND kind = ?5"
        } else {
            " AND ?5 IS NULL"
        };
        let db = self.reader();
        let mut rows = db.prepare_cached(&format!(
            "SELECT seq, at, node, session, kind, detail FROM events WHERE {wanted} ORDER BY seq {order} LIMIT ?4"
        ))?;
        let parameters = params![
            Num(query.after.unwrap_or(0)),
            query.node.as_ref().map(Text),
            query.session.map(|session| Num(session.0)),
            Num(query.limit as u64),
            query.kind.map(EventKind::as_str),
        ];
        let events = rows.query_map(parameters, event)?;
        let mut events: Vec<Event> = events.collect::<rusqlite::Result<_>>()?;
        if query.after.is_none() {
            events.reverse();
        }
        Ok(events)
    }

    /// Where each node is in its life, for the boot tracker to go on from. Blocks.
    pub fn lives(&self) -> Result<Vec<NodeRecord>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached("SELECT record FROM lives ORDER BY node")?;
        let records = rows.query_map([], |row| Ok(row.get::<_, Json<NodeRecord>>(0)?.0))?;
        Ok(records.collect::<rusqlite::Result<_>>()?)
    }

    /// The id for the next boot session. Blocks.
    pub fn next_session(&self) -> Result<SessionId, StoreError> {
        Ok(SessionId(meta(&self.reader(), LAST_SESSION)? + 1))
    }

    /// Machines that are not in the site file, by MAC. Blocks.
    pub fn discovered(&self) -> Result<Vec<Discovered>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT mac, first_seen, last_seen, address, said FROM discovered ORDER BY mac",
        )?;
        let machines = rows.query_map([], |row| {
            Ok(Discovered {
                mac: row.get::<_, Bytes<6>>(0)?.into(),
                first_seen: row.get::<_, At>(1)?.0,
                last_seen: row.get::<_, At>(2)?.0,
                address: row.get::<_, Option<Ip>>(3)?.map(|ip| ip.0),
                said: row.get::<_, Json<_>>(4)?.0,
            })
        })?;
        Ok(machines.collect::<rusqlite::Result<_>>()?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let first_seq = self.first_seq;
        self.writer.submit(
            Admission::Always,
            move |db| give_back_numbers(db, first_seq),
            drop,
        );
    }
}

const CEILING: &str = "event-ceiling";
const LAST_SESSION: &str = "last-session";

/// The first number of this run, with a block set aside from there.
pub(crate) fn first_seq(db: &Connection) -> rusqlite::Result<u64> {
    let first = last_seq(db)?.max(meta(db, CEILING)?) + 1;
    raise(db, CEILING, first + BLOCK)?;
    Ok(first)
}

/// Gives back what this run did not use. What lies before its first number may have been used by a run that
/// crashed before its events were on disk.
fn give_back_numbers(db: &Connection, first_seq: u64) -> Result<(), StoreError> {
    let last = last_seq(db)?.max(first_seq - 1);
    db.prepare_cached("UPDATE meta SET value = ?2 WHERE key = ?1")?
        .execute(params![CEILING, Num(last)])?;
    Ok(())
}

fn last_seq(db: &Connection) -> rusqlite::Result<u64> {
    let mut rows = db.prepare_cached("SELECT ifnull(max(seq), 0) FROM events")?;
    Ok(rows.query_row([], |row| row.get::<_, Num>(0))?.0)
}

fn meta(db: &Connection, key: &str) -> rusqlite::Result<u64> {
    let mut rows = db.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
    let value = rows.query_row([key], |row| row.get::<_, Num>(0)).optional()?;
    Ok(value.map_or(0, |value| value.0))
}

/// Sets a number that only grows.
fn raise(db: &Connection, key: &str, value: u64) -> rusqlite::Result<()> {
    let mut put = db.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE excluded.value > value",
    )?;
    put.execute(params![key, Num(value)])?;
    Ok(())
}

fn put_events(db: &Connection, events: &[Event], limits: Limits) -> Result<(), StoreError> {
    let mut put = db.prepare_cached(
        "INSERT INTO events (seq, at, node, session, kind, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for event in events {
        put.execute(params![
            Num(event.seq),
            At(event.at),
            event.node.as_ref().map(Text),
            event.session.map(|session| Num(session.0)),
            event.kind.as_str(),
            Json(&event.detail),
        ])?;
    }
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Ok(());
    };
    if first.seq / TRIM != (last.seq + 1) / TRIM {
        db.prepare_cached("DELETE FROM events WHERE seq <= ?1")?
            .execute([Num(last.seq.saturating_sub(limits.events))])?;
    }
    if last.seq + BLOCK / 2 > meta(db, CEILING)? {
        raise(db, CEILING, last.seq + BLOCK)?;
    }
    if let Some(session) = events.iter().filter_map(|event| event.session).max() {
        raise(db, LAST_SESSION, session.0)?;
    }
    Ok(())
}

fn put_changes(db: &Connection, changes: &Changes, limits: Limits) -> Result<(), StoreError> {
    let mut put = db.prepare_cached(
        "INSERT INTO lives (node, session, record) VALUES (?1, ?2, ?3)
         ON CONFLICT (node) DO UPDATE SET session = excluded.session, record = excluded.record",
    )?;
    for record in &changes.nodes {
        let session = record.life.boot().map(|boot| boot.session);
        put.execute(params![
            Text(&record.node),
            session.map(|id| Num(id.0)),
            Json(record)
        ])?;
        if let Some(session) = session {
            raise(db, LAST_SESSION, session.0)?;
        }
    }
    for node in &changes.gone {
        db.prepare_cached("DELETE FROM lives WHERE node = ?1")?
            .execute([Text(node)])?;
    }
    for mac in &changes.forgotten {
        db.prepare_cached("DELETE FROM discovered WHERE mac = ?1")?
            .execute([Bytes(mac.0)])?;
    }
    let mut put = db.prepare_cached(
        "INSERT INTO discovered (mac, first_seen, last_seen, address, said) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (mac) DO UPDATE SET last_seen = excluded.last_seen, address = excluded.address,
             said = excluded.said",
    )?;
    for machine in &changes.discovered {
        put.execute(params![
            Bytes(machine.mac.0),
            At(machine.first_seen),
            At(machine.last_seen),
            machine.address.map(Ip),
            Json(&machine.said),
        ])?;
    }
    let n_discovered = |db: &Connection| {
        let mut rows = db.prepare_cached("SELECT count(*) FROM discovered")?;
        rows.query_row([], |row| row.get::<_, Num>(0))
    };
    // Counting goes by pages; looking for the oldest goes by rows.
    if !changes.discovered.is_empty() && n_discovered(db)?.0 > limits.discovered {
        db.prepare_cached(
            "DELETE FROM discovered WHERE mac IN
                 (SELECT mac FROM discovered ORDER BY last_seen DESC LIMIT -1 OFFSET ?1)",
        )?
        .execute([Num(limits.discovered)])?;
    }
    Ok(())
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    Ok(Event {
        seq: row.get::<_, Num>(0)?.0,
        at: row.get::<_, At>(1)?.0,
        node: row.get::<_, Option<Text<HostName>>>(2)?.map(|name| name.0),
        session: row.get::<_, Option<Num>>(3)?.map(|id| SessionId(id.0)),
        kind: row.get::<_, Kind>(4)?.0,
        detail: row.get::<_, Json<_>>(5)?.0,
    })
}

struct Kind(EventKind);

impl rusqlite::types::FromSql for Kind {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let text = value.as_str()?;
        EventKind::from_name(text)
            .map(Self)
            .ok_or_else(|| unreadable(text))
    }
}
