//! Carrying a plan out, and the confirmation of one that could cut the operator off.
//!
//! Whether a change is on trial is farosd's to say. Here it is only known whether there is somebody to ask: on a
//! terminal this waits for an answer, and if the terminal's session dies with the way to it, there is none, which
//! is the point.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    thread,
};

use anyhow::Context as _;
use faros_client::{Client, ClientError};
use faros_model::{
    api::{ApplyProgress, ApplyRequest, ConfirmRequest, Window},
    ids::Generation,
    plan::{Impact, Plan},
};
use serde_json::json;
use tokio::sync::oneshot;

use crate::{
    args::{How, SOCKET},
    outcome::{Done, Error, print, say},
    site::{answer, counted, lacks, name_of, note, read, warn, who, with_report},
};

/// `apply`.
pub(crate) async fn apply(client: &Client, file: &Path, how: How, as_json: bool) -> Result<Done, Error> {
    let text = read(file)?;
    carry_out(client, &name_of(file), text, None, how, as_json).await
}

/// `rollback`.
pub(crate) async fn rollback(
    client: &Client,
    generation: Generation,
    how: How,
    as_json: bool,
) -> Result<Done, Error> {
    let row = client.generation(generation).await?;
    let text = row.site_file.context("farosd did not send the site file")?;
    let name = format!("generation {generation}");
    carry_out(client, &name, text, Some(generation), how, as_json).await
}

/// `confirm`.
pub(crate) async fn confirm(
    client: &Client,
    generation: Option<Generation>,
    keep: bool,
    as_json: bool,
) -> Result<Done, Error> {
    let request = ConfirmRequest {
        by: who(),
        keep,
        generation,
    };
    let confirmed = client.confirm(&request).await?;
    if as_json {
        return print(&(json!(confirmed).to_string() + "\n"));
    }
    say(&if confirmed.kept {
        format!("Generation {} is accepted and runs.", confirmed.generation)
    } else {
        format!("Generation {} is taken back.", confirmed.generation)
    });
    Ok(Done::Ok)
}

async fn carry_out(
    client: &Client,
    name: &str,
    text: String,
    rollback_of: Option<Generation>,
    how: How,
    as_json: bool,
) -> Result<Done, Error> {
    let attended = io::stdin().is_terminal() && !as_json;
    let window = match how.confirm_within {
        Some(seconds) => Window::Seconds(seconds),
        None if how.no_revert => Window::None,
        None if attended => Window::Attended,
        None => Window::Planned,
    };
    let planned = client
        .plan_within(&text, window)
        .await
        .map_err(|error| with_report(error, name, &text))?;
    if !as_json {
        warn(&planned.warnings, name, &text);
        say(faros_plan::text(&planned.plan).trim_end());
        note(&planned.notes);
    }
    lacks(&planned.missing, how.without_content, as_json)?;
    if !planned.plan.is_empty() && !how.yes {
        ask(&planned.plan)?;
    }
    let request = ApplyRequest {
        site_file: text.clone(),
        base: planned.plan.base,
        by: who(),
        rollback_of,
        window,
        without_content: how.without_content,
    };
    let lines = client
        .apply(&request)
        .await
        .map_err(|error| with_report(error, name, &text))?;
    let interrupted =
        || say("The apply goes on in farosd; `farosctl status` and `farosctl watch` follow it.");
    let guard = OnDrop(Some(interrupted));
    let mut progress = Progress {
        client,
        lines,
        as_json,
        attended,
        last: String::from("before its first step"),
        asked: None,
    };
    let result = progress.follow().await;
    guard.defuse();
    result
}

/// Says something if the command is interrupted before its end.
struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(say) = self.0.take() {
            say();
        }
    }
}

/// What is read of an apply, and where it stands.
struct Progress<'a> {
    client: &'a Client,
    lines: faros_client::Lines<ApplyProgress>,
    as_json: bool,
    attended: bool,
    last: String,
    /// The generation that is on trial, and what the operator says about it.
    asked: Option<(Generation, oneshot::Receiver<bool>)>,
}

