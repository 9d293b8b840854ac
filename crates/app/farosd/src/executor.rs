//! Carries a plan out, step by step, by the journal.
//!
//! The executor never looks at why. Each step may be done twice, so an apply that was cut off goes on where
//! the journal says it was. A step that fails takes the whole apply back: the accepted generation is served
//! as before, and the journal says what failed.

mod resume;
mod window;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use faros_model::{
    api::{ApplyProgress, ApplyRequest, ApplyStatus, Failure, Missing, ServiceState, Window},
    event::EventKind,
    ids::{Generation, HostName},
    plan::{Action, Plan, Service, Step},
    problem::Problems,
    site::Site,
};
use faros_store::JournalEntry;
use jiff::Timestamp;
use serde_json::json;
use tokio::{
    sync::{OwnedMutexGuard, mpsc},
    time::Instant,
};

use self::window::Verdict;
pub(crate) use self::{
    resume::CutOff,
    window::{Pending, close, decide},
};
use crate::{
    daemon::{Intent, Shared, lock},
    loaders,
};

/// How long a service may take to be ready with a new generation.
const READY: Duration = Duration::from_secs(10);

/// Why an apply does not begin.
#[derive(Debug)]
pub(crate) enum NotBegun {
    Problems(Problems),
    Failure(Failure),
}

/// An apply that may begin: what it does, and that it is the only one.
pub(crate) struct Apply {
    shared: Arc<Shared>,
    entry: JournalEntry,
    intent: Arc<Intent>,
    _only: OwnedMutexGuard<()>,
}

pub(crate) fn failure(code: &str, message: impl Into<String>, hint: &str) -> Failure {
    Failure {
        code: code.to_owned(),
        message: message.into(),
        hint: hint.to_owned(),
    }
}

/// Plans a site file against what runs.
pub(crate) fn plan(
    shared: &Shared,
    text: &str,
    within: Window,
) -> Result<(Plan, faros_site::Loaded), Problems> {
    let loaded = faros_site::load(text)?;
    if let Err(why) = shared.goes_with_what_runs(&loaded.site) {
        return Err(faros_site::refused_version(text, &why));
    }
    if let Some(both) = shared.interface_for_both(&loaded.site) {
        return Err(faros_site::refused_interface(text, &both.to_string()));
    }
    let running = shared.intent();
    let running = running.as_ref().map(|intent| (intent.generation, &intent.site));
    Ok((window::plan(running, &loaded.site, within), loaded))
}

/// Content that nodes need which a plan arms, and that is not in the store.
pub(crate) async fn missing(shared: &Shared, plan: &Plan, site: &Site) -> Vec<Missing> {
    let nodes = || armed_by(plan).filter_map(|name| site.nodes.get(name));
    let mut missing = shared.missing(site, nodes()).await;
    missing.extend(loaders::missing(shared, nodes()).await);
    missing
}

fn listed(missing: &[Missing]) -> String {
    let own = |own: &Missing| format!("{}: `{}`", own.what, own.command);
    missing.iter().map(own).collect::<Vec<_>>().join("; ")
}

impl Apply {
    /// Gets ready; nothing is written yet.
    pub(crate) async fn prepare(shared: Arc<Shared>, request: ApplyRequest) -> Result<Self, NotBegun> {
        let only = Arc::clone(&shared.applying)
            .try_lock_owned()
            .map_err(|_| NotBegun::Failure(busy(&shared)))?;
        if shared.closing.is_cancelled() {
            let hint = "apply it when farosd is back";
            return Err(NotBegun::Failure(failure("busy", "farosd stops", hint)));
        }
        let planned = plan(&shared, &request.site_file, request.window);
        let (plan, loaded) = planned.map_err(NotBegun::Problems)?;
        if request.base != plan.base {
            let now = plan
                .base
                .map_or_else(|| "none".to_owned(), |base| base.to_string());
            let message = format!("the plan that was shown is out of date: generation {now} runs by now");
            return Err(NotBegun::Failure(failure(
                "conflict",
                message,
                "look at the plan again",
            )));
        }
        if !request.without_content {
            let missing = missing(&shared, &plan, &loaded.site).await;
            let blocking: Vec<_> = missing.into_iter().filter(|own| own.blocks).collect();
            if !blocking.is_empty() {
                let message =
                    "nodes that this arms could not be installed: their content is not in the store";
                return Err(NotBegun::Failure(failure("refused", message, &listed(&blocking))));
            }
        }
        let intent = Intent {
            generation: plan.next,
            site: loaded.site,
            warnings: loaded.warnings,
        };
        let entry = JournalEntry {
            site_file: request.site_file,
            summary: faros_plan::summary(&plan),
            plan,
            by: request.by,
            at: Timestamp::now(),
            rollback_of: request.rollback_of,
        };
        Ok(Self {
            shared,
            entry,
            intent: Arc::new(intent),
            _only: only,
        })
    }

