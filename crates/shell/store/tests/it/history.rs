//! Leases, generations, arming, events and lives across restarts.

use faros_boot::{Changes, Life, NodeRecord};
use faros_model::{
    api::Discovered,
    event::{Event, EventKind},
    ids::{Generation, MacAddr, SessionId},
    lease::{Lease, LeaseState},
};
use faros_store::{EventQuery, Limits, OpenStore, Store, StoreError};
use serde_json::Map;

use crate::world::{Outcome, at, entry, host, lease, reopen, store};

#[tokio::test]
async fn leases_are_there_after_a_restart_one_an_address() -> Outcome {
    let (_dir, store) = store()?;
    let bare = Lease {
        client_id: None,
        hostname: None,
        state: LeaseState::Declined,
        ..lease(2)
    };
    store.put_lease(lease(1)).await?;
    store.put_lease(lease(2)).await?;
    store.put_lease(bare.clone()).await?;
    let store = reopen(store)?;
    assert_eq!(store.leases()?, [lease(1), bare]);
    Ok(())
}

#[tokio::test]
async fn a_lease_is_told_to_be_written_when_it_is() -> Outcome {
    let (_dir, store) = store()?;
    let (done, told) = tokio::sync::oneshot::channel();
    store.append_leases(
        vec![lease(7)],
        Box::new(|written| assert_eq!(done.send(written), Ok(()))),
    );
    assert!(told.await?);
    assert_eq!(store.leases()?, [lease(7)]);
    Ok(())
}

#[tokio::test]
async fn of_leases_that_are_written_together_the_last_counts() -> Outcome {
    let (_dir, store) = store()?;
    let (done, told) = tokio::sync::oneshot::channel();
    let later = Lease {
        address: lease(1).address,
        ..lease(3)
    };
    store.append_leases(
        vec![lease(1), lease(2), later.clone()],
        Box::new(|written| assert_eq!(done.send(written), Ok(()))),
    );
    assert!(told.await?);
    let store = reopen(store)?;
    assert_eq!(store.leases()?, [later, lease(2)]);
    Ok(())
}

#[tokio::test]
async fn what_is_queued_when_the_store_closes_is_written() -> Outcome {
    let (_dir, store) = store()?;
    for n in 0..5000 {
        store.append_leases(vec![lease(n)], Box::new(|_| ()));
    }
    let store = reopen(store)?;
    assert_eq!(store.leases()?.len(), 5000);
    Ok(())
}

