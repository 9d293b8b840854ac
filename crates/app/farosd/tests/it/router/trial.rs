//! What was on trial is as it was after it.

use anyhow::ensure;
use faros_model::api::{ServiceState, Status, Window};

use super::{eventually, host, pings};
use crate::world::{Outcome, SITE, World, keep};

/// The site with an address of its own on the uplink, and a way out.
fn uplink_at(address: &str) -> String {
    SITE.replace(
        "    interface: uplink0\n",
        &format!("    interface: uplink0\n    addressing: {{address: {address}/24, gateway: 203.0.113.1}}\n"),
    )
}

/// Whether this is the one address of the uplink, and there is a way out.
fn has_only(world: &World, address: &str) -> bool {
    let addresses = world.net.output("ip -4 -br address show dev uplink0");
    let routes = world.net.output("ip route show default").unwrap_or_default();
    addresses.is_ok_and(|has| has.contains(&format!("{address}/24")) && has.matches('/').count() == 1)
        && routes.contains("default via 203.0.113.1 dev uplink0")
}

#[tokio::test]
async fn the_only_address_of_the_uplink_moves_in_its_network_and_back_and_the_way_out_stays() -> Outcome {
    let mut world = World::new()?;
    let node = host(&world, "lan0", "192.168.8.11", Some("192.168.8.1"))?;
    let out = host(&world, "uplink0", "203.0.113.1", None)?;
    out.ip("address add 198.51.100.9/32 dev lo")?;
    // As a kernel has it whose distribution does not set it.
    world.net.output("sysctl -q -w net.ipv4.conf.all.promote_secondaries=0 net.ipv4.conf.lan0.promote_secondaries=0 net.ipv4.conf.uplink0.promote_secondaries=0")?;
    world.start().await?;
    world.apply(&uplink_at("203.0.113.3")).await?;
    for is_killed in [false, true] {
        world.on_trial(&uplink_at("203.0.113.4"), Window::Planned).await?;
        eventually("the uplink has moved", || has_only(&world, "203.0.113.4")).await?;
        eventually("a node reaches the world", || pings(&node, "198.51.100.9")).await?;
        if is_killed {
            world.kill().await?;
            world.start().await?;
        } else {
            world.client().confirm(&keep(false)).await?;
        }
        eventually("the uplink is back", || has_only(&world, "203.0.113.3")).await?;
        eventually("a node reaches the world", || pings(&node, "198.51.100.9")).await?;
    }
    // What a link that is switched off loses, it has again when it is on.
    world.net.ip("link set uplink0 down")?;
    world.net.ip("link set uplink0 up")?;
    eventually("the uplink has its way out", || has_only(&world, "203.0.113.3")).await?;
    world.net.ip("route del default")?;
    eventually("the uplink has its way out", || has_only(&world, "203.0.113.3")).await?;
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn a_second_interface_of_the_lan_that_was_on_trial_leaves_the_first_as_it_was() -> Outcome {
    let mut world = World::new()?;
    world.make_interface("lan1")?;
    let one = host(&world, "lan0", "192.168.8.51", None)?;
    world.start().await?;
    world.apply(SITE).await?;
    let both = SITE.replace("interfaces: [lan0]", "interfaces: [lan0, lan1]");
    for is_killed in [false, true] {
        world.on_trial(&both, Window::Planned).await?;
        eventually("both are one", || pings(&one, "192.168.8.1")).await?;
        if is_killed {
            world.kill().await?;
            world.start().await?;
        } else {
            world.client().confirm(&keep(false)).await?;
        }
        eventually("the bastion is on the first", || pings(&one, "192.168.8.1")).await?;
        ensure!(
            world.net.output("ip link show faros-lan").is_err(),
            "the bridge stays"
        );
        world.all_are(ServiceState::Ready).await?;
    }
    Ok(())
}

#[tokio::test]
async fn settings_of_a_trial_that_farosd_was_killed_in_are_as_they_were_after_the_next_start() -> Outcome {
    let mut world = World::new()?;
    world.make_interface("uplink1")?;
    world.start().await?;
    let off = format!("{SITE}  services: {{router: {{enabled: false}}}}\n");
    let value = |world: &World, interface: &str, name: &str| {
        let said = world
            .net
            .output(&format!("sysctl -n net.ipv4.conf.{interface}.{name}"));
        said.map(|said| said.trim().to_owned()).unwrap_or_default()
    };
    for (base, forwards) in [(SITE.to_owned(), "1"), (off, "0")] {
        world.apply(&base).await?;
        let is_settled = |status: &Status| {
            status
                .services
                .iter()
                .all(|own| matches!(own.state, ServiceState::Ready | ServiceState::Off))
        };
        world.until(is_settled).await?;
        world
            .on_trial(&SITE.replace("uplink0", "uplink1"), Window::Planned)
            .await?;
        assert_eq!(value(&world, "uplink1", "forwarding"), "1");
        world.kill().await?;
        world.start().await?;
        world.until(|status| status.apply.is_none()).await?;
        for name in ["forwarding", "rp_filter", "arp_ignore", "promote_secondaries"] {
            let fresh = value(&world, "default", name);
            assert_eq!(value(&world, "uplink1", name), fresh, "{name} of a trial");
        }
        assert_eq!(value(&world, "uplink0", "forwarding"), forwards);
        assert_eq!(value(&world, "lan0", "forwarding"), forwards);
    }
    Ok(())
}
