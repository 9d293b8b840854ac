//! Somebody else changes what is the router's, again and again.

use std::time::Duration;

use anyhow::ensure;
use faros_model::{
    api::{ApplyRequest, ServiceState, Window},
    event::EventKind,
    plan::Service,
};

use super::eventually;
use crate::world::{Guarded, Outcome, SITE, World, request, state_of};

/// How many events of a kind there are whose detail has these words.
async fn told(world: &World, kind: EventKind, words: &str) -> anyhow::Result<usize> {
    let mut n = 0;
    for event in world.events().await? {
        let is_it = event.kind == kind && serde_json::to_string(&event.detail)?.contains(words);
        n += usize::from(is_it);
    }
    Ok(n)
}

/// Somebody who does this over and over, in the bastion's network.
fn over_and_over(world: &World, script: &str) -> anyhow::Result<Guarded> {
    let script = format!("while true; do {script}; sleep 0.1; done >/dev/null 2>&1");
    Ok(Guarded(world.net.command("bash").args(["-c", &script]).spawn()?))
}

#[tokio::test]
async fn who_keeps_changing_what_is_the_routers_is_told_of_once_and_answered_ever_more_seldom() -> Outcome {
    let mut world = World::serving().await?;
    let value = |world: &World| world.net.output("sysctl -n net.ipv4.conf.lan0.forwarding");
    let rule = |world: &World| world.net.output("nft list table inet faros");
    let stubborn = [
        over_and_over(&world, "sysctl -q -w net.ipv4.conf.lan0.forwarding=0")?,
        over_and_over(&world, "ip address del 192.168.8.1/24 dev lan0")?,
        over_and_over(
            &world,
            "nft list table inet faros | grep -q 31337 || nft insert rule inet faros input_uplink tcp dport 31337 accept",
        )?,
    ];
    for (what, fight) in [
        (
            "forwarding of lan0 was not 1",
            "somebody keeps changing forwarding of lan0",
        ),
        ("31337", "the program nft keeps changing the table inet faros"),
    ] {
        for _ in 0..600 {
            if told(&world, EventKind::RouterTrouble, fight).await? > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let repairs = told(&world, EventKind::RouterRepaired, what).await?;
        ensure!(
            (1..=3).contains(&repairs),
            "{what} was told {repairs} times\n{}",
            world.log()
        );
    }
    world
        .until(|status| {
            let (state, why) = state_of(status, Service::Router);
            state == ServiceState::Waiting && why.contains("the table inet faros")
        })
        .await?;
    drop(stubborn);
    // Whoever stops is forgotten: what was wrong by then is put right after its pause.
    eventually("all is right again", || {
        value(&world).is_ok_and(|value| value.trim() == "1")
            && rule(&world).is_ok_and(|rules| !rules.contains("31337"))
    })
    .await?;
    let fights = told(&world, EventKind::RouterTrouble, "the table inet faros").await?;
    ensure!(fights <= 4, "told {fights} times\n{}", world.log());
    eventually("the bastion is on the LAN again", || {
        let has = world.net.output("ip -4 -br address show dev lan0");
        has.is_ok_and(|has| has.contains("192.168.8.1/24"))
    })
    .await?;
    let log = world.log();
    ensure!(log.contains("somebody keeps taking it away"), "{log}");
    // A change that is meant is never held up.
    world
        .apply(&SITE.replace("192.168.8.0/24\n", "192.168.8.0/24\n    mtu: 1400\n"))
        .await?;
    world.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_somebody_puts_into_the_table_while_it_is_loaded_is_not_taken_for_ours() -> Outcome {
    let world = World::serving().await?;
    let stubborn = over_and_over(
        &world,
        "for n in {1..20}; do nft insert rule inet faros input_uplink tcp dport 31337 accept; done",
    )?;
    for n in 0..3_u8 {
        // Each is another table; that one is refused while others change it is as good.
        let text = SITE.replace(
            "    interface: uplink0\n",
            &format!("    interface: uplink0\n    trustedNetworks: [203.0.{n}.0/24]\n"),
        );
        let wanted = ApplyRequest {
            window: Window::None,
            ..request(&text, world.generation().await?)
        };
        let mut lines = world.client().apply(&wanted).await?;
        while lines.next().await?.is_some() {}
    }
    drop(stubborn);
    eventually("the table is ours alone", || {
        let rules = world.net.output("nft list table inet faros");
        rules.is_ok_and(|rules| rules.contains("input_uplink") && !rules.contains("31337"))
    })
    .await
}
