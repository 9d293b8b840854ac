//! Killed without a word in the middle of a storm: what was acknowledged is there.
//!
//! The storm runs in this test binary, started again, which writes each acknowledged lease to a pipe.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use faros_boot::Changes;
use faros_model::{event::Event, event::EventKind, lease::Lease};
use faros_store::Store;
use jiff::Timestamp;
use serde_json::Map;

use crate::world::{Outcome, lease};

const STORM: &str = "FAROS_STORE_TEST_STORM";
const LIFE: &str = "FAROS_STORE_TEST_LIFE";

/// Leases are renewed over and over for so many addresses.
const ADDRESSES: u32 = 500;

/// The `round`th renewal of a lease, which can be told by its end.
fn renewal(n: u32, round: u32) -> Lease {
    Lease {
        until: Timestamp::from_second(i64::from(round)).unwrap_or_default(),
        ..lease(n)
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the child's way to tell is its output")]
fn storm() -> Outcome {
    let (Some(dir), Ok(life)) = (std::env::var_os(STORM), std::env::var(LIFE)) else {
        return Ok(());
    };
    let first_round = life.parse::<u32>()? * 1_000_000;
    let store = Store::open(Path::new(&dir))?;
    let told = Arc::new(Mutex::new(std::io::stdout()));
    println!("first {}", store.next_seq());
    for (seq, round) in (store.next_seq()..).zip(first_round..) {
        for n in 0..ADDRESSES {
            let told = Arc::clone(&told);
            let done = move |written: bool| {
                let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                // Nobody listens any more when the storm is over.
                drop(writeln!(
                    told,
                    "{} {n} {round} .",
                    if written { "ack" } else { "busy" }
                ));
            };
            store.append_leases(vec![renewal(n, round)], Box::new(done));
        }
        let event = Event {
            seq,
            at: Timestamp::UNIX_EPOCH,
            node: None,
            session: None,
            kind: EventKind::DhcpAck,
            detail: Map::new(),
        };
        println!("seq {seq} .");
        store.record(vec![event], Changes::default());
        std::thread::sleep(Duration::from_millis(u64::from(round % 3)));
    }
    Ok(())
}

#[test]
fn no_acknowledged_lease_is_lost_and_no_number_is_used_twice() -> Outcome {
    let dir = tempfile::tempdir()?;
    // For each address the latest renewal that was acknowledged.
    let mut acknowledged: BTreeMap<u32, u32> = BTreeMap::new();
    let (mut n_acknowledged, mut last_seq) = (0, 0);
    for life in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--exact", "crash::storm", "--nocapture"])
            .env(STORM, dir.path())
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let killer = std::thread::spawn(move || {
            // Spread over opening, first commits and checkpoints.
            std::thread::sleep(Duration::from_millis(20 + life * life * 7));
            child.kill().and_then(|()| child.wait())
        });
        for line in output.lines() {
            let line = line?;
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                // A line that the kill cut short has no full stop.
                ["ack", n, round, "."] => {
                    acknowledged.insert(n.parse()?, round.parse()?);
                    n_acknowledged += 1;
                }
                ["first", seq] => assert!(seq.parse::<u64>()? > last_seq, "{seq} was used before"),
                ["seq", seq, "."] => last_seq = seq.parse()?,
                _ => (),
            }
        }
        killer.join().map_err(|_| "the killer panicked")??;

        let store = Store::open(dir.path())?;
        let kept: BTreeMap<u32, Lease> = store
            .leases()?
            .into_iter()
            .map(|lease| (lease.address.to_bits() - 0x0a00_0000, lease))
            .collect();
        for (n, round) in &acknowledged {
            let kept = kept
                .get(n)
                .ok_or_else(|| format!("life {life}: lease {n} is lost"))?;
            let kept_round = u32::try_from(kept.until.as_second())?;
            assert!(
                kept_round >= *round,
                "life {life}: lease {n} is that of {kept_round}, not {round}"
            );
            assert_eq!(*kept, renewal(*n, kept_round));
        }
        assert!(store.next_seq() > last_seq);
    }
    assert!(
        n_acknowledged > 1000,
        "only {n_acknowledged} leases were acknowledged"
    );
    Ok(())
}

/// What is configured for SQLite is in no manifest, so nothing else would tell that it is not used.
#[test]
fn sqlite_is_built_as_it_is_configured() -> Outcome {
    let database = rusqlite::Connection::open_in_memory()?;
    let mut options = database.prepare("PRAGMA compile_options")?;
    let options: Vec<String> = options
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    assert!(!options.iter().any(|own| own == "ENABLE_FTS5"), "{options:?}");
    Ok(())
}
