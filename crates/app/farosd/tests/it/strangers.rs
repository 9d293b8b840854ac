//! Machines that are where they should not be: on an address of the pool, or beyond the uplink.

use faros_model::{api::ServiceState, event::EventKind, plan::Service};

use crate::world::{Machine, Namespace, Outcome, SITE, World, state_of};

const NAME: &str = "bastion.quay.edge.example.com";

/// Plugs a machine into the bridge that is the bastion's LAN.
fn plug(world: &World, port: &str, mac: &str) -> anyhow::Result<Machine> {
    let machine = Machine::plug_into(world, port, mac)?;
    world.net.ip(&format!("link set {port} master lan0"))?;
    Ok(machine)
}

#[tokio::test]
async fn an_address_that_somebody_took_is_given_to_nobody_else() -> Outcome {
    let mut world = World::without_interface()?;
    world.net.ip("link add lan0 type bridge forward_delay 0")?;
    world.net.ip("link set lan0 up")?;
    let squatter = plug(&world, "port1", "52:54:00:ff:00:01")?;
    squatter.0.ip("address add 192.168.8.200/24 dev eth0")?;
    let client = plug(&world, "port2", "52:54:00:ff:00:02")?;
    world.start().await?;
    let pool = "    dynamicRange: 192.168.8.200-192.168.8.201\n  nodes:";
    world.apply(&SITE.replacen("  nodes:", pool, 1)).await?;
    world.all_are(ServiceState::Ready).await?;

    let said = client.udhcpc(8)?;
    assert!(said.contains("lease of 192.168.8.201 obtained"), "{said}");
    let mut events = world.events().await?;
    events.retain(|event| event.kind == EventKind::AddressConflict);
    let [conflict] = events.as_slice() else {
        anyhow::bail!("{events:?}")
    };
    assert_eq!(conflict.detail["address"], "192.168.8.200");
    assert_eq!(conflict.detail["mac"], "52:54:00:ff:00:01");
    let leases = world.client().leases().await?;
    let of = |last| {
        let own = leases.iter().find(|own| own.address.octets()[3] == last);
        own.map(|own| (own.mac.to_string(), own.state.as_str()))
    };
    assert_eq!(of(200), Some(("52:54:00:ff:00:01".to_owned(), "declined")));
    assert_eq!(of(201), Some(("52:54:00:ff:00:02".to_owned(), "active")));
    Ok(())
}

/// What the services counted under a name.
async fn counted(world: &World, label: &str) -> anyhow::Result<u64> {
    let status = world.status().await?;
    let own = status.services.iter();
    Ok(own.filter_map(|own| own.counters.get(label)).sum())
}

/// Whether a command in a namespace came to a good end, and what it printed.
fn tried(net: &Namespace, words: &str) -> anyhow::Result<(bool, String)> {
    let mut words = words.split_whitespace();
    let program = words.next().unwrap_or_default();
    let output = net.command(program).args(words).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.success(), said))
}

/// There is no firewall here: what is not for the uplink is refused by each service itself.
#[tokio::test]
async fn without_a_firewall_nobody_beyond_the_uplink_is_served_either() -> Outcome {
    let mut world = World::without_interface()?;
    world.net.ip("link delete uplink0")?;
    let outside = Machine::plug_into(&world, "uplink0", "52:54:00:ff:00:01")?;
    world.net.ip("address add 203.0.113.2/24 dev uplink0")?;
    outside.0.ip("address add 203.0.113.1/24 dev eth0")?;
    outside.0.ip("route add 192.168.8.0/24 via 203.0.113.2")?;
    let inside = Machine::plug(&world, "52:54:00:ff:00:02")?;
    inside.0.ip("address add 192.168.8.200/24 dev eth0")?;
    world.start().await?;
    world
        .apply(&format!("{SITE}  services: {{router: {{enabled: false}}}}\n"))
        .await?;
    world
        .until(|status| {
            let ready = |service| state_of(status, service).0 == ServiceState::Ready;
            [Service::Dhcp, Service::Dns, Service::Netboot]
                .into_iter()
                .all(ready)
        })
        .await?;
    outside.0.output("ping -n -c 1 -W 10 192.168.8.1")?;

    let said = outside.udhcpc(2)?;
    assert!(said.contains("no lease"), "{said}");
    let said = inside.udhcpc(8)?;
    assert!(said.contains("obtained from 192.168.8.1"), "{said}");
    let heard = world.client().discovered().await?;
    let heard: Vec<String> = heard.iter().map(|own| own.mac.to_string()).collect();
    assert_eq!(
        heard,
        ["52:54:00:ff:00:02"],
        "what is asked on the uplink is not even heard"
    );

    let (dig, curl) = ("dig +tries=1 +short @192.168.8.1", "curl -s -o -");
    for (client, patience, asks, label) in [
        (dig, "+time=", NAME, "dns_outsider"),
        (dig, "+tcp +time=", NAME, "dns_outsider"),
        (
            curl,
            "--max-time ",
            "tftp://192.168.8.1/undionly.kpxe",
            "tftp_outsider",
        ),
        (
            curl,
            "--max-time ",
            "http://192.168.8.1:8080/loader/undionly.kpxe",
            "http_outsider",
        ),
    ] {
        let (is_served, said) = tried(&inside.0, &format!("{client} {patience}20 {asks}"))?;
        assert!(is_served && !said.is_empty(), "{asks} on the LAN");
        let before = counted(&world, label).await?;
        let (is_served, said) = tried(&outside.0, &format!("{client} {patience}2 {asks}"))?;
        assert!(!is_served, "{asks}: {} bytes", said.len());
        assert!(counted(&world, label).await? > before, "{asks}: {label}");
    }
    Ok(())
}
