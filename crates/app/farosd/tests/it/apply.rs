//! Plan, apply, history and rollback, over the API.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use faros_client::{ClientError, Events};
use faros_model::{
    api::{ApplyProgress, ApplyRequest, ServiceState},
    event::EventKind,
    ids::Generation,
    plan::{Action, Service},
};

use crate::world::{Outcome, PATIENCE, SITE, World, files, refusal, request, site_with_printer};

#[tokio::test]
async fn a_new_bastion_waits_for_its_first_site() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let status = world.status().await?;
    assert_eq!((status.generation, status.site), (None, None));
    assert!(status.services.iter().all(|own| own.state == ServiceState::Off));
    assert_eq!(world.client().nodes().await?.len(), 0);
    assert_eq!(world.client().leases().await?.len(), 0);
    assert_eq!(
        refusal(world.client().generation(Generation(1)).await)?,
        "not-found"
    );
    Ok(())
}

#[tokio::test]
async fn the_first_apply_starts_every_service_and_is_in_the_history() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let planned = world.client().plan(SITE).await?.plan;
    let said = world.progress(SITE).await?;
    assert_eq!(
        said.first(),
        Some(&ApplyProgress::Started {
            plan: planned.clone()
        }),
        "what is applied is what was shown"
    );
    let steps = said
        .iter()
        .filter(|line| matches!(line, ApplyProgress::Step { .. }))
        .count();
    assert_eq!(steps, planned.steps.len());
    world.all_are(ServiceState::Ready).await?;

    let [row] = &world.client().generations().await?[..] else {
        anyhow::bail!("not one generation")
    };
    assert_eq!((row.generation, row.by.as_str()), (Generation(1), "tester"));
    let whole = world.client().generation(Generation(1)).await?;
    assert_eq!(whole.site_file.as_deref(), Some(SITE));
    let [node] = &world.client().nodes().await?[..] else {
        anyhow::bail!("not one node")
    };
    assert!(node.armed, "the first apply of a node arms it");
    Ok(())
}

#[tokio::test]
async fn the_same_file_again_changes_nothing_on_disk() -> Outcome {
    let world = World::serving().await?;
    // Asking for events waits until all that is under way is on disk. The loaders come in by themselves.
    let settled = async || {
        let mut before = files(&world.state_dir())?;
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = files(&world.state_dir())?;
            if now == before {
                return anyhow::Ok(now);
            }
            before = now;
        }
    };
    let before = settled().await?;
    let begun = Instant::now();
    let said = world.progress(SITE).await?;
    let took = begun.elapsed();
    assert_eq!(
        said,
        [ApplyProgress::Nothing {
            generation: Generation(1)
        }]
    );
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(settled().await?, before);
    Ok(())
}

#[tokio::test]
async fn a_plan_that_is_out_of_date_is_refused() -> Outcome {
    let world = World::serving().await?;
    let late = world.client().apply(&request(&site_with_printer(), None)).await;
    assert_eq!(refusal(late)?, "conflict");
    let early = request(&site_with_printer(), Some(Generation(2)));
    assert_eq!(refusal(world.client().apply(&early).await)?, "conflict");
    assert_eq!(world.generation().await?, Some(Generation(1)));
    Ok(())
}

#[tokio::test]
async fn of_two_applies_at_once_one_is_refused() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let (client, wanted) = (world.client(), request(SITE, None));
    let (first, second) = tokio::join!(client.apply(&wanted), client.apply(&wanted));
    let (accepted, refused) = if first.is_ok() {
        (first, second)
    } else {
        (second, first)
    };
    let code = refusal(refused)?;
    assert!(["busy", "conflict"].contains(&code.as_str()), "{code}");
    let mut lines = accepted?;
    while lines.next().await?.is_some() {}
    assert_eq!(world.generation().await?, Some(Generation(1)));
    Ok(())
}

#[tokio::test]
async fn an_apply_goes_on_when_who_asked_for_it_is_gone() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let lines = world.client().apply(&request(SITE, None)).await?;
    drop(lines);
    world
        .until(|status| status.generation == Some(Generation(1)))
        .await?;
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn a_file_with_problems_changes_nothing() -> Outcome {
    let world = World::serving().await?;
    let bad = SITE.replace("bootMac", "bootMax");
    for result in [
        world.client().plan(&bad).await.map(drop),
        world
            .client()
            .apply(&request(&bad, Some(Generation(1))))
            .await
            .map(drop),
    ] {
        let Err(ClientError::Problems(found)) = result else {
            anyhow::bail!("it was not refused")
        };
        assert!(found.problems.iter().any(|one| one.code == "unknown-key"));
    }
    assert_eq!(world.generation().await?, Some(Generation(1)));
    Ok(())
}

