//! An apply that could cut the operator off runs on trial: kept if it is confirmed, and else nothing of it is left.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use faros_model::{
    api::{ApplyProgress, ApplyRequest, ConfirmRequest, ServiceState, Status, Window},
    event::EventKind,
    ids::Generation,
    plan::Service,
};

use crate::world::{
    Machine, Outcome, SITE, World, keep, only_machines, refusal, request, site_with_printer, state_of,
};

/// The site with a bastion that has moved.
fn moved() -> String {
    SITE.replace(
        "    subnet: 192.168.8.0/24\n",
        "    subnet: 192.168.8.0/24\n    addresses: {bastion: 192.168.8.9}\n",
    )
}

fn addresses(world: &World) -> anyhow::Result<String> {
    world.net.output("ip -4 -br address show dev lan0")
}

/// Why the latest apply that was on trial was taken back, as it is recorded.
async fn taken_back_for(world: &World) -> anyhow::Result<String> {
    let events = world.events().await?;
    let last = events
        .iter()
        .rfind(|event| event.kind == EventKind::ApplyReverted);
    let why = last.context("not told")?.detail["why"].as_str();
    Ok(why.context("no reason")?.to_owned())
}

fn is_quiet(status: &Status) -> bool {
    status.apply.is_none()
}

#[tokio::test]
async fn what_is_confirmed_is_kept() -> Outcome {
    let mut world = World::serving().await?;
    let mut lines = world.on_trial(&moved(), Window::Planned).await?;
    let status = world.status().await?;
    let apply = status.apply.context("no apply")?;
    ensure!(apply.seconds_left.is_some_and(|left| left <= 60), "{apply:?}");
    assert_eq!(status.generation, Some(Generation(1)), "not accepted yet");
    let has = addresses(&world)?;
    ensure!(
        has.contains("192.168.8.9/24") && !has.contains("192.168.8.1/24"),
        "{has}"
    );

    let busy = world.client().apply(&request(SITE, Some(Generation(1)))).await;
    assert_eq!(refusal(busy)?, "busy");
    let other = ConfirmRequest {
        generation: Some(Generation(7)),
        ..keep(true)
    };
    assert_eq!(refusal(world.client().confirm(&other).await)?, "conflict");

    let confirmed = world.client().confirm(&keep(true)).await?;
    assert_eq!((confirmed.generation, confirmed.kept), (Generation(2), true));
    ensure!(matches!(lines.next().await?, Some(ApplyProgress::Step { .. })));
    assert_eq!(
        lines.next().await?,
        Some(ApplyProgress::Accepted {
            generation: Generation(2)
        })
    );
    assert_eq!(refusal(world.client().confirm(&keep(true)).await)?, "not-found");
    world.kill().await?;
    world.start().await?;
    assert_eq!(world.generation().await?, Some(Generation(2)));
    Ok(())
}

#[tokio::test]
async fn what_is_not_confirmed_is_taken_back_and_can_be_applied_again() -> Outcome {
    let world = World::serving().await?;
    for (window, decide, why) in [
        (Window::Seconds(1), false, "not-confirmed"),
        (Window::Planned, true, "refused"),
    ] {
        let mut lines = world.on_trial(&moved(), window).await?;
        if decide {
            ensure!(!world.client().confirm(&keep(false)).await?.kept);
        }
        match lines.next().await? {
            Some(ApplyProgress::Failed { failure }) => assert_eq!(failure.code, "not-confirmed"),
            other => anyhow::bail!("{other:?}"),
        }
        let has = addresses(&world)?;
        ensure!(
            has.contains("192.168.8.1/24") && !has.contains("192.168.8.9/24"),
            "{has}"
        );
        assert_eq!(world.generation().await?, Some(Generation(1)));
        world.until(is_quiet).await?;
        world.all_are(ServiceState::Ready).await?;
        assert_eq!(taken_back_for(&world).await?, why);
    }
    assert_eq!(world.apply(&moved()).await?, Generation(2));
    Ok(())
}

