//! An apply that a crash or a power cut interrupted: found before anyone may ask for another, and gone on with.

use std::sync::Arc;

use faros_model::{api::ApplyStatus, event::EventKind, plan::Action};
use faros_store::{Journal, JournalEntry};
use serde_json::json;
use tokio::sync::OwnedMutexGuard;

use super::{Apply, armed_by};
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
        });
        Ok(Some(Self { journal, only }))
    }

    /// Goes on with it.
    pub(crate) async fn resume(self, shared: Arc<Shared>) {
        let Self { journal, only } = self;
        let (generation, done) = (journal.generation(), journal.steps_done);
        let entry = journal.entry;
        let of = entry.plan.steps.len();
        tracing::info!(
            generation = generation.0,
            done,
            of,
            "going on with an apply that was cut off"
        );
        let Ok(loaded) = faros_site::load(&entry.site_file) else {
            return give_up(&shared, &entry).await;
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
        apply.steps(from, &|_| ()).await;
    }
}

/// An update of farosd may have become stricter in the middle of an apply.
async fn give_up(shared: &Shared, entry: &JournalEntry) {
    let why = "this version of farosd refuses its site file";
    tracing::error!(generation = entry.plan.next.0, why, "the apply is given up");
    let undone = async {
        let armed = armed_by(&entry.plan).cloned().collect();
        shared.store.forget(armed).await?;
        shared.store.abandon(why.to_owned()).await?;
        shared.reload_armed()
    };
    if let Err(error) = undone.await {
        tracing::error!(%error, "cannot write that the apply is given up");
    }
    *lock(&shared.apply) = None;
}

const fn is_of_service(action: &Action) -> bool {
    matches!(
        action,
        Action::Swap { .. } | Action::Start { .. } | Action::Stop { .. }
    )
}
