//! An apply that a crash or a power cut interrupted: found before anyone may ask for another, and gone on with.

use std::{sync::Arc, time::Duration};

use faros_model::{api::ApplyStatus, event::EventKind, plan::Action};
use faros_store::Journal;
use serde_json::json;
use tokio::{sync::OwnedMutexGuard, time::Instant};

use super::{Apply, READY};
use crate::daemon::{Intent, Shared, lock};

/// An apply that was cut off, to be gone on with. Nothing else is applied as long as this exists.
pub(crate) struct CutOff {
    journal: Journal,
    only: OwnedMutexGuard<()>,
}

impl CutOff {
    /// Finds it, before anyone may ask for another; its place is told from then on.
    pub(crate) fn find(shared: &Shared) -> anyhow::Result<Option<Self>> {
        let Some(journal) = shared.store.open_journal()? else {
            return Ok(None);
        };
        let only = Arc::clone(&shared.applying).try_lock_owned()?;
        let (entry, done) = (&journal.entry, journal.steps_done);
        let next = entry.plan.steps.get(done);
        *lock(&shared.apply) = Some(ApplyStatus {
            generation: journal.generation(),
            by: entry.by.clone(),
            started_at: entry.at,
            done,
            of: entry.plan.steps.len(),
            next_step: next
                .map(|step| faros_plan::title(&step.action))
                .unwrap_or_default(),
            seconds_left: None,
        });
        if is_unconfirmed(&journal) {
            // What it had put into the kernel is not known to be gone.
            let loaded = faros_site::load(&journal.entry.site_file).ok();
            *lock(&shared.leftover) = loaded.map(|loaded| loaded.site);
        }
        Ok(Some(Self { journal, only }))
    }

    /// Goes on with it; or takes it back, if it was to be confirmed and was not. However long ago that was: the
    /// machine may have started anew, and its clock may say anything.
    pub(crate) async fn resume(self, shared: Arc<Shared>) {
        let Self { journal, only } = self;
        let (generation, done) = (journal.generation(), journal.steps_done);
        let is_unconfirmed = is_unconfirmed(&journal);
        let entry = journal.entry;
        if is_unconfirmed {
            tracing::warn!(
                generation = generation.0,
                "it was not confirmed before farosd ended; taken back"
            );
            // Until then a farosd that is killed once more has to know of it.
            gone(&shared).await;
            super::strike_off(&shared, &entry.plan, done, "farosd ended before it was confirmed").await;
            let detail = json!({ "generation": generation, "why": "restarted", "by": "" });
            return shared.tell(EventKind::ApplyReverted, detail);
        }
        let of = entry.plan.steps.len();
        tracing::info!(
            generation = generation.0,
            done,
            of,
            "going on with an apply that was cut off"
        );
        let Ok(loaded) = faros_site::load(&entry.site_file) else {
            // An update of farosd may have become stricter in the middle of an apply.
            let why = "this version of farosd refuses its site file";
            tracing::error!(generation = generation.0, why, "the apply is given up");
            return super::strike_off(&shared, &entry.plan, done, why).await;
        };
        shared.tell(
            EventKind::ApplyResumed,
            json!({ "generation": generation, "step": done + 1, "of": of }),
        );
        let intent = Arc::new(Intent {
            generation,
            site: loaded.site,
            warnings: loaded.warnings,
        });
        // Steps on disk are done; what services serve was lost with the process, and is done again.
        let mut steps = entry.plan.steps.iter();
        let first_service = steps.position(|step| is_of_service(&step.action));
        let from = first_service.unwrap_or(done).min(done);
        let apply = Apply {
            shared,
            entry,
            intent,
            _only: only,
        };
        apply.steps(from, done, &|_| ()).await;
    }
}

/// Waits until the kernel holds nothing of what was taken back, but not for ever.
async fn gone(shared: &Shared) {
    let deadline = Instant::now() + READY;
    while lock(&shared.leftover).is_some() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether it was to be confirmed, and was not.
fn is_unconfirmed(journal: &Journal) -> bool {
    let window = journal.entry.plan.window();
    window.is_some_and(|(idx, _)| journal.steps_done <= idx)
}

const fn is_of_service(action: &Action) -> bool {
    matches!(
        action,
        Action::Swap { .. } | Action::Start { .. } | Action::Stop { .. }
    )
}
