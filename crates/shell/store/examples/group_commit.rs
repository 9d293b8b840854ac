//! How many leases a second are durable: `group_commit DIR [CLIENTS [SECONDS]]`.
//!
//! So many clients each write a lease, wait until it is on disk, and write the next. The more of them there are,
//! the more leases share one `fsync`.

use std::{
    io::Write,
    net::Ipv4Addr,
    path::PathBuf,
    sync::mpsc,
    time::{Duration, Instant},
};

use faros_model::{
    ids::MacAddr,
    lease::{Lease, LeaseState},
};
use faros_store::Store;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("usage: group_commit DIR [CLIENTS [SECONDS]]")?);
    let clients: u32 = args.next().map_or(Ok(1000), |text| text.parse())?;
    let seconds: u64 = args.next().map_or(Ok(3), |text| text.parse())?;
    let opening = Instant::now();
    let store = Store::open(&dir)?;
    let opened = opening.elapsed();
    let (tell, told) = mpsc::channel();
    let now = jiff::Timestamp::now();
    let ask = |(n, round): (u32, i64)| {
        let [_, a, b, c] = n.to_be_bytes();
        let lease = Lease {
            address: Ipv4Addr::from_bits(0x0a00_0000 + n),
            mac: MacAddr([2, 0, 0, a, b, c]),
            client_id: None,
            hostname: None,
            state: LeaseState::Active,
            since: now,
            // Each renewal differs from the one before: what does not change is not written.
            until: now + jiff::SignedDuration::from_secs(round),
        };
        let (tell, asked) = (tell.clone(), Instant::now());
        let done = move |written| {
            tell.send((n, round, written, asked.elapsed()))
                .unwrap_or_default();
        };
        store.append_leases(vec![lease], Box::new(done));
    };
    (0..clients).map(|n| (n, 0)).for_each(&ask);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut waits = vec![];
    while Instant::now() < end {
        let (n, round, written, waited) = told.recv()?;
        if !written {
            return Err("a lease was not written".into());
        }
        waits.push(waited);
        ask((n, round + 1));
    }
    waits.sort();
    let at = |percent: usize| {
        waits
            .get(waits.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    writeln!(
        std::io::stdout(),
        "{clients} clients: {} leases/s durable, waited {:?} (median) {:?} (99 %); opened in {opened:?}",
        waits.len() as u64 / seconds,
        at(50),
        at(99),
    )?;
    Ok(())
}