#[tokio::test]
async fn what_is_on_trial_is_taken_back_however_farosd_ends() -> Outcome {
    for kill in [true, false] {
        let mut world = World::serving().await?;
        let _lines = world.on_trial(&moved(), Window::Planned).await?;
        if kill {
            world.kill().await?;
            let has = addresses(&world)?;
            ensure!(has.contains("192.168.8.9"), "the kernel has it still: {has}");
        } else {
            world.stop().await?;
            let has = addresses(&world)?;
            ensure!(
                has.contains("192.168.8.1/24"),
                "it is taken back before farosd ends: {has}"
            );
        }
        world.start().await?;
        world.until(is_quiet).await?;
        world.all_are(ServiceState::Ready).await?;
        let has = addresses(&world)?;
        ensure!(
            has.contains("192.168.8.1/24") && !has.contains("192.168.8.9"),
            "{has}"
        );
        assert_eq!(world.generation().await?, Some(Generation(1)));
        assert_eq!(refusal(world.client().confirm(&keep(true)).await)?, "not-found");
        let why = if kill { "restarted" } else { "refused" };
        assert_eq!(taken_back_for(&world).await?, why);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_on_its_way_to_a_trial_is_taken_back_before_farosd_stops() -> Outcome {
    let mut world = World::serving().await?;
    let wanted = ApplyRequest {
        window: Window::Planned,
        ..request(&moved(), Some(Generation(1)))
    };
    let mut lines = world.client().apply(&wanted).await?;
    ensure!(matches!(lines.next().await?, Some(ApplyProgress::Started { .. })));
    world.stop().await?;
    let has = addresses(&world)?;
    ensure!(
        has.contains("192.168.8.1/24") && !has.contains("192.168.8.9"),
        "{has}"
    );
    world.start().await?;
    world.all_are(ServiceState::Ready).await?;
    assert_eq!(world.generation().await?, Some(Generation(1)));
    Ok(())
}

#[tokio::test]
async fn no_machine_is_installed_by_what_is_on_trial() -> Outcome {
    let mut world = World::without_interface()?;
    let machine = Machine::plug(&world, "52:54:00:08:00:99")?;
    world.start().await?;
    world.apply(&only_machines(SITE)).await?;
    world.all_are(ServiceState::Ready).await?;
    world.add_image("debian-13").await?;
    let address = world.client().nodes().await?[0].address;
    machine.0.ip(&format!("address add {address}/24 dev eth0"))?;
    let replaced = only_machines(&moved()).replace("52:54:00:08:00:01", "52:54:00:08:00:99");
    let mut lines = world.on_trial(&replaced, Window::Planned).await?;
    let boot = "http://192.168.8.9:8080/boot/52-54-00-08-00-99.ipxe";
    let (_, text) = machine.http(boot)?;
    ensure!(text.contains("a change is on trial"), "{text}");
    world.client().confirm(&keep(true)).await?;
    while lines.next().await?.is_some() {}
    let (_, text) = machine.http(boot)?;
    ensure!(text.contains("ignition.config.url"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_first_apply_waits_only_if_somebody_is_there_and_leaves_nothing_if_it_is_taken_back() -> Outcome {
    for kill in [false, true] {
        let mut world = World::new()?;
        world.start().await?;
        let mut lines = world.on_trial(SITE, Window::Attended).await?;
        ensure!(world.net.output("nft list tables")?.contains("faros"));
        if kill {
            world.kill().await?;
            world.start().await?;
            world.until(is_quiet).await?;
        } else {
            world.client().confirm(&keep(false)).await?;
            ensure!(matches!(lines.next().await?, Some(ApplyProgress::Failed { .. })));
        }
        // The router sees to it in its own time, after a start.
        let mut left = String::new();
        for _ in 0..500 {
            left = world.net.output("nft list tables")? + &addresses(&world)?;
            if !left.contains("faros") && !left.contains("192.168.8.1") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ensure!(!left.contains("faros") && !left.contains("192.168.8.1"), "{left}");
        let forwards = world.net.output("sysctl -n net.ipv4.conf.lan0.forwarding")?;
        assert_eq!(forwards.trim(), "0");
        let status = world.status().await?;
        assert_eq!(status.generation, None);
        assert_eq!(state_of(&status, Service::Router).0, ServiceState::Off);
        // With nobody present it is accepted at once.
        let unattended = ApplyRequest {
            window: Window::Planned,
            ..request(SITE, None)
        };
        let mut lines = world.client().apply(&unattended).await?;
        let mut said = vec![];
        while let Some(line) = lines.next().await? {
            said.push(line);
        }
        let accepted = ApplyProgress::Accepted {
            generation: Generation(1),
        };
        ensure!(said.last() == Some(&accepted), "{said:?}\n{}", world.log());
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_armed_or_forgotten_by_what_is_taken_back() -> Outcome {
    let world = World::serving().await?;
    let replaced = moved().replace("52:54:00:08:00:01", "52:54:00:08:00:99");
    let armed = || async {
        let nodes = world.client().nodes().await?;
        anyhow::Ok(
            nodes
                .iter()
                .map(|node| (node.boot_mac.to_string(), node.armed))
                .collect::<Vec<_>>(),
        )
    };
    let before = armed().await?;
    let mut lines = world.on_trial(&replaced, Window::Seconds(1)).await?;
    while lines.next().await?.is_some() {}
    assert_eq!(armed().await?, before);
    // On trial by choice, though it could cut nobody off.
    let mut lines = world.on_trial(&site_with_printer(), Window::Seconds(30)).await?;
    world.client().confirm(&keep(true)).await?;
    while lines.next().await?.is_some() {}
    assert_eq!(world.generation().await?, Some(Generation(2)));
    assert_eq!(armed().await?, before);
    Ok(())
}