impl Progress<'_> {
    async fn follow(&mut self) -> Result<Done, Error> {
        loop {
            let asked = &mut self.asked;
            let answered = async {
                match asked {
                    Some((generation, answer)) => (*generation, answer.await.ok()),
                    None => std::future::pending().await,
                }
            };
            let line = tokio::select! {
                line = self.lines.next() => self.line(line)?,
                (generation, keep) = answered => {
                    self.asked = None;
                    self.decide(generation, keep).await;
                    continue;
                }
            };
            if let Some(done) = self.take(line)? {
                return Ok(done);
            }
        }
    }

    fn line(&self, line: Result<Option<ApplyProgress>, ClientError>) -> Result<ApplyProgress, Error> {
        match line {
            Ok(Some(line)) => Ok(line),
            Ok(None) | Err(ClientError::Broken(_)) => {
                let last = &self.last;
                let what = format!(
                    "farosd went away while applying ({last}); it goes on by itself when it is back, and what is to be \
                     confirmed is taken back: `farosctl status` shows where it stands"
                );
                Err(Error::Failed(anyhow::anyhow!(what)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the operator; the end, if it is one.
    fn take(&mut self, line: ApplyProgress) -> Result<Option<Done>, Error> {
        if self.as_json {
            print(&(json!(line).to_string() + "\n"))?;
        }
        match line {
            ApplyProgress::Started { .. } => (),
            ApplyProgress::Step { step, of, title } => {
                self.last = format!("at step {step} of {of}: {title}");
                if !self.as_json {
                    say(&format!("[{step}/{of}] {title}"));
                }
            }
            ApplyProgress::Provisional { generation, seconds } if self.attended => {
                say(&format!(
                    "Generation {generation} runs on trial: it is taken back if this session is cut off, and without an \
                     answer in {seconds} s.\n\
                     This session may live on where nobody new gets in. So open a second one by the way that you need, \
                     and test there;\nthere `{}` keeps it, as yes does here: keep it? [yes/no]",
                    confirmation(self.client, generation)
                ));
                self.asked = Some((generation, listen()));
            }
            ApplyProgress::Provisional { generation, seconds } => {
                if !self.as_json {
                    say(&format!(
                        "Generation {generation} runs on trial: it is taken back in {seconds} s, unless it is kept.\n\
                         This session may live on where nobody new gets in. So open a second one by the way that you \
                         need, test there, and keep it:\n  {}",
                        confirmation(self.client, generation)
                    ));
                }
                return Ok(Some(Done::Ok));
            }
            ApplyProgress::Nothing { .. } => return Ok(Some(Done::Ok)),
            ApplyProgress::Accepted { generation } => {
                if !self.as_json {
                    say(&format!("Generation {generation} is accepted and runs."));
                }
                return Ok(Some(Done::Ok));
            }
            ApplyProgress::Failed { failure } => return Err(Error::Apply(failure)),
        }
        Ok(None)
    }

    /// Hands the operator's answer on; how it ends comes as a line. Without an answer, time decides.
    async fn decide(&self, generation: Generation, keep: Option<bool>) {
        let Some(keep) = keep else { return };
        let request = ConfirmRequest {
            by: who(),
            keep,
            generation: Some(generation),
        };
        if let Err(error) = self.client.confirm(&request).await {
            say(&format!("It was too late: {error}"));
        }
    }
}

/// The command that keeps a generation, from any session on this machine.
fn confirmation(client: &Client, generation: Generation) -> String {
    let socket = client.socket();
    if socket == Path::new(SOCKET) {
        return format!("farosctl confirm {generation}");
    }
    format!("farosctl --socket {} confirm {generation}", socket.display())
}

/// Reads the operator's answer, beside what else happens. The thread ends with the program.
fn listen() -> oneshot::Receiver<bool> {
    let (answered, answer_of) = oneshot::channel();
    thread::spawn(move || {
        while let Ok(Some(said)) = answer() {
            let keep = match said.to_ascii_lowercase().as_str() {
                "yes" | "y" => true,
                "no" | "n" => false,
                _ => {
                    say("Type yes to keep it, no to take it back:");
                    continue;
                }
            };
            // The apply may have ended by itself.
            let _ = answered.send(keep);
            return;
        }
    });
    answer_of
}

/// Asks the operator; without one to ask, refuses.
fn ask(plan: &Plan) -> Result<(), Error> {
    if !io::stdin().is_terminal() {
        let why = "there is nobody to ask: look at the plan, and say --yes if it is meant";
        return Err(Error::Refused(why.to_owned()));
    }
    let changes = plan.steps.iter().flat_map(|step| &step.changes);
    let destroys: Vec<_> = changes
        .filter(|change| change.impact == Impact::Destructive)
        .collect();
    if destroys.is_empty() {
        say("\nCarry this out? [y/N]");
    } else {
        say(&format!(
            "\nThis destroys data at the next network boot of {}:",
            counted(destroys.len(), "machine")
        ));
        for change in destroys {
            say(&format!("  {}: {}", change.subject, change.reason));
        }
        say("Carry it out? [y/N]");
    }
    if answer()?.is_some_and(|said| said.eq_ignore_ascii_case("y")) {
        return Ok(());
    }
    Err(Error::Refused("not confirmed; nothing was changed".to_owned()))
}
