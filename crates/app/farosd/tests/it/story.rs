//! The story of a boot, and why a node does not get on, as the API tells them.

use faros_model::{
    api::ServiceState,
    event::EventKind,
    ids::HostName,
    timeline::{HowFar, SpanKind},
};
use futures_util::future::join_all;

use crate::world::{
    BOOT, Machine, NODE_MAC, Outcome, REPORT, SITE, World, only_machines, refusal, site_of_two,
};

fn node() -> anyhow::Result<HostName> {
    "node-1".parse().map_err(anyhow::Error::msg)
}

/// A bastion, and a machine with the node's MAC and address.
async fn booting() -> anyhow::Result<(World, Machine)> {
    let mut world = World::without_interface()?;
    let machine = Machine::plug(&world, NODE_MAC)?;
    world.start().await?;
    world.apply(&only_machines(SITE)).await?;
    world.all_are(ServiceState::Ready).await?;
    let address = world.client().nodes().await?[0].address;
    machine.0.ip(&format!("address add {address}/24 dev eth0"))?;
    Ok((world, machine))
}

/// Fetches the config of which the boot script tells.
async fn ignition(world: &World, machine: &Machine) -> anyhow::Result<u16> {
    world.add_image("debian-13").await?;
    Ok(machine.http(&machine.ignition_url()?)?.0)
}

fn report(machine: &Machine, facts: &str) -> Outcome {
    let (status, _) = machine.http(&format!("-d {{{facts}}} {REPORT}"))?;
    anyhow::ensure!(status == 204, "the report is answered {status}");
    Ok(())
}

#[tokio::test]
async fn a_boot_is_told_and_what_stops_it_is_named() -> Outcome {
    let (world, machine) = booting().await?;
    assert_eq!(
        refusal(world.client().timeline(&node()?, None).await)?,
        "not-found"
    );
    assert!(world.client().sessions(&node()?).await?.is_empty());
    assert_eq!(world.why().await?, "never-seen");

    // It asks for its script, and there is no image.
    assert_eq!(machine.http(BOOT)?.0, 200);
    assert_eq!(world.why().await?, "image-missing");

    assert_eq!(ignition(&world, &machine).await?, 200);
    report(&machine, r#""report":"ignition-fetched""#)?;
    report(&machine, r#""report":"stage","stage":"disk","state":"started""#)?;
    report(
        &machine,
        r#""report":"failed","stage":"disk","code":"disk-missing","message":"none""#,
    )?;
    let diagnosis = world.client().why(&node()?).await?;
    let cause = &diagnosis.causes[0];
    assert_eq!(cause.code, "disk-missing");
    assert!(cause.evidence[0].contains("event "), "{cause:?}");

    let told = world.client().timeline(&node()?, None).await?;
    assert_eq!((told.reached, told.open), (HowFar::Failed, false));
    assert!(told.reason.contains("disk-missing"), "{}", told.reason);
    let kinds: Vec<SpanKind> = told.spans.iter().map(|span| span.kind).collect();
    assert!(
        kinds.ends_with(&[SpanKind::Ignition, SpanKind::Stage]),
        "{kinds:?}"
    );

    // It starts over: another session, and the old one is still there to be told.
    assert_eq!(machine.http(BOOT)?.0, 200);
    let sessions = world.client().sessions(&node()?).await?;
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert_eq!(sessions[1].session, told.session);
    assert!(sessions[0].latest && !sessions[1].latest);
    let again = world.client().timeline(&node()?, Some(told.session)).await?;
    assert_eq!(again.spans, told.spans);
    Ok(())
}

#[tokio::test]
async fn what_was_done_before_somebody_asks_is_told() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    world.apply(&site_of_two()).await?;
    let client = world.client();
    let nodes = client.nodes().await?;
    for round in 0..20 {
        let armed = round % 2 != 0;
        let both = nodes
            .iter()
            .map(|node| client.set_armed(&node.name, armed, "tester"));
        for done in join_all(both).await {
            done?;
        }
        let kind = if armed {
            EventKind::NodeArmed
        } else {
            EventKind::NodeDisarmed
        };
        let events = world.events().await?;
        let kinds = events.iter().rev().map(|event| event.kind);
        let of_arming = kinds.filter(|kind| matches!(kind, EventKind::NodeArmed | EventKind::NodeDisarmed));
        let told: Vec<_> = of_arming.take(2).collect();
        assert_eq!(told, [kind; 2], "round {round}");
    }
    Ok(())
}

#[tokio::test]
async fn a_timeline_has_a_hole_where_the_daemon_was_killed() -> Outcome {
    let (mut world, machine) = booting().await?;
    assert_eq!(ignition(&world, &machine).await?, 200);
    report(&machine, r#""report":"ignition-fetched""#)?;
    report(&machine, r#""report":"stage","stage":"disks","state":"started""#)?;
    // What is asked for is on disk by the time it is answered.
    world.client().timeline(&node()?, None).await?;
    world.kill().await?;
    world.start().await?;
    world.all_are(ServiceState::Ready).await?;
    report(&machine, r#""report":"stage","stage":"root","state":"started""#)?;

    let told = world.client().timeline(&node()?, None).await?;
    let phases: Vec<_> = told.spans.iter().filter(|span| !span.inside).collect();
    let kinds: Vec<SpanKind> = phases.iter().map(|span| span.kind).collect();
    assert!(
        kinds.ends_with(&[
            SpanKind::Stage,
            SpanKind::Down,
            SpanKind::Unknown,
            SpanKind::Stage
        ]),
        "{kinds:?}"
    );
    let [.., disks, _, _, root] = phases.as_slice() else {
        anyhow::bail!("{phases:?}");
    };
    assert!(!disks.end_seen && disks.name == "disks", "{disks:?}");
    assert!(root.begin_seen && root.name == "root", "{root:?}");
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_nearly_a_node_s_is_met_with_the_node_s() -> Outcome {
    let world = World::serving().await?;
    let wrong: HostName = "node-l".parse().map_err(anyhow::Error::msg)?;
    for result in [
        world.client().why(&wrong).await.map(drop),
        world.client().timeline(&wrong, None).await.map(drop),
        world.client().sessions(&wrong).await.map(drop),
        world.client().set_armed(&wrong, true, "tester").await.map(drop),
    ] {
        match result {
            Err(faros_client::ClientError::Refused(failure)) => {
                assert_eq!(failure.code, "not-found");
                assert_eq!(failure.hint, "did you mean `node-1`?");
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    Ok(())
}