    /// Carries it out. Who listens to the progress may go; the apply goes on.
    pub(crate) async fn run(self, progress: mpsc::UnboundedSender<ApplyProgress>) {
        let tell = |line| drop(progress.send(line));
        if self.entry.plan.is_empty() {
            let generation = self.entry.plan.base.unwrap_or(self.entry.plan.next);
            return tell(ApplyProgress::Nothing { generation });
        }
        if let Err(error) = self.shared.store.begin(self.entry.clone()).await {
            let hint = error.hint().unwrap_or_default().to_owned();
            let message = format!("cannot write the journal: {error}");
            return tell(ApplyProgress::Failed {
                failure: Failure {
                    code: "failed".into(),
                    message,
                    hint,
                },
            });
        }
        tell(ApplyProgress::Started {
            plan: self.entry.plan.clone(),
        });
        let detail = json!({
            "generation": self.entry.plan.next, "by": self.entry.by, "steps": self.entry.plan.steps.len(),
        });
        self.shared.tell(EventKind::ApplyStarted, detail);
        self.steps(0, 0, &tell).await;
    }

    /// Does the steps from `from` on, of which `done` were done before.
    async fn steps(self, from: usize, done: usize, tell: &impl Fn(ApplyProgress)) {
        let plan = &self.entry.plan;
        let mut confirmed = None;
        let of = plan.steps.len();
        let before = self.shared.served.borrow().clone();
        for (idx, step) in plan.steps.iter().enumerate().skip(from) {
            let title = faros_plan::title(&step.action);
            self.set_status(idx, &title);
            tell(ApplyProgress::Step {
                step: idx + 1,
                of,
                title: title.clone(),
            });
            if let Action::Confirm { seconds } = step.action
                && idx >= done
            {
                match self.wait(seconds, tell).await {
                    Verdict::Kept(done) => confirmed = Some(done),
                    Verdict::TakenBack { why, by, done } => {
                        self.take_back_unconfirmed(before, idx, (why, by), tell).await;
                        // Who asked for it may be gone.
                        return drop(done.map(|done| done.send(Ok(()))));
                    }
                }
            }
            let result = match self.step(&step.action).await {
                Ok(()) if step.action != Action::Accept => self
                    .shared
                    .store
                    .steps_done(idx + 1)
                    .await
                    .map_err(|error| error.to_string()),
                result => result,
            };
            if let Err(why) = result {
                let failure = self.take_back(before, idx, &title, &why).await;
                drop(confirmed.map(|done| done.send(Err(failure.clone()))));
                return tell(ApplyProgress::Failed { failure });
            }
            let detail = json!({ "generation": plan.next, "step": idx + 1, "of": of, "title": title });
            self.shared.tell(EventKind::ApplyStepDone, detail);
        }
        *lock(&self.shared.apply) = None;
        drop(confirmed.map(|done| done.send(Ok(()))));
        tell(ApplyProgress::Accepted {
            generation: plan.next,
        });
    }

    fn set_status(&self, done: usize, next: &str) {
        *lock(&self.shared.apply) = Some(ApplyStatus {
            generation: self.entry.plan.next,
            by: self.entry.by.clone(),
            started_at: self.entry.at,
            done,
            of: self.entry.plan.steps.len(),
            next_step: next.to_owned(),
            seconds_left: None,
        });
    }

    async fn step(&self, action: &Action) -> Result<(), String> {
        let shared = &self.shared;
        match action {
            Action::Arm { nodes } => self.arm(nodes).await,
            Action::Forget { nodes } => {
                shared
                    .store
                    .forget(nodes.clone())
                    .await
                    .map_err(|error| error.to_string())?;
                shared.reload_armed().map_err(|error| error.to_string())
            }
            Action::Swap { service } | Action::Start { service } => {
                let intent = Arc::clone(&self.intent);
                shared
                    .served
                    .send_modify(|served| drop(served.insert(*service, intent)));
                self.ready(*service).await
            }
            Action::Stop { service } => {
                shared.served.send_modify(|served| drop(served.remove(service)));
                Ok(())
            }
            // It was waited for.
            Action::Confirm { .. } => Ok(()),
            Action::Accept => self.accept().await,
        }
    }

    /// What is armed here takes effect when the generation is accepted, and not before: until then the machine
    /// by that name may be another one.
    async fn arm(&self, nodes: &[HostName]) -> Result<(), String> {
        let macs = nodes
            .iter()
            .filter_map(|name| Some((name.clone(), self.intent.site.nodes.get(name)?.boot_mac)));
        let (by, at) = (self.entry.by.clone(), Timestamp::now());
        let armed = self
            .shared
            .store
            .arm_new(macs.collect(), self.intent.generation, by, at)
            .await;
        armed.map(drop).map_err(|error| error.to_string())
    }

