//! The router's set-up on interfaces of the test's own, with hosts beyond them: bridge, static uplink, and interfaces
//! that go and come back.

use std::time::Duration;

use anyhow::ensure;
use faros_model::{
    api::{ApplyProgress, ApplyRequest, ConfirmRequest, ServiceState, Status, Window},
    event::EventKind,
    plan::Service,
};

use crate::world::{Namespace, Outcome, SITE, World, request, state_of};

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
    for _ in 0..3000 {
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

/// The site with an address of its own on the uplink, and a way out.
fn uplink_at(address: &str) -> String {
    SITE.replace(
        "    interface: uplink0\n",
        &format!("    interface: uplink0\n    addressing: {{address: {address}/24, gateway: 203.0.113.1}}\n"),
    )
}

/// Applies on trial.
async fn on_trial(world: &World, site_file: &str) -> Outcome {
    let wanted = ApplyRequest {
        window: Window::Planned,
        ..request(site_file, world.generation().await?)
    };
    let mut lines = world.client().apply(&wanted).await?;
    while let Some(line) = lines.next().await? {
        if matches!(line, ApplyProgress::Provisional { .. }) {
            return Ok(());
        }
    }
    anyhow::bail!("it was not on trial:\n{}", world.log())
}

/// Whether this is the one address of the uplink, and there is a way out.
fn has_only(world: &World, address: &str) -> bool {
    let addresses = world.net.output("ip -4 -br address show dev uplink0");
    let routes = world.net.output("ip route show default").unwrap_or_default();
    addresses.is_ok_and(|has| has.contains(&format!("{address}/24")) && has.matches('/').count() == 1)
        && routes.contains("default via 203.0.113.1 dev uplink0")
}

async fn take_back(world: &World) -> Outcome {
    let revert = ConfirmRequest {
        by: "tester".to_owned(),
        keep: false,
        generation: None,
    };
    world.client().confirm(&revert).await?;
    Ok(())
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
        on_trial(&world, &uplink_at("203.0.113.4")).await?;
        eventually("the uplink has moved", || has_only(&world, "203.0.113.4")).await?;
        eventually("a node reaches the world", || pings(&node, "198.51.100.9")).await?;
        if is_killed {
            world.kill().await?;
            world.start().await?;
        } else {
            take_back(&world).await?;
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
        on_trial(&world, &both).await?;
        eventually("both are one", || pings(&one, "192.168.8.1")).await?;
        if is_killed {
            world.kill().await?;
            world.start().await?;
        } else {
            take_back(&world).await?;
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
        on_trial(&world, &SITE.replace("uplink0", "uplink1")).await?;
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

/// How many events of a kind there are whose detail has these words.
async fn told(world: &World, kind: EventKind, words: &str) -> anyhow::Result<usize> {
    let mut lines = world.client().events(&faros_client::Events::default()).await?;
    let mut n = 0;
    while let Some(event) = lines.next().await? {
        let is_it = event.kind == kind && serde_json::to_string(&event.detail)?.contains(words);
        n += usize::from(is_it);
    }
    Ok(n)
}

/// Somebody who does this over and over, in the bastion's network.
struct Stubborn(std::process::Child);

impl Stubborn {
    fn new(world: &World, script: &str) -> anyhow::Result<Self> {
        let script = format!("while true; do {script}; sleep 0.1; done >/dev/null 2>&1");
        Ok(Self(world.net.command("bash").args(["-c", &script]).spawn()?))
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn who_keeps_changing_what_is_the_routers_is_told_of_once_and_answered_ever_more_seldom() -> Outcome {
    let mut world = World::serving().await?;
    let value = |world: &World| world.net.output("sysctl -n net.ipv4.conf.lan0.forwarding");
    let rule = |world: &World| world.net.output("nft list table inet faros");
    let stubborn = [
        Stubborn::new(&world, "sysctl -q -w net.ipv4.conf.lan0.forwarding=0")?,
        Stubborn::new(&world, "ip address del 192.168.8.1/24 dev lan0")?,
        Stubborn::new(
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
    let stubborn = Stubborn::new(
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
