//! Leases: one row an address, acknowledged after it is on disk.

use faros_model::lease::{Lease, LeaseState};
use rusqlite::{Connection, Row, params, types::ValueRef};

use crate::{
    Store,
    error::StoreError,
    sql::{At, Bytes, Ip, unreadable},
    writer::Admission,
};

impl Store {
    /// Writes leases, all or none. `done` is told after the commit whether they are on disk, on the store's own thread,
    /// so it must not wait for anything; told `false`, none of them must be acknowledged.
    pub fn append_leases(&self, leases: Vec<Lease>, done: Box<dyn FnOnce(bool) + Send>) {
        self.submit(
            Admission::IfRoom,
            move |db| leases.iter().try_for_each(|lease| put(db, lease)),
            |result| done(result.is_ok()),
        );
    }

    /// Writes a lease, and waits until it is on disk.
    pub async fn put_lease(&self, lease: Lease) -> Result<(), StoreError> {
        self.write(Admission::IfRoom, move |db| put(db, &lease)).await
    }

    /// All leases, by address. Blocks.
    pub fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        let db = self.reader();
        let mut rows = db.prepare_cached(
            "SELECT address, mac, client_id, hostname, state, since, until FROM leases ORDER BY address",
        )?;
        let leases = rows.query_map([], lease)?;
        Ok(leases.collect::<rusqlite::Result<_>>()?)
    }
}

fn put(db: &Connection, lease: &Lease) -> Result<(), StoreError> {
    let mut put = db.prepare_cached(
        "INSERT INTO leases (address, mac, client_id, hostname, state, since, until)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (address) DO UPDATE SET mac = excluded.mac, client_id = excluded.client_id,
             hostname = excluded.hostname, state = excluded.state, since = excluded.since, until = excluded.until",
    )?;
    put.execute(params![
        Ip(lease.address),
        Bytes(lease.mac.0),
        lease.client_id,
        lease.hostname,
        word(lease.state),
        At(lease.since),
        At(lease.until),
    ])?;
    Ok(())
}

fn lease(row: &Row<'_>) -> rusqlite::Result<Lease> {
    Ok(Lease {
        address: row.get::<_, Ip>(0)?.0,
        mac: row.get::<_, Bytes<6>>(1)?.into(),
        client_id: row.get(2)?,
        hostname: row.get(3)?,
        state: row.get::<_, State>(4)?.0,
        since: row.get::<_, At>(5)?.0,
        until: row.get::<_, At>(6)?.0,
    })
}

const fn word(state: LeaseState) -> &'static str {
    match state {
        LeaseState::Active => "active",
        LeaseState::Released => "released",
        LeaseState::Declined => "declined",
    }
}

struct State(LeaseState);

impl rusqlite::types::FromSql for State {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        let text = value.as_str()?;
        [LeaseState::Active, LeaseState::Released, LeaseState::Declined]
            .into_iter()
            .find(|state| word(*state) == text)
            .map(Self)
            .ok_or_else(|| unreadable(text))
    }
}
