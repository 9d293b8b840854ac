//! An apply that was cut off between any two of its steps, or in the middle of one: the next start carries it to its
//! end, or takes it back if it was on trial.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_model::{
    api::ServiceState,
    event::EventKind,
    ids::{Generation, MacAddr},
    plan::{Action, Plan},
    site::Site,
};
use faros_store::{JournalEntry, Store};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::world::{Outcome, PATIENCE, SITE, World, site_with_printer};

#[tokio::test]
async fn the_first_apply_goes_on_from_whichever_step_it_was_cut_off_at() -> Outcome {
    let plan = faros_plan::plan(None, &site(SITE)?);
    cut_off_everywhere(None, SITE, &plan).await
}

#[tokio::test]
async fn a_change_of_nodes_and_services_goes_on_from_whichever_step_it_was_cut_off_at() -> Outcome {
    let wanted = changed();
    let plan = faros_plan::plan_within(Some((Generation(1), &site(SITE)?)), &site(&wanted)?, None);
    let does = |action: fn(&Action) -> bool| plan.steps.iter().any(|step| action(&step.action));
    ensure!(
        does(|own| matches!(own, Action::Forget { .. }))
            && does(|own| matches!(own, Action::Arm { .. }))
            && does(|own| matches!(own, Action::Stop { .. }))
            && does(|own| matches!(own, Action::Swap { .. })),
        "{plan:#?}"
    );
    cut_off_everywhere(Some(SITE), &wanted, &plan).await
}

#[tokio::test]
async fn a_change_on_trial_is_taken_back_until_it_was_confirmed_and_goes_on_afterwards() -> Outcome {
    let wanted = changed();
    let plan = faros_plan::plan_within(Some((Generation(1), &site(SITE)?)), &site(&wanted)?, Some(60));
    let (confirm, _) = plan.window().context("it waits for nothing")?;
    ensure!(confirm > 1 && confirm + 2 < plan.steps.len(), "{plan:#?}");
    cut_off_everywhere(Some(SITE), &wanted, &plan).await
}

/// Another machine by the name of the first, one more, a printer, and no time service.
fn changed() -> String {
    let nodes = "bootMac: \"52:54:00:08:00:71\"\n      installDisk: /dev/vda\n    - name: node-2\n      \
                 roles: [worker]\n      bootMac: \"52:54:00:08:00:02\"";
    site_with_printer()
        .replacen("bootMac: \"52:54:00:08:00:01\"", nodes, 1)
        .replacen("  nodes:", "  services:\n    ntp: {enabled: false}\n  nodes:", 1)
}

fn site(text: &str) -> anyhow::Result<Site> {
    match faros_site::load(text) {
        Ok(loaded) => Ok(loaded.site),
        Err(problems) => anyhow::bail!("{problems:?}\n{text}"),
    }
}

/// Has farosd start with a journal that stands at each step of the plan: at its begin, and done but not written down.
async fn cut_off_everywhere(running: Option<&str>, wanted: &str, plan: &Plan) -> Outcome {
    let mut world = World::new()?;
    let trial = plan.window().map(|(idx, _)| idx);
    for done in 0..plan.steps.len() {
        for is_half in [false, true] {
            let action = &plan.steps[done].action;
            if is_half && !matches!(action, Action::Arm { .. } | Action::Forget { .. }) {
                continue;
            }
            let place = format!("{done} of {} done, half: {is_half}", plan.steps.len());
            leave(&world, running, wanted, plan, done + usize::from(is_half), done).await?;
            world.start().await?;
            check(&world, plan, done, trial.is_some_and(|trial| done <= trial))
                .await
                .with_context(|| format!("{place}\n{}", world.log()))?;
            world.stop().await?;
        }
    }
    Ok(())
}

/// What a farosd leaves on disk that was killed after `n_steps` steps, of which the journal has `done`.
async fn leave(
    world: &World,
    running: Option<&str>,
    wanted: &str,
    plan: &Plan,
    n_steps: usize,
    done: usize,
) -> Outcome {
    if world.state_dir().exists() {
        fs::remove_dir_all(world.state_dir())?;
    }
    fs::create_dir(world.state_dir())?;
    let store = Store::open(&world.state_dir())?;
    if let Some(text) = running {
        let before = faros_plan::plan(None, &site(text)?);
        store.begin(entry(text, &before)).await?;
        for step in &before.steps {
            on_disk(&store, &step.action, &site(text)?, before.next).await?;
        }
        store.accept(Timestamp::now()).await?;
    }
    store.begin(entry(wanted, plan)).await?;
    for step in &plan.steps[..n_steps] {
        on_disk(&store, &step.action, &site(wanted)?, plan.next).await?;
    }
    if done > 0 {
        store.steps_done(done).await?;
    }
    Ok(store.flush().await?)
}

