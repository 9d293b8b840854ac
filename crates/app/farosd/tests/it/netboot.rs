//! What a machine on the LAN gets, with real clients.

use std::fs;

use faros_model::{api::ServiceState, event::EventKind};

use crate::world::{BOOT, Machine, NODE_MAC, Outcome, REPORT, SITE, World, only_machines};

#[tokio::test]
async fn a_node_gets_its_address_its_name_its_script_and_its_config() -> Outcome {
    let mut world = World::without_interface()?;
    let machine = Machine::plug(&world, NODE_MAC)?;
    world.start().await?;
    world.apply(SITE).await?;
    world.all_are(ServiceState::Ready).await?;
    let address = world.client().nodes().await?[0].address;

    let script = world.dir.path().join("dhclient-script");
    fs::write(
        &script,
        "#!/bin/sh\ncase $reason in BOUND) ip address add $new_ip_address/24 dev $interface;; esac\n",
    )?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let dir = world.dir.path().display();
    machine.0.output(&format!(
        "dhclient -1 -sf {dir}/dhclient-script -lf {dir}/leases -pf {dir}/pid eth0"
    ))?;
    let own = machine.0.output("ip -o -4 address show dev eth0")?;
    assert!(own.contains(&format!("{address}/24")), "{own}");

    let answer = machine
        .0
        .output("dig +short @192.168.8.1 node-1.quay.edge.example.com")?;
    assert_eq!(answer.trim(), address.to_string());

    let (status, text) = machine.http(BOOT)?;
    assert_eq!(status, 200);
    assert!(
        text.starts_with("#!ipxe") && text.contains("not in the content store"),
        "{text}"
    );
    let (status, text) = machine.http("http://192.168.8.1:8080/boot/52-54-00-ff-ff-ff.ipxe")?;
    assert_eq!(status, 200);
    assert!(text.contains("not in the site file"), "{text}");
    world.add_image("debian-13").await?;
    // A machine of a cluster is not installed as one of none.
    let (_, text) = machine.http(BOOT)?;
    assert!(
        text.contains("a release of Kubernetes is not in the content store"),
        "{text}"
    );
    world.apply(&only_machines(SITE)).await?;
    let ignition = machine.ignition_url()?;

    // Another address on the same LAN is another machine.
    machine.0.ip("address add 192.168.8.200/24 dev eth0")?;
    let stranger = "--interface 192.168.8.200";
    assert_eq!(machine.http(&format!("{stranger} {ignition}"))?.0, 404);
    assert_eq!(machine.http(&format!("-I {ignition}"))?.0, 405);
    let (status, text) = machine.http(&ignition)?;
    assert_eq!(status, 200);
    let config: serde_json::Value = serde_json::from_str(&text)?;
    assert_eq!(config["ignition"]["version"], "3.3.0");
    let report = format!("{stranger} -d {{\"report\":\"installed\"}} {REPORT}");
    assert_eq!(machine.http(&report)?.0, 403);
    assert!(world.client().nodes().await?[0].armed);

    // Installed: never again by itself.
    assert_eq!(
        machine
            .http(&format!("-d {{\"report\":\"installed\"}} {REPORT}"))?
            .0,
        204
    );
    assert!(!world.client().nodes().await?[0].armed);
    assert_eq!(machine.http(&ignition)?.0, 404);
    let (status, text) = machine.http(BOOT)?;
    assert_eq!(status, 200);
    assert!(text.contains("not armed"), "{text}");

    // All of it was seen.
    let mut lines = world
        .client()
        .events(&faros_client::Events {
            after: Some(0),
            node: Some("node-1".parse().map_err(anyhow::Error::msg)?),
            ..Default::default()
        })
        .await?;
    let mut kinds = vec![];
    while let Some(event) = lines.next().await? {
        kinds.push(event.kind);
    }
    for kind in [
        EventKind::NodeArmed,
        EventKind::DhcpAck,
        EventKind::BootScriptServed,
        EventKind::IgnitionServed,
        EventKind::IgnitionRefused,
        EventKind::NodeReport,
        EventKind::NodeDisarmed,
    ] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    drop(
        machine
            .0
            .output(&format!("dhclient -x -sf /bin/true -pf {dir}/pid eth0")),
    );
    Ok(())
}

#[tokio::test]
async fn a_machine_that_the_site_file_does_not_know_is_noted_and_gets_nothing() -> Outcome {
    let mut world = World::without_interface()?;
    let machine = Machine::plug(&world, "52:54:00:ff:00:01")?;
    world.start().await?;
    world.apply(SITE).await?;
    world.all_are(ServiceState::Ready).await?;
    let said = machine
        .0
        .output("udhcpc -i eth0 -n -q -f -s /bin/true -x hostname:foundling");
    // A lease of the dynamic range is no secret; what boots is.
    drop(said);
    let found = world.client().discovered().await?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].mac.to_string(), "52:54:00:ff:00:01");
    assert_eq!(found[0].said["hostname"], "foundling");
    Ok(())
}

#[tokio::test]
async fn a_plan_says_which_loaders_a_machine_of_another_architecture_lacks() -> Outcome {
    let mut world = World::new()?;
    world.start().await?;
    let site = only_machines(SITE);
    let arm = site.replacen("      roles:", "      architecture: aarch64\n      roles:", 1);
    let lacks = async |site: &str| -> anyhow::Result<Vec<String>> {
        let missing = world.client().plan(site).await?.missing;
        let loaders = missing.into_iter().filter(|own| own.what.contains("boot loader"));
        Ok(loaders.map(|own| own.command).collect())
    };
    assert!(lacks(&site).await?.is_empty());
    let [ipxe, snponly] = &lacks(&arm).await?[..] else {
        anyhow::bail!("not two loaders")
    };
    assert_eq!(
        ipxe,
        "farosctl content add ipxe-arm64.efi --name loader/ipxe-arm64.efi"
    );
    assert!(snponly.contains("snponly-arm64.efi"), "{snponly}");
    world.add("loader/ipxe-arm64.efi", "a loader".to_owned()).await?;
    assert_eq!(lacks(&arm).await?, [snponly.as_str()]);
    Ok(())
}
