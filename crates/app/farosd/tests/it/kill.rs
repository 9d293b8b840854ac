//! An apply that is cut off at any moment is either not begun, or is carried to its end by the next start.

use std::time::Instant;

use faros_model::{api::ServiceState, event::EventKind, ids::Generation};
use tokio::sync::oneshot;

use crate::world::{Outcome, SITE, World, request, site_with_printer};

#[tokio::test]
async fn a_bastion_that_is_killed_during_an_apply_ends_up_with_one_whole_generation() -> Outcome {
    let mut world = World::serving().await?;
    let files = [SITE.to_owned(), site_with_printer()];
    let at = Instant::now();
    world.apply(&files[1]).await?;
    let whole = at.elapsed();
    let mut base = Generation(2);
    for (round, file) in (0..20).zip(files.iter().cycle()) {
        let client = world.client();
        let wanted = request(file, Some(base));
        let (tell, told) = oneshot::channel();
        let applying = tokio::spawn(async move {
            let mut lines = client.apply(&wanted).await.ok()?;
            let mut tell = Some(tell);
            while let Ok(Some(_)) = lines.next().await {
                tell.take().map(|tell| tell.send(()));
            }
            Some(tell.is_none())
        });
        // The journal has it when it tells of progress: half of the kills come then, and the others at any moment.
        if round % 2 == 0 {
            tokio::time::sleep(whole * round / 16).await;
        } else {
            told.await.ok();
        }
        world.kill().await?;
        let began = applying.await?.unwrap_or(false);

        world.start().await?;
        let status = world
            .until(|status| status.apply.is_none() && status.generation.is_some())
            .await?;
        world.all_are(ServiceState::Ready).await?;
        let after = world.generation().await?.unwrap_or(Generation(0));
        anyhow::ensure!(
            after == base || after == base.next(),
            "round {round}: {after} after {base}: {status:#?}"
        );
        // Progress is only told after the journal has it.
        anyhow::ensure!(
            !began || after == base.next(),
            "round {round}: begun, and lost\n{}",
            world.log()
        );
        // Who has nothing to change takes the new one up a moment after it is accepted.
        world
            .until(|status| status.services.iter().all(|own| own.generation == Some(after)))
            .await?;

        // The next round applies the other file on top, whichever runs now.
        if after == base {
            world.apply(file).await?;
        }
        base = base.next();
    }
    let log = world.log();
    anyhow::ensure!(
        log.contains("going on with an apply"),
        "no kill hit an apply:\n{log}"
    );
    let rows = world.client().generations().await?;
    assert_eq!(rows.len(), 22, "no generation twice, none left out");
    let mut newest = 0;
    for event in world.events().await? {
        anyhow::ensure!(event.seq > newest, "{} after {newest}", event.seq);
        newest = event.seq;
    }
    Ok(())
}

#[tokio::test]
async fn an_interrupted_apply_is_told_in_the_events() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    world.stop().await?;
    {
        // As a kill right after the journal was written leaves it.
        let site = faros_site::load(SITE).map_err(|_| anyhow::anyhow!("the site has problems"))?;
        let store = faros_store::Store::open(&world.state_dir())?;
        let plan = faros_plan::plan(None, &site.site);
        store
            .begin(faros_store::JournalEntry {
                site_file: SITE.to_owned(),
                summary: faros_plan::summary(&plan),
                plan,
                by: "tester".to_owned(),
                at: jiff::Timestamp::now(),
                rollback_of: None,
            })
            .await?;
    }
    world.start().await?;
    world
        .until(|status| status.generation == Some(Generation(1)))
        .await?;
    world.all_are(ServiceState::Ready).await?;
    assert!(world.client().nodes().await?.iter().all(|node| node.armed));
    let kinds: Vec<EventKind> = world.events().await?.iter().map(|event| event.kind).collect();
    assert!(kinds.contains(&EventKind::ApplyResumed), "{kinds:?}");
    assert!(kinds.contains(&EventKind::GenerationAccepted), "{kinds:?}");
    Ok(())
}
