//! From what services saw to events: whose it is, in which boot session, under which number, on disk.

use std::{sync::Arc, time::Duration};

use faros_model::{event::Event, sighting::Sighting};
use jiff::SignedDuration;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::daemon::{Shared, keep, lock};

/// The least time between two looks for phases that are overdue, and the most: the clock may be set meanwhile.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(10);

/// Most sightings that are recorded together.
const BATCH: usize = 256;

/// The least time between two batches: in a flood of packets not each is to wake up the recorder.
const MOMENT: Duration = Duration::from_millis(2);

/// What comes to the recorder.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) seen: mpsc::Receiver<Sighting>,
    /// Who waits until all that was seen so far is recorded.
    pub(crate) waiting: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Records until it is told to stop, and then what is left.
pub(crate) async fn run(shared: Arc<Shared>, from: Seen, stop: CancellationToken) {
    let Seen {
        mut seen,
        mut waiting,
    } = from;
    let mut seq = shared.store.next_seq();
    let mut batch = Vec::with_capacity(BATCH);
    let mut next = Instant::now();
    let mut looked = None;
    loop {
        let due = lock(&shared.tracker).next_timer();
        let overdue = async {
            match due {
                Some(due) => {
                    let left = due.duration_since(shared.sightings.now());
                    tokio::time::sleep_until(look(looked, left, Instant::now())).await;
                }
                None => std::future::pending().await,
            }
        };
        let more = async {
            tokio::time::sleep_until(next).await;
            seen.recv_many(&mut batch, BATCH).await
        };
        let more = tokio::select! {
            // In a flood there is always more.
            biased;
            () = stop.cancelled() => {
                record_all(&shared, &mut seen, &mut batch, &mut seq);
                return;
            }
            Some(tell) = waiting.recv() => {
                record_all(&shared, &mut seen, &mut batch, &mut seq);
                let _ = tell.send(());
                continue;
            }
            () = overdue => {
                // It may be over, and nobody looked yet.
                record_all(&shared, &mut seen, &mut batch, &mut seq);
                record_overdue(&shared, &mut seq);
                looked = Some(Instant::now());
                continue;
            }
            more = more => more,
        };
        if more == 0 {
            return;
        }
        next = Instant::now() + MOMENT;
        record(&shared, &mut batch, &mut seq);
    }
}

/// Records what there is at this moment.
fn record_all(
    shared: &Shared,
    seen: &mut mpsc::Receiver<Sighting>,
    batch: &mut Vec<Sighting>,
    seq: &mut u64,
) {
    let mut left = seen.len();
    while left > 0 {
        let now = left.min(BATCH);
        batch.extend((0..now).map_while(|_| seen.try_recv().ok()));
        record(shared, batch, seq);
        left -= now;
    }
}

/// When phases are looked at next, if the first is overdue after `left`. What is seen until then does not put it off.
fn look(looked: Option<Instant>, left: SignedDuration, now: Instant) -> Instant {
    let due = now + Duration::try_from(left).unwrap_or_default().min(LONGEST);
    looked.map_or(due, |looked| due.max(looked + SHORTEST))
}

/// Tells of phases that take too long.
fn record_overdue(shared: &Shared, seq: &mut u64) {
    let mut tracker = lock(&shared.tracker);
    let mut events = Vec::new();
    for draft in tracker.on_timer(shared.sightings.now()) {
        let event = draft.numbered(*seq);
        *seq += 1;
        tracker.recorded(&event);
        events.push(event);
    }
    let changes = tracker.take_changes();
    drop(tracker);
    if !events.is_empty() || !changes.is_empty() {
        keep(shared, events, changes);
    }
}

fn record(shared: &Shared, batch: &mut Vec<Sighting>, seq: &mut u64) {
    let intent = shared.current();
    let site = intent.as_ref().map(|intent| &intent.site);
    let mut events: Vec<Event> = Vec::new();
    let changes = {
        let mut tracker = lock(&shared.tracker);
        for sighting in batch.drain(..) {
            for draft in tracker.observe(site, sighting) {
                let event = draft.numbered(*seq);
                *seq += 1;
                tracker.recorded(&event);
                events.push(event);
            }
        }
        tracker.take_changes()
    };
    for event in &events {
        tracing::debug!(
            seq = event.seq,
            kind = event.kind.as_str(),
            node = event.node.as_ref().map(faros_model::ids::HostName::as_str),
            session = event.session.map(|session| session.to_string()),
            detail = %serde_json::Value::Object(event.detail.clone()),
            "event"
        );
    }
    if !events.is_empty() || !changes.is_empty() {
        keep(shared, events, changes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wherever in the time between two looks something is seen, the next look stays when it was to be.
    #[test]
    fn what_is_seen_does_not_put_off_a_look_at_what_is_overdue() {
        let start = Instant::now();
        let due = start + Duration::from_secs(3);
        let when = |looked, passed: Duration| {
            let now = start + passed;
            let left = SignedDuration::from_secs(3) - SignedDuration::try_from(passed).unwrap_or_default();
            look(looked, left, now)
        };
        for tenths in 0..30 {
            let passed = Duration::from_millis(100 * tenths);
            assert_eq!(when(None, passed), due);
            assert_eq!(when(Some(start), passed), due);
        }
        // It was too early, by a clock that goes slower: soon again, but not at once.
        assert_eq!(when(Some(due), Duration::from_secs(3)), due + SHORTEST);
        // A clock may be set.
        let far = look(None, SignedDuration::from_hours(24), start);
        assert_eq!(far, start + LONGEST);
    }
}
