//! The router's set-up on interfaces of the test's own, with hosts beyond them: bridge, static uplink, and interfaces
//! that go and come back.

use std::time::Duration;

use anyhow::ensure;
use faros_model::{api::ServiceState, plan::Service};

use crate::world::{Namespace, Outcome, SITE, World, state_of};

/// A host at the other end of the cable of one of the bastion's interfaces.
fn host(world: &World, interface: &str, address: &str, via: Option<&str>) -> anyhow::Result<Namespace> {
    let host = Namespace::new()?;
    world
        .net
        .ip(&format!("link set {interface}-end netns {} name eth0", host.0))?;
    host.ip(&format!("address add {address}/24 dev eth0"))?;
    host.ip("link set eth0 up")?;
    if let Some(via) = via {
        host.ip(&format!("route add default via {via}"))?;
    }
    Ok(host)
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) -> Outcome {
    for _ in 0..600 {
        if is_so() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("in vain: {what}")
}

fn pings(host: &Namespace, to: &str) -> bool {
    host.output(&format!("ping -n -c 1 -W 1 {to}")).is_ok()
}

#[tokio::test]
async fn several_interfaces_of_the_lan_are_one_switch_and_one_that_is_taken_out_is_another() -> Outcome {
    let mut world = World::new()?;
    world.make_interface("lan1")?;
    let one = host(&world, "lan0", "192.168.8.51", None)?;
    let two = host(&world, "lan1", "192.168.8.52", None)?;
    world.start().await?;
    let both = SITE.replace("interfaces: [lan0]", "interfaces: [lan0, lan1]");
    world.apply(&both).await?;
    world.all_are(ServiceState::Ready).await?;
    eventually("hosts reach each other and the bastion", || {
        pings(&one, "192.168.8.52") && pings(&one, "192.168.8.1") && pings(&two, "192.168.8.1")
    })
    .await?;
    let asked = two.output("dig +short +time=2 @192.168.8.1 bastion.quay.edge.example.com")?;
    assert_eq!(asked.trim(), "192.168.8.1");

    // A part that goes takes nothing with it, and is taken in again when it is back.
    world.net.ip("link set lan1 nomaster")?;
    eventually("it is a part again", || pings(&one, "192.168.8.52")).await?;

    // One interface is no bridge: the address moves to it, and the other is left alone.
    world.apply(SITE).await?;
    world.all_are(ServiceState::Ready).await?;
    eventually("the bastion is on the one", || pings(&one, "192.168.8.1")).await?;
    ensure!(!pings(&one, "192.168.8.52"), "the other is not on the LAN");
    let has = world.net.output("ip -4 -br address")?;
    assert_eq!(has.matches("192.168.8.1/24").count(), 1, "{has}");
    Ok(())
}

#[tokio::test]
async fn a_static_uplink_gets_its_address_and_way_out_and_both_go_when_the_site_moves_them() -> Outcome {
    let mut world = World::new()?;
    let node = host(&world, "lan0", "192.168.8.11", Some("192.168.8.1"))?;
    let out = host(&world, "uplink0", "203.0.113.1", None)?;
    out.ip("address add 203.0.113.254/24 dev eth0")?;
    out.ip("address add 198.51.100.9/32 dev lo")?;
    // What an administrator gave stays, whatever farosd does.
    world.net.ip("address add 203.0.113.77/24 dev uplink0")?;
    world.start().await?;
    let at = |addressing: &str| {
        SITE.replace(
            "    interface: uplink0\n",
            &format!("    interface: uplink0\n    addressing: {addressing}\n"),
        )
    };
    for (address, gateway) in [("203.0.113.2", "203.0.113.1"), ("203.0.113.3", "203.0.113.254")] {
        world
            .apply(&at(&format!("{{address: {address}/24, gateway: {gateway}}}")))
            .await?;
        world.all_are(ServiceState::Ready).await?;
        eventually("a node reaches the world", || pings(&node, "198.51.100.9")).await?;
        let routes = world.net.output("ip route show default")?;
        ensure!(
            routes.lines().count() == 1 && routes.contains(&format!("via {gateway}")),
            "{routes}"
        );
        let has = world.net.output("ip -4 -br address show dev uplink0")?;
        ensure!(
            has.contains(&format!("{address}/24")) && has.contains("203.0.113.77/24"),
            "{has}"
        );
        assert_eq!(has.matches("203.0.113.").count(), 2, "{has}");
    }
    // A way out that is lost is found.
    world.net.ip("address del 203.0.113.3/24 dev uplink0")?;
    eventually("a node reaches the world again", || pings(&node, "198.51.100.9")).await?;
    world.apply(&at("host")).await?;
    let has = world.net.output("ip -4 -br address show dev uplink0")?;
    ensure!(
        has.contains("203.0.113.77/24") && !has.contains("203.0.113.3/24"),
        "{has}"
    );
    assert_eq!(world.net.output("ip route show default")?, "");
    Ok(())
}

#[tokio::test]
async fn an_uplink_that_is_renamed_or_removed_is_missed_and_is_taken_up_when_it_is_back() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let fixed = "    interface: uplink0\n    addressing: {address: 203.0.113.2/24, gateway: 203.0.113.1}\n";
    world
        .apply(&SITE.replace("    interface: uplink0\n", fixed))
        .await?;
    world.all_are(ServiceState::Ready).await?;
    for (go, back) in [
        ("link set uplink0 name other0", "link set other0 name uplink0"),
        (
            "link del uplink0",
            "link add uplink0 type veth peer name uplink0-end",
        ),
    ] {
        world.net.ip("link set uplink0 down")?;
        world.net.ip(go)?;
        let status = world
            .until(|status| state_of(status, Service::Router).0 == ServiceState::Waiting)
            .await?;
        let (_, why) = state_of(&status, Service::Router);
        ensure!(why.contains("uplink0 is not there"), "{why}");
        world.net.ip(back)?;
        world.all_are(ServiceState::Ready).await?;
        let has = world.net.output("ip -4 -br address show dev uplink0")?;
        ensure!(has.contains("203.0.113.2/24"), "{has}");
        let forwards = world.net.output("sysctl -n net.ipv4.conf.uplink0.forwarding")?;
        assert_eq!(forwards.trim(), "1");
    }
    // The same for the LAN's.
    world.net.ip("link del lan0")?;
    world
        .until(|status| state_of(status, Service::Dns).0 == ServiceState::Waiting)
        .await?;
    world.make_lan()?;
    world.all_are(ServiceState::Ready).await?;
    Ok(())
}

#[tokio::test]
async fn an_uplink_with_an_address_of_the_inside_or_with_none_is_told() -> Outcome {
    let world = World::serving().await?;
    let told = |words: &'static str| {
        world.until(move |status| {
            let (state, why) = state_of(status, Service::Router);
            state == ServiceState::Ready
                && (why.contains(words) && !words.is_empty() || why.is_empty() && words.is_empty())
        })
    };
    told("has no address").await?;
    world.net.ip("address add 192.168.8.77/24 dev uplink0")?;
    told("overlaps 192.168.8.0/24 of the LAN").await?;
    world.net.ip("address del 192.168.8.77/24 dev uplink0")?;
    // Two addresses are no trouble.
    world.net.ip("address add 203.0.113.2/24 dev uplink0")?;
    world.net.ip("address add 198.51.100.2/24 dev uplink0")?;
    told("").await?;
    let plan = world.client().plan(SITE).await?;
    ensure!(
        plan.notes.len() == 1 && plan.notes[0].contains("uplink0"),
        "{:?}",
        plan.notes
    );
    Ok(())
}
