//! The time in which an apply waits for a confirmation, and takes itself back without one.
//!
//! What is applied by then runs, but nothing of it is accepted: the store's newest generation is the one before, so
//! that whatever happens to farosd or to the machine, the one before runs when they are back. The deadline is on
//! the clock since the machine's start, which nobody sets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use faros_model::{
    api::{ApplyProgress, ConfirmRequest, Confirmed, Failure, ServiceState, Window},
    event::EventKind,
    ids::Generation,
    plan::{Plan, Service},
    site::Site,
};
use faros_net::clock::since_boot;
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Apply, READY, failure};
use crate::daemon::{Intent, Shared, lock};

/// How often the deadline is looked at, should the machine sleep in between.
const LOOK: Duration = Duration::from_secs(5);

/// How long an apply that is under way holds farosd up when it is to stop: a step, and that it is taken back.
const CLOSE: Duration = Duration::from_secs(25);

/// An apply that waits for a confirmation.
pub(crate) struct Pending {
    generation: Generation,
    /// Since the machine's start.
    deadline: Duration,
    decide: mpsc::Sender<Decision>,
}

impl Pending {
    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    pub(crate) fn seconds_left(&self) -> u64 {
        self.deadline.saturating_sub(since_boot()).as_secs()
    }
}

/// What was decided about an apply that waited, and who is told when it is done.
pub(super) struct Decision {
    by: String,
    keep: bool,
    done: oneshot::Sender<Result<(), Failure>>,
}

/// How the wait ended.
pub(super) enum Verdict {
    Kept(oneshot::Sender<Result<(), Failure>>),
    TakenBack {
        /// A word of [`EventKind::ApplyReverted`].
        why: &'static str,
        by: String,
        done: Option<oneshot::Sender<Result<(), Failure>>>,
    },
}

/// The plan that an apply with such a window carries out.
pub(super) fn plan(running: Option<(Generation, &Site)>, wanted: &Site, window: Window) -> Plan {
    let before = running.map(|(_, site)| site);
    match window {
        Window::Planned => faros_plan::plan(running, wanted),
        Window::Attended => {
            let is_risky = !faros_plan::cuts_off(before, wanted).is_empty();
            faros_plan::plan_within(running, wanted, is_risky.then_some(faros_plan::WINDOW))
        }
        Window::Seconds(seconds) => faros_plan::plan_within(running, wanted, Some(seconds)),
        Window::None => faros_plan::plan_within(running, wanted, None),
    }
}

/// Decides about the apply that waits; answers when it is accepted, or when what ran before runs again.
pub(crate) async fn decide(shared: &Shared, request: ConfirmRequest) -> Result<Confirmed, Failure> {
    let waits = lock(&shared.pending)
        .as_ref()
        .map(|pending| (pending.generation, pending.decide.clone()));
    let nothing = || {
        let hint = "`farosctl history` shows what is accepted, `farosctl events` what was taken back";
        failure("not-found", "no apply waits for a confirmation", hint)
    };
    let (generation, decide) = waits.ok_or_else(nothing)?;
    if request.generation.is_some_and(|meant| meant != generation) {
        let message = format!("another generation waits for a confirmation: {generation}");
        return Err(failure("conflict", message, "`farosctl status` shows it"));
    }
    let (done, answer) = oneshot::channel();
    let keep = request.keep;
    let decision = Decision {
        by: request.by,
        keep,
        done,
    };
    decide.send(decision).await.map_err(|_| nothing())?;
    answer.await.map_err(|_| nothing())??;
    Ok(Confirmed {
        generation,
        kept: keep,
    })
}

/// Before farosd stops: what waits is taken back, since nobody would do it in the meantime, and what is on its way to
/// that is waited for. What takes too long is taken back, or gone on with, at the next start.
pub(crate) async fn close(shared: &Shared) {
    shared.closing.cancel();
    if tokio::time::timeout(CLOSE, shared.applying.lock()).await.is_err() {
        tracing::warn!("an apply is still under way");
    }
}

impl Apply {
    /// Waits until somebody decides, or it is too late.
    pub(super) async fn wait(&self, seconds: u32, tell: &impl Fn(ApplyProgress)) -> Verdict {
        let (shared, generation) = (&self.shared, self.intent.generation);
        let deadline = since_boot() + Duration::from_secs(seconds.into());
        let (decide, mut decided) = mpsc::channel(1);
        *lock(&shared.pending) = Some(Pending {
            generation,
            deadline,
            decide,
        });
        tracing::warn!(generation = generation.0, seconds, "waits for a confirmation");
        let detail = json!({ "generation": generation, "by": self.entry.by, "seconds": seconds });
        shared.tell(EventKind::ApplyProvisional, detail);
        tell(ApplyProgress::Provisional { generation, seconds });
        let decision = loop {
            let left = deadline.saturating_sub(since_boot());
            if left.is_zero() {
                break None;
            }
            tokio::select! {
                decision = decided.recv() => break decision,
                () = shared.closing.cancelled() => {
                    let (done, _) = oneshot::channel();
                    let by = "farosd, which stops".to_owned();
                    break Some(Decision { by, keep: false, done });
                }
                () = tokio::time::sleep(left.min(LOOK)) => (),
            }
        };
        *lock(&shared.pending) = None;
        match decision {
            Some(Decision { by, keep: true, done }) => {
                shared.tell(
                    EventKind::ApplyConfirmed,
                    json!({ "generation": generation, "by": by }),
                );
                Verdict::Kept(done)
            }
            Some(Decision { by, done, .. }) => Verdict::TakenBack {
                why: "refused",
                by,
                done: Some(done),
            },
            None => Verdict::TakenBack {
                why: "not-confirmed",
                by: String::new(),
                done: None,
            },
        }
    }

    /// Has run again what ran before.
    pub(super) async fn take_back_unconfirmed(
        &self,
        before: BTreeMap<Service, Arc<Intent>>,
        done: usize,
        (why, by): (&'static str, String),
        tell: &impl Fn(ApplyProgress),
    ) {
        let (shared, generation) = (&self.shared, self.intent.generation);
        tracing::warn!(generation = generation.0, why, by, "taken back");
        self.undo(before.clone(), done, format!("{why} {by}").trim_end())
            .await;
        settled(shared, &before).await;
        let detail = json!({ "generation": generation, "why": why, "by": by });
        shared.tell(EventKind::ApplyReverted, detail);
        let runs = match self.entry.plan.base {
            Some(base) => format!("generation {base} runs again"),
            None => "nothing is applied, as before".to_owned(),
        };
        let message = match why {
            "refused" => format!("generation {generation} was taken back by {by}: {runs}"),
            _ => format!("generation {generation} was not confirmed in time: {runs}"),
        };
        let hint = "apply it again, and say `farosctl confirm` while it waits";
        tell(ApplyProgress::Failed {
            failure: failure("not-confirmed", message, hint),
        });
    }
}

/// Waits until all services serve this again, but not for ever.
async fn settled(shared: &Shared, served: &BTreeMap<Service, Arc<Intent>>) {
    let is_so = |service: &Service| {
        let wanted = served.get(service).filter(|intent| intent.site.runs(*service));
        shared.health.get(service).is_none_or(|health| {
            let status = health.status();
            status.generation == wanted.map(|intent| intent.generation)
                && (wanted.is_some() || status.state == ServiceState::Off)
        })
    };
    let deadline = Instant::now() + READY;
    while !Service::ALL.iter().all(is_so) && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