#[tokio::test]
async fn a_change_touches_only_what_it_concerns_and_a_rollback_is_a_new_generation() -> Outcome {
    let world = World::serving().await?;
    let wider = site_with_printer();
    let plan = world.client().plan(&wider).await?.plan;
    let touched: Vec<&Action> = plan.steps.iter().map(|step| &step.action).collect();
    assert!(
        touched.contains(&&Action::Swap {
            service: Service::Dhcp
        }),
        "{touched:?}"
    );
    assert!(
        !touched.iter().any(|action| matches!(
            action,
            Action::Arm { .. } | Action::Forget { .. } | Action::Start { .. }
        )),
        "{touched:?}"
    );
    assert_eq!(world.apply(&wider).await?, Generation(2));

    let back = ApplyRequest {
        rollback_of: Some(Generation(1)),
        ..request(SITE, Some(Generation(2)))
    };
    let mut lines = world.client().apply(&back).await?;
    while lines.next().await?.is_some() {}
    let history = world.client().generations().await?;
    let rows: Vec<_> = history
        .iter()
        .map(|row| (row.generation.0, row.rollback_of))
        .collect();
    assert_eq!(rows, [(3, Some(Generation(1))), (2, None), (1, None)]);
    assert_eq!(history[0].digest, history[2].digest);
    world
        .until(|status| {
            let of = |own: &faros_model::api::ServiceStatus| own.generation == Some(Generation(3));
            status.services.iter().all(of)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_follower_sees_each_event_once_however_far_behind_it_begins() -> Outcome {
    const PAST: u64 = 25_000;
    let mut world = World::new()?;
    {
        // More than is read at a time, and more than is kept for those who lag.
        let store = faros_store::Store::open(&world.state_dir())?;
        let first = store.next_seq();
        for chunk in 0..PAST / 1000 {
            let events = (0..1000).map(|n| faros_model::event::Event {
                seq: first + chunk * 1000 + n,
                at: jiff::Timestamp::now(),
                node: None,
                session: None,
                kind: EventKind::ServiceReady,
                detail: serde_json::Map::new(),
            });
            store.record(events.collect(), faros_boot::Changes::default());
        }
        store.flush().await?;
    }
    world.start().await?;
    let events = Events {
        after: Some(0),
        follow: true,
        ..Events::default()
    };
    let mut lines = world.client().events(&events).await?;
    world.apply(SITE).await?;
    let mut newest = 0;
    let seen = async {
        while let Some(event) = lines.next().await? {
            anyhow::ensure!(event.seq == newest + 1, "{} after {newest}", event.seq);
            newest = event.seq;
            if event.kind == EventKind::GenerationAccepted {
                return Ok(());
            }
        }
        anyhow::bail!("the stream ended")
    };
    tokio::time::timeout(PATIENCE, seen).await??;
    assert!(newest > PAST);
    Ok(())
}

#[tokio::test]
async fn each_operation_of_the_openapi_document_is_there() -> Outcome {
    let world = World::serving().await?;
    let document = world.client().openapi().await?;
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().cloned().unwrap_or_default();
    assert!(paths.len() >= 12, "{paths:?}");
    let ask = |what: &str, path: &str| {
        let socket = world.socket();
        world.net.output(&format!(
            "curl -s {what} --unix-socket {} http://farosd{path}",
            socket.display()
        ))
    };
    let nowhere = ask("", "/v1/nowhere")?;
    assert!(nowhere.contains("no such path"), "{nowhere}");
    for (path, operations) in &paths {
        let real = path
            .replace("{generation}", "1")
            .replace("{name}", "node-1")
            .replace("{*name}", "a/b");
        assert!(
            !real.contains('{'),
            "{path} has a parameter that this test knows nothing of"
        );
        // Of a method that it has not, a path says which it has.
        let refused = ask("-i -X OPTIONS", &real)?;
        let allowed = refused
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("allow:")
                    .map(str::to_owned)
            })
            .with_context(|| format!("{path}: {refused}"))?;
        let allowed: BTreeSet<_> = allowed
            .split(',')
            .map(str::trim)
            .filter(|own| *own != "head")
            .collect();
        let written = operations.as_object().into_iter().flat_map(serde_json::Map::keys);
        assert_eq!(allowed, written.map(String::as_str).collect(), "{path}");
        if allowed.contains("get") {
            assert_ne!(ask("", &real)?, nowhere, "{path}");
        }
    }
    let text = document.to_string();
    for (at, _) in text.match_indices("\"$ref\":\"#") {
        let reference: String = text[at + 9..].chars().take_while(|c| *c != '"').collect();
        assert!(
            document.pointer(&reference).is_some(),
            "{reference} leads nowhere"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_not_understood_is_answered_in_the_api_s_own_words() -> Outcome {
    let world = World::serving().await?;
    for (what, data) in [
        ("/v1/plan", "{"),
        ("/v1/apply", "{}"),
        ("/v1/nodes/node-1/arm", "[]"),
    ] {
        let output = world.net.output(&format!(
            "curl -s --unix-socket {} -H content-type:application/json -d {data} http://farosd{what}",
            world.socket().display()
        ))?;
        let failure: faros_model::api::Failure =
            serde_json::from_str(&output).map_err(|error| anyhow::anyhow!("{what}: {error}: {output}"))?;
        assert_eq!(failure.code, "bad-request", "{what}");
    }
    Ok(())
}