fn entry(site_file: &str, plan: &Plan) -> JournalEntry {
    JournalEntry {
        site_file: site_file.to_owned(),
        summary: faros_plan::summary(plan),
        plan: plan.clone(),
        by: "tester".to_owned(),
        at: Timestamp::now(),
        rollback_of: None,
    }
}

/// What a step leaves on disk.
async fn on_disk(store: &Store, action: &Action, site: &Site, generation: Generation) -> Outcome {
    match action {
        Action::Arm { nodes } => {
            let nodes = nodes.iter().filter_map(|name| site.nodes.get(name));
            let macs = nodes.map(|node| (node.name.clone(), node.boot_mac)).collect();
            let by = "tester".to_owned();
            store.arm_new(macs, generation, by, Timestamp::now()).await?;
        }
        Action::Forget { nodes } => store.forget(nodes.clone()).await?,
        Action::Swap { .. }
        | Action::Start { .. }
        | Action::Stop { .. }
        | Action::Confirm { .. }
        | Action::Accept => (),
    }
    Ok(())
}

/// It runs as if nothing had happened; `is_taken_back`: as if it had never been asked for.
async fn check(world: &World, plan: &Plan, done: usize, is_taken_back: bool) -> Outcome {
    let generation = if is_taken_back { plan.base } else { Some(plan.next) };
    world
        .until(|status| status.apply.is_none() && status.generation == generation)
        .await?;
    let accepted = world.client().generations().await?;
    let numbers: Vec<_> = accepted.iter().map(|row| Some(row.generation)).collect();
    let all: Vec<_> = (1..=generation.map_or(0, |own| own.0))
        .rev()
        .map(|n| Some(Generation(n)))
        .collect();
    ensure!(numbers == all, "{numbers:?}, not {all:?}");

    // Who is served is who is in the site that runs, and every one of them is to be installed.
    let nodes = world.client().nodes().await?;
    let mac = |last| MacAddr([0x52, 0x54, 0, 0x08, 0, last]);
    let macs: Vec<_> = nodes.iter().map(|node| node.boot_mac).collect();
    let expected = match generation {
        Some(Generation(2)) => vec![mac(0x71), mac(0x02)],
        _ => vec![mac(0x01)],
    };
    ensure!(macs == expected, "{macs:?}, not {expected:?}");
    ensure!(nodes.iter().all(|node| node.armed), "{nodes:#?}");
    let status = world
        .until(|status| {
            let is_up = |state| matches!(state, ServiceState::Ready | ServiceState::Off);
            status.services.iter().all(|own| is_up(own.state))
        })
        .await?;
    let old = status
        .services
        .iter()
        .find(|own| own.state == ServiceState::Ready && own.generation != generation);
    ensure!(old.is_none(), "{old:?}");

    let told = told(world).await?;
    let (of, generation) = (plan.steps.len(), plan.next);
    let is_told = match &told[..] {
        [(EventKind::ApplyReverted, detail)] => is_taken_back && detail["why"] == json!("restarted"),
        [
            (EventKind::ApplyResumed, begun),
            (EventKind::GenerationAccepted, accepted),
        ] => {
            !is_taken_back
                && (&begun["step"], &begun["of"]) == (&json!(done + 1), &json!(of))
                && accepted["generation"] == json!(generation)
        }
        _ => false,
    };
    ensure!(is_told, "{told:?}");
    Ok(())
}

/// How it went on, by the events; the last of them says how it ended.
async fn told(world: &World) -> anyhow::Result<Vec<(EventKind, Map<String, Value>)>> {
    let ends = [EventKind::GenerationAccepted, EventKind::ApplyReverted];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut events = world.events().await?;
        events.retain(|event| event.kind == EventKind::ApplyResumed || ends.contains(&event.kind));
        if events.last().is_some_and(|event| ends.contains(&event.kind)) {
            return Ok(events
                .into_iter()
                .map(|event| (event.kind, event.detail))
                .collect());
        }
        ensure!(Instant::now() < deadline, "its end is not told: {events:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