    /// Waits until a service has the new generation, or says why it cannot.
    async fn ready(&self, service: Service) -> Result<(), String> {
        let Some(health) = self.shared.health.get(&service) else {
            return Ok(());
        };
        let deadline = Instant::now() + READY;
        loop {
            let status = health.status();
            if status.generation == Some(self.intent.generation) {
                match status.state {
                    // A service that waits for its interface has what it needs from us.
                    ServiceState::Ready | ServiceState::Waiting => return Ok(()),
                    ServiceState::Failed => return Err(status.reason),
                    ServiceState::Off => (),
                }
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} did not become ready within {} s",
                    service.as_str(),
                    READY.as_secs()
                ));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn accept(&self) -> Result<(), String> {
        let shared = &self.shared;
        let row = shared
            .store
            .accept(Timestamp::now())
            .await
            .map_err(|error| error.to_string())?;
        // It is accepted, whatever comes now; a node that is taken for not armed boots its own disk.
        if let Err(error) = shared.reload_armed() {
            tracing::error!(%error, "cannot read which nodes are armed");
        }
        let intent = Arc::clone(&self.intent);
        lock(&shared.tracker).follow(&intent.site);
        if let Err(error) = shared.forget_bindings(&intent.site).await {
            tracing::error!(%error, "cannot forget the unlock keys of nodes that left");
        }
        shared.serve(intent);
        tracing::info!(
            generation = row.generation.0,
            by = row.by,
            summary = row.summary,
            "accepted"
        );
        let detail = json!({ "generation": row.generation, "by": row.by });
        shared.tell(EventKind::GenerationAccepted, detail);
        for node in armed_by(&self.entry.plan).filter_map(|name| self.intent.site.nodes.get(name)) {
            shared.tell_of(node, EventKind::NodeArmed, json!({ "by": self.entry.by }));
        }
        Ok(())
    }

    /// Takes a failed apply back, so that nothing is half applied; what failed.
    async fn take_back(
        &self,
        before: BTreeMap<Service, Arc<Intent>>,
        done: usize,
        title: &str,
        why: &str,
    ) -> Failure {
        tracing::error!(
            generation = self.entry.plan.next.0,
            step = title,
            why,
            "apply failed; taking it back"
        );
        self.undo(before, done, &format!("{title}: {why}")).await;
        let hint = "what ran before runs on; mend the cause and apply again";
        failure("failed", format!("{title} failed: {why}"), hint)
    }

    /// Undoes the steps up to and with number `last`.
    async fn undo(&self, before: BTreeMap<Service, Arc<Intent>>, last: usize, why: &str) {
        self.shared.served.send_replace(before);
        strike_off(&self.shared, &self.entry.plan, last, why).await;
    }
}

/// Strikes an apply off the journal whose steps were done up to and with number `last`.
async fn strike_off(shared: &Shared, plan: &Plan, last: usize, why: &str) {
    // All of them: a machine that was to be replaced must not be armed in the place of its successor.
    let new: Vec<HostName> = armed_in(plan.steps.iter().take(last + 1)).cloned().collect();
    let undone = async {
        shared.store.forget(new).await?;
        shared.store.abandon(why.to_owned()).await?;
        shared.reload_armed()
    };
    if let Err(error) = undone.await {
        tracing::error!(%error, "cannot write that the apply was taken back");
    }
    *lock(&shared.apply) = None;
}

/// Why there cannot be another apply.
fn busy(shared: &Shared) -> Failure {
    match &*lock(&shared.pending) {
        Some(pending) => {
            let left = pending.seconds_left();
            let generation = pending.generation();
            let message = format!("generation {generation} waits for a confirmation, for another {left} s");
            let hint = "`farosctl confirm` keeps it, `farosctl confirm --revert` takes it back at once";
            failure("busy", message, hint)
        }
        None => {
            let hint = "`farosctl status` shows how far it is";
            failure("busy", "another apply is under way", hint)
        }
    }
}

/// The nodes that a plan arms.
pub(crate) fn armed_by(plan: &Plan) -> impl Iterator<Item = &HostName> {
    armed_in(plan.steps.iter())
}

fn armed_in<'a>(steps: impl Iterator<Item = &'a Step>) -> impl Iterator<Item = &'a HostName> {
    steps.flat_map(|step| match &step.action {
        Action::Arm { nodes } => nodes.as_slice(),
        _ => &[],
    })
}

/// The generation's number, for messages.
pub(crate) fn unknown(generation: Generation) -> Failure {
    failure(
        "not-found",
        format!("there is no generation {generation}"),
        "`farosctl history` lists them",
    )
}
