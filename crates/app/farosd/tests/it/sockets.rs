//! Ports that others have, and interfaces that come and go.

use faros_model::{api::ServiceState, ids::Generation, plan::Service};

use crate::world::{BASTION, Outcome, SITE, World, state_of};

const RESOLVER: &str = "dnsmasq -k -C /dev/null --no-resolv --no-hosts --pid-file= --user=root --bind-interfaces --listen-address=";

const DHCP_SERVER: &str = "dnsmasq -k -C /dev/null --port=0 --pid-file= --user=root --leasefile-ro --dhcp-range=192.168.8.50,192.168.8.60";

#[tokio::test]
async fn an_apply_fails_whole_when_a_port_is_taken_and_says_by_whom() -> Outcome {
    let mut world = World::new()?;
    world.net.ip("address add 192.168.8.1/24 dev lan0")?;
    let other = world
        .other_program(&format!("{RESOLVER}{BASTION}"), "192.168.8.1:53")
        .await?;
    world.start().await?;
    let why = world.apply_fails(SITE).await?;
    for part in ["192.168.8.1:53", "dnsmasq", &format!("process {}", other.0.id())] {
        assert!(why.contains(part), "`{part}` is not in: {why}");
    }
    let status = world.status().await?;
    assert_eq!((status.generation, status.apply), (None, None));
    world.all_are(ServiceState::Off).await?;
    assert_eq!(
        world
            .net
            .output("ss -Hlntu sport = :8080 or sport = :69 or sport = :67")?,
        "",
        "no other service runs"
    );
    drop(other);
    assert_eq!(world.apply(SITE).await?, Generation(1));
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn at_a_start_with_a_taken_port_no_service_runs_until_it_is_free() -> Outcome {
    let mut world = World::serving().await?;
    world.stop().await?;
    let other = world
        .other_program(&format!("{RESOLVER}{BASTION}"), "192.168.8.1:53")
        .await?;
    world.start().await?;
    let status = world
        .until(|status| {
            let others = [Service::Dhcp, Service::Netboot, Service::Ignition];
            let waits = |service| state_of(status, service).0 == ServiceState::Waiting;
            state_of(status, Service::Dns).0 == ServiceState::Failed && others.into_iter().all(waits)
        })
        .await?;
    let (_, why) = state_of(&status, Service::Dns);
    assert!(why.contains("dnsmasq") && why.contains("192.168.8.1:53"), "{why}");
    assert_eq!(
        world
            .net
            .output("ss -Hlntu sport = :8080 or sport = :69 or sport = :67")?,
        ""
    );
    drop(other);
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn a_dhcp_port_that_is_taken_when_the_interface_appears_is_told() -> Outcome {
    let mut world = World::serving().await?;
    world.stop().await?;
    world.net.ip("link delete lan0")?;
    world.start().await?;
    world.all_are(ServiceState::Waiting).await?;
    let other = world.other_program(DHCP_SERVER, "0.0.0.0:67").await?;
    world.make_lan()?;
    let status = world
        .until(|status| {
            let serves_names = state_of(status, Service::Dns).0 == ServiceState::Ready;
            serves_names && state_of(status, Service::Dhcp).1.contains(":67")
        })
        .await?;
    let (state, why) = state_of(&status, Service::Dhcp);
    assert_ne!(state, ServiceState::Ready, "nobody can get an address");
    assert!(why.contains("dnsmasq"), "{why}");
    drop(other);
    world.all_are(ServiceState::Ready).await
}

#[tokio::test]
async fn services_wait_for_an_interface_and_come_back_with_it() -> Outcome {
    let mut world = World::without_interface()?;
    world.start().await?;
    world.apply(SITE).await?;
    world.all_are(ServiceState::Waiting).await?;
    for _ in 0..2 {
        world.make_lan()?;
        world.all_are(ServiceState::Ready).await?;
        let addresses = world.net.output("ip -o -4 address show dev lan0")?;
        assert!(addresses.contains("192.168.8.1/24"), "{addresses}");
        let answer = world
            .net
            .output("dig +short +time=2 +tries=1 @192.168.8.1 node-1.quay.edge.example.com")?;
        assert!(answer.starts_with("192.168.8."), "{answer}");
        world.net.ip("link delete lan0")?;
        let status = world
            .until(|status| {
                status
                    .services
                    .iter()
                    .all(|own| own.state == ServiceState::Waiting)
            })
            .await?;
        let (_, why) = state_of(&status, Service::Dns);
        assert!(why.contains("lan0"), "{why}");
    }
    Ok(())
}

#[tokio::test]
async fn the_command_line_s_interface_wins_over_the_site_file_s() -> Outcome {
    let mut world = World::without_interface()?;
    world.make_interface("other0")?;
    let mut command = world.farosd();
    command.args(["--interface", "lan=other0"]);
    world.start_as(command).await?;
    world.apply(SITE).await?;
    world.all_are(ServiceState::Ready).await?;
    assert_eq!(world.status().await?.lan_interface.as_deref(), Some("other0"));
    Ok(())
}

#[tokio::test]
async fn a_bastion_that_gets_another_address_serves_on_that_one() -> Outcome {
    let world = World::serving().await?;
    let moved = SITE.replace(
        "    subnet: 192.168.8.0/24\n",
        "    subnet: 192.168.8.0/24\n    addresses: {bastion: 192.168.8.9}\n",
    );
    world.apply(&moved).await?;
    world.all_are(ServiceState::Ready).await?;
    let answer = world
        .net
        .output("dig +short +time=2 +tries=1 @192.168.8.9 bastion.quay.edge.example.com")?;
    assert_eq!(answer.trim(), "192.168.8.9");
    Ok(())
}

#[tokio::test]
async fn a_swap_closes_no_socket() -> Outcome {
    let world = World::serving().await?;
    let sockets = || {
        world.net.output("ss -Hlntuep").map(|all| {
            let inode = |line: &str| {
                let mut fields = line.split_whitespace();
                fields.find(|field| field.starts_with("ino:")).map(str::to_owned)
            };
            let mut inodes: Vec<String> = all.lines().filter_map(inode).collect();
            inodes.sort();
            inodes
        })
    };
    let before = sockets()?;
    assert!(before.len() >= 4, "{before:?}");
    world.apply(&crate::world::site_with_printer()).await?;
    assert_eq!(sockets()?, before);
    Ok(())
}

#[tokio::test]
async fn a_machine_that_is_replaced_is_not_armed_by_an_apply_that_fails() -> Outcome {
    let world = World::serving().await?;
    let node = "node-1".parse().map_err(anyhow::Error::msg)?;
    world.client().set_armed(&node, false, "tester").await?;
    // Another machine by the same name, and an address on which nothing can be served.
    world.net.ip("address add 192.168.8.9/24 dev lan0")?;
    let other = world
        .other_program(&format!("{RESOLVER}192.168.8.9"), "192.168.8.9:53")
        .await?;
    let replaced = SITE.replace("52:54:00:08:00:01", "52:54:00:08:00:99").replace(
        "    subnet: 192.168.8.0/24\n",
        "    subnet: 192.168.8.0/24\n    addresses: {bastion: 192.168.8.9}\n",
    );
    world.apply_fails(&replaced).await?;
    drop(other);
    assert_eq!(world.generation().await?, Some(Generation(1)));
    let nodes = world.client().nodes().await?;
    assert!(
        nodes.iter().all(|node| !node.armed),
        "the old machine would be installed again"
    );
    world.all_are(ServiceState::Ready).await
}
