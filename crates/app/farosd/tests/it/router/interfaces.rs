//! Bridge, static uplink, interfaces that go and come back, and whose settings are the router's.

use std::time::{Duration, Instant};

use anyhow::ensure;
use faros_client::ClientError;
use faros_model::{api::ServiceState, plan::Service};
use tokio::time::sleep;

use super::{eventually, host, pings};
use crate::world::{Outcome, PATIENCE, SITE, World, state_of};

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

    // Where the bridge's frames pass the filter, pods that are routed over the LAN reach each other all the same; nobody
    // gets out by the bastion with an address of theirs.
    let filters = "sysctl -q -w net.bridge.bridge-nf-call-iptables=1";
    if world.net.output(filters).is_ok() {
        for (host, pod, other, via) in [
            (&one, "10.128.0.9", "10.128.1.9", "192.168.8.52"),
            (&two, "10.128.1.9", "10.128.0.9", "192.168.8.51"),
        ] {
            host.ip(&format!("address add {pod}/32 dev lo"))?;
            host.ip(&format!("route add {other}/32 via {via} src {pod}"))?;
        }
        eventually("pods reach each other", || pings(&one, "10.128.1.9")).await?;
        ensure!(
            one.output("ping -n -c 1 -W 1 -I 10.128.0.9 192.168.8.1").is_err(),
            "a lie is heard"
        );
        let rules = world.net.output("nft list chain inet faros arriving_lan")?;
        let dropped = rules
            .lines()
            .find(|line| line.contains("spoofed: not an address of the LAN"));
        ensure!(
            dropped.is_some_and(|line| !line.contains("packets 0 ")),
            "{rules}"
        );
    }

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
async fn what_leads_to_the_world_is_no_part_of_the_lan() -> Outcome {
    let mut world = World::new()?;
    world.make_interface("lan1")?;
    world.start().await?;
    let several = SITE.replace("interfaces: [lan0]", "interfaces: [lan0, lan1]");
    let link = world.net.output("cat /sys/class/net/lan0/address")?;
    let by_mac = SITE.replace(
        "interface: uplink0",
        &format!("interface: {{mac: \"{}\"}}", link.trim()),
    );
    assert_refused(&world, &by_mac, "lan0").await?;
    world.apply(&several).await?;
    world.all_are(ServiceState::Ready).await?;

    // The command line of another day: nothing may be joined, and nothing answers there.
    world.stop().await?;
    let mut command = world.farosd();
    command.args(["--interface", "uplink=lan1"]);
    world.start_as(command).await?;
    let why = "the LAN's and the uplink's interface is `lan1`: each needs one of its own";
    let expected = [
        (Service::Router, ServiceState::Failed),
        (Service::Dhcp, ServiceState::Waiting),
        (Service::Dns, ServiceState::Waiting),
    ];
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = world.client().status().await?;
        let is = |(service, state)| state_of(&status, service) == (state, why);
        if expected.into_iter().all(is) {
            break;
        }
        ensure!(Instant::now() < deadline, "{:?}", status.services);
        sleep(Duration::from_millis(50)).await;
    }
    let links = world.net.output("ip -br address")?;
    ensure!(
        !links.contains("faros-lan") && !links.contains("192.168.8.1/"),
        "{links}"
    );
    assert_refused(&world, &several, "lan1").await?;
    // What does not name it is served.
    world.apply(SITE).await?;
    world.all_are(ServiceState::Ready).await
}

async fn assert_refused(world: &World, site: &str, interface: &str) -> Outcome {
    let Err(ClientError::Problems(found)) = world.client().plan(site).await else {
        anyhow::bail!("it was not refused")
    };
    let [problem] = found.problems.as_slice() else {
        anyhow::bail!("{found:?}")
    };
    assert_eq!(
        (problem.code.as_str(), problem.path.as_str()),
        ("duplicate-value", "spec.uplink.interface")
    );
    ensure!(problem.message.contains(&format!("`{interface}`")), "{problem:?}");
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
                && if words.is_empty() {
                    why == "by nftables"
                } else {
                    why.contains(words)
                }
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

#[tokio::test]
async fn settings_are_the_routers_on_its_interfaces_alone_and_the_hosts_where_it_is_off() -> Outcome {
    let mut world = World::new()?;
    world.make_interface("uplink1")?;
    world.net.output("sysctl -q -w net.ipv4.conf.lan0.forwarding=1")?;
    world.start().await?;
    let off = format!("{SITE}  services: {{router: {{enabled: false}}}}\n");
    world.apply(&off).await?;
    let forwards = |interface: &str| {
        let said = world
            .net
            .output(&format!("sysctl -n net.ipv4.conf.{interface}.forwarding"));
        said.is_ok_and(|said| said.trim() == "1")
    };
    ensure!(forwards("lan0"), "what the host had is left alone");
    world.apply(SITE).await?;
    eventually("the uplink forwards", || forwards("uplink0")).await?;
    world.apply(&SITE.replace("uplink0", "uplink1")).await?;
    eventually("the other forwards in its place", || {
        forwards("uplink1") && !forwards("uplink0")
    })
    .await
}