#[tokio::test]
async fn a_write_that_is_refused_half_way_leaves_nothing_and_takes_no_other_with_it() -> Outcome {
    let (_dir, store) = store()?;
    let mut waits = vec![];
    for n in 0..20 {
        let (done, told) = tokio::sync::oneshot::channel();
        store.append_leases(
            vec![lease(n)],
            Box::new(|written| assert_eq!(done.send(written), Ok(()))),
        );
        store.record(vec![event(1), event(1)], Changes::default());
        waits.push(told);
    }
    for told in waits {
        assert!(told.await?);
    }
    store.flush().await?;
    assert_eq!((store.leases()?.len(), store.lost_events()), (20, 40));
    let query = EventQuery {
        limit: 9,
        ..EventQuery::default()
    };
    assert!(store.events(&query)?.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_last_handle_may_go_away_inside_a_completion() -> Outcome {
    let (_dir, store) = store()?;
    let dir = store.dir().to_owned();
    let (done, told) = tokio::sync::oneshot::channel();
    let last = store.clone();
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let completion = move |written| {
        // Waits until the other handle is gone, which only a test may do here.
        drop((gone.recv(), last));
        assert_eq!(done.send(written), Ok(()));
    };
    store.append_leases(vec![lease(1)], Box::new(completion));
    drop(store);
    go.send(())?;
    assert!(told.await?);
    let store = loop {
        // The thread may still be about to end.
        match Store::open(&dir) {
            Err(OpenStore::InUse { .. }) => tokio::task::yield_now().await,
            opened => break opened?,
        }
    };
    assert_eq!(store.leases()?, [lease(1)]);
    Ok(())
}

#[tokio::test]
async fn an_apply_is_open_until_its_generation_is_accepted() -> Outcome {
    let (_dir, store) = store()?;
    store.begin(entry(1)).await?;
    let second = store.begin(entry(1)).await;
    assert!(
        matches!(second, Err(StoreError::ApplyUnderWay(Generation(1)))),
        "{second:?}"
    );
    store.steps_done(1).await?;

    let store = reopen(store)?;
    let open = store.open_journal()?.ok_or("the journal is gone")?;
    assert_eq!((open.entry, open.steps_done), (entry(1), 1));
    assert_eq!(store.latest_generation()?, None);

    let accepted = store.accept(at(5)).await?;
    assert_eq!(store.open_journal()?, None);
    let store = reopen(store)?;
    assert_eq!(store.latest_generation()?.as_ref(), Some(&accepted));
    assert_eq!(accepted.site_file.as_deref(), Some("# generation 1\n"));
    assert_eq!(
        accepted.digest.to_string(),
        "8ebd5ffd83fb0e5cab184323af5847b38c61eb57d1342f3d83c13a9fc0661f36",
    );
    Ok(())
}

#[tokio::test]
async fn a_generation_is_accepted_once_and_the_history_is_newest_first() -> Outcome {
    let (_dir, store) = store()?;
    for next in 1..=3 {
        let rollback_of = (next == 3).then_some(Generation(1));
        store
            .begin(faros_store::JournalEntry {
                rollback_of,
                ..entry(next)
            })
            .await?;
        store.accept(at(5)).await?;
    }
    let again = store.begin(entry(3)).await;
    assert!(
        matches!(again, Err(StoreError::Accepted(Generation(3)))),
        "{again:?}"
    );
    let history: Vec<_> = store
        .generations()?
        .into_iter()
        .map(|info| (info.generation.0, info.rollback_of, info.site_file))
        .collect();
    assert_eq!(
        history,
        [(3, Some(Generation(1)), None), (2, None, None), (1, None, None)]
    );
    assert_eq!(store.generation(Generation(4))?, None);
    Ok(())
}

#[tokio::test]
async fn an_abandoned_apply_makes_no_generation_and_frees_its_number() -> Outcome {
    let (_dir, store) = store()?;
    assert!(matches!(
        store.abandon("none".to_owned()).await,
        Err(StoreError::NoApply)
    ));
    store.begin(entry(1)).await?;
    store.abandon("the interface is gone".to_owned()).await?;
    assert!(matches!(store.accept(at(5)).await, Err(StoreError::NoApply)));
    assert!(matches!(store.steps_done(1).await, Err(StoreError::NoApply)));
    store.begin(entry(1)).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_first_apply_of_a_node_arms_it() -> Outcome {
    let (_dir, store) = store()?;
    let node = || vec![(host("node-1"), MacAddr([2; 6]))];
    let by = || "root".to_owned();
    let armed = |store: &Store| store.nodes().map(|nodes| nodes.first().map(|node| node.armed));

    assert_eq!(
        store.arm_new(node(), Generation(1), by(), at(0)).await?,
        [host("node-1")]
    );
    assert!(store.installed(host("node-1"), at(9)).await?);
    assert!(!store.installed(host("node-1"), at(10)).await?, "told twice");
    assert_eq!(store.arm_new(node(), Generation(2), by(), at(20)).await?, []);
    assert_eq!(armed(&store)?, Some(false));
    assert!(store.arm(host("node-1"), by(), at(30)).await?);
    assert!(!store.arm(host("node-1"), by(), at(31)).await?, "armed already");

    let store = reopen(store)?;
    let row = store.nodes()?.remove(0);
    assert_eq!((row.first_generation, row.changed_at), (Generation(1), at(30)));
    assert_eq!((row.armed, row.installed_at), (true, Some(at(10))));
    assert!(store.disarm(host("node-1"), by(), at(40)).await?);

    store.forget(vec![host("node-1")]).await?;
    let gone = store.arm(host("node-1"), by(), at(50)).await;
    assert!(matches!(gone, Err(StoreError::NoNode(_))), "{gone:?}");
    assert_eq!(
        store.arm_new(node(), Generation(3), by(), at(60)).await?,
        [host("node-1")]
    );
    assert_eq!(armed(&store)?, Some(true));
    Ok(())
}

fn event(seq: u64) -> Event {
    let odd = seq % 2 == 1;
    Event {
        seq,
        at: at(0),
        node: odd.then(|| host("node-1")),
        session: odd.then_some(SessionId(seq / 10)),
        kind: EventKind::DhcpDiscover,
        detail: Map::from_iter([("mac".to_owned(), "52:54:00:00:00:01".into())]),
    }
}

fn seqs(store: &Store, query: &EventQuery) -> Result<Vec<u64>, StoreError> {
    Ok(store.events(query)?.iter().map(|event| event.seq).collect())
}

#[tokio::test]
async fn events_are_found_by_number_node_and_session() -> Outcome {
    let (_dir, store) = store()?;
    assert_eq!(store.next_seq(), 1);
    store.record((1..=40).map(event).collect(), Changes::default());
    store.flush().await?;
    let query = |after, limit| EventQuery {
        after,
        limit,
        ..EventQuery::default()
    };
    assert_eq!(store.events(&query(Some(0), 1))?, [event(1)]);
    assert_eq!(seqs(&store, &query(Some(37), 10))?, [38, 39, 40]);
    assert_eq!(seqs(&store, &query(None, 2))?, [39, 40]);
    let node = Some(host("node-1"));
    assert_eq!(
        seqs(
            &store,
            &EventQuery {
                node: node.clone(),
                ..query(Some(30), 2)
            }
        )?,
        [31, 33]
    );
    let session = Some(SessionId(2));
    assert_eq!(
        seqs(
            &store,
            &EventQuery {
                node,
                session,
                ..query(None, 3)
            }
        )?,
        [25, 27, 29]
    );
    Ok(())
}

#[tokio::test]
async fn numbers_go_on_after_a_clean_end() -> Outcome {
    let (_dir, store) = store()?;
    store.record((1..=5).map(event).collect(), Changes::default());
    let store = reopen(store)?;
    assert_eq!(store.next_seq(), 6);
    assert_eq!(
        seqs(
            &store,
            &EventQuery {
                limit: 9,
                ..EventQuery::default()
            }
        )?,
        [1, 2, 3, 4, 5]
    );
    assert_eq!(reopen(store)?.next_seq(), 6);
    Ok(())
}

#[tokio::test]
async fn old_events_go_and_their_numbers_never_come_back() -> Outcome {
    let dir = tempfile::tempdir()?;
    let limits = Limits {
        events: 100,
        discovered: 2,
    };
    let store = Store::open_with(dir.path(), limits)?;
    for first in (1..=4096).step_by(64) {
        store.record((first..first + 64).map(event).collect(), Changes::default());
    }
    store.flush().await?;
    let kept = seqs(
        &store,
        &EventQuery {
            after: Some(0),
            limit: 10_000,
            ..EventQuery::default()
        },
    )?;
    assert_eq!(
        (kept.first(), kept.last(), kept.len()),
        (Some(&3997), Some(&4096), 100)
    );
    assert_eq!(reopen(store)?.next_seq(), 4097);
    Ok(())
}

#[tokio::test]
async fn lives_and_unknown_machines_are_there_after_a_restart() -> Outcome {
    let dir = tempfile::tempdir()?;
    let limits = Limits {
        events: 100,
        discovered: 2,
    };
    let store = Store::open_with(dir.path(), limits)?;
    let boot = faros_boot::Boot {
        session: SessionId(17),
        since: at(1),
        heard: at(2),
        reached: faros_boot::Reached::Script,
    };
    let record = |name: &str, life| NodeRecord {
        node: host(name),
        life,
        uuid: Some("fa20".repeat(8)),
        is_overdue: true,
        firmware: Some("bios".to_owned()),
        last_event: Some(event(3)),
    };
    let why = "no disk".to_owned();
    let is_closed = true;
    let failed = record("node-1", Life::Failed { boot, why, is_closed });
    let machine = |n: u8| Discovered {
        mac: MacAddr([2, 0, 0, 0, 0, n]),
        first_seen: at(0),
        last_seen: at(i64::from(n)),
        address: None,
        said: Map::from_iter([("uuid".to_owned(), n.into())]),
    };
    let changes = Changes {
        nodes: vec![failed.clone(), record("node-2", Life::Expected)],
        discovered: (0..5).map(machine).collect(),
        ..Changes::default()
    };
    store.record(vec![], changes);
    let changes = Changes {
        gone: vec![host("node-2")],
        forgotten: vec![machine(3).mac],
        ..Changes::default()
    };
    store.record(vec![], changes);
    let store = reopen(store)?;
    assert_eq!(store.lives()?, [failed]);
    assert_eq!(store.discovered()?, [machine(4)]);
    assert_eq!(store.next_session()?, SessionId(18));
    Ok(())
}
