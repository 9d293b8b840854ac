//! Who is given what joins a node to its cluster, asked with curl as a node asks.

mod site;

use anyhow::{Context as _, ensure};
use faros_model::{
    api::{ClusterState, ServiceState},
    event::EventKind,
};
use serde_json::Value;

use self::site::Site;
use crate::world::{BOOT, Outcome, REPORT, SITE, World, refusal, request};

#[tokio::test]
async fn only_the_node_that_was_installed_and_boots_is_given_what_joins_it() -> Outcome {
    let site = Site::new().await?;
    let config = site.install()?;
    ensure!(config["ignition"]["version"] == "3.3.0");
    let (machine, secret) = (&site.machine, site.secret());

    // It is installed, and has not booted from its disk yet.
    ensure!(site.asks(machine, "node-1", &secret, "")?.0 == 403);
    assert_eq!(site.refused().await?, "no-session");
    site.report("started")?;

    // Whoever does not know the secret is told of in the node's own story.
    ensure!(site.asks(machine, "node-1", "guessed", "")?.0 == 403);
    assert_eq!(site.refused().await?, "wrong-secret");
    assert_eq!(site.world.why().await?, "join-wrong-secret");
    ensure!(site.asks(machine, "node-7", &secret, "")?.0 == 403);
    assert_eq!(site.refused().await?, "unknown-node");

    // The secret is good at the node's address alone; who is no node at all does not even get through.
    let other = site.world.client().nodes().await?[1].address;
    machine.0.ip(&format!("address add {other}/24 dev eth0"))?;
    machine.0.ip("address add 192.168.8.200/24 dev eth0")?;
    let as_other = format!("--interface {other}");
    ensure!(site.asks(machine, "node-1", &secret, &as_other)?.0 == 403);
    assert_eq!(site.refused().await?, "wrong-address");
    ensure!(
        site.asks(machine, "node-1", &secret, "--interface 192.168.8.200")
            .is_err()
    );
    // Nor is it the other node with it.
    ensure!(site.asks(machine, "node-2", &secret, &as_other)?.0 == 403);
    assert_eq!(site.refused().await?, "wrong-mac");

    // One look takes nothing.
    ensure!(machine.http("-k https://192.168.8.1:5000/join/node-1")?.0 == 405);
    let (status, told) = site.asks(machine, "node-1", &secret, &from(&site.address))?;
    assert_eq!((status, &told["action"]), (200, &Value::from("init")), "{told}");
    let files = told["files"].as_array().context("no files")?;
    let has = |path: &str| files.iter().any(|file| file["path"] == path);
    ensure!(
        has("/etc/kubernetes/pki/ca.key") && has("/run/faros-join/kubeadm.yaml"),
        "{files:?}"
    );
    assert_eq!(site.events(EventKind::JoinHanded).await?.len(), 1);
    let status = site.world.client().cluster().await?;
    assert_eq!(status.state, ClusterState::Installing, "{status:#?}");

    // Nothing that it says of another boot counts.
    let late = r#"-d {"report":"joined","action":"init","session":"boot-99"}"#;
    let (status, _) = machine.http(&format!("{late} {REPORT}"))?;
    assert_eq!(status, 409, "{}", site.world.log());
    Ok(())
}

fn from(address: &str) -> String {
    format!("--interface {address}")
}

#[tokio::test]
async fn what_was_given_in_a_boot_is_good_in_that_boot_alone() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    site.report("started")?;
    let (machine, secret) = (&site.machine, site.secret());
    let (status, first) = site.asks(machine, "node-1", &secret, "")?;
    assert_eq!(status, 200, "{first}");
    // Asked twice: whoever lost the answer is told again, of the same boot.
    let (status, again) = site.asks(machine, "node-1", &secret, "")?;
    assert_eq!((status, &again["session"]), (200, &first["session"]), "{again}");

    // Somebody presses its button: what it asks is late.
    assert_eq!(machine.http(BOOT)?.0, 200);
    assert_eq!(site.asks(machine, "node-1", &secret, "")?.0, 403);
    assert_eq!(site.refused().await?, "no-session");
    assert_eq!(site.world.why().await?, "join-no-session");

    // What it says of the boot before counts for nothing in the next.
    site.report("started")?;
    let (status, next) = site.asks(machine, "node-1", &secret, "")?;
    assert_eq!(status, 200, "{next}");
    ensure!(next["session"] != first["session"], "{next}");
    let late = format!(
        r#"-d {{"report":"joined","action":"init","session":{}}} {REPORT}"#,
        first["session"]
    );
    assert_eq!(machine.http(&late)?.0, 409);
    ensure!(site.world.client().cluster().await?.established.is_none());
    Ok(())
}

#[tokio::test]
async fn what_a_node_fails_at_is_named_while_it_waits_for_its_next_try() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    site.report("started")?;
    let (machine, secret) = (&site.machine, site.secret());
    assert_eq!(site.asks(machine, "node-1", &secret, "")?.0, 200);
    let kubelet = "running_with_swap_on_is_not_supported".replace('_', "\\u0020");
    let failed = format!(
        r#"-d {{"report":"join-failed","phase":"init","said":"timeout","kubelet":"{kubelet}"}} {REPORT}"#
    );
    assert_eq!(machine.http(&failed)?.0, 204);
    let (status, told) = site.asks(machine, "node-1", &secret, "")?;
    assert_eq!((status, &told["reason"]), (202, &Value::from("pause")), "{told}");
    assert_eq!(site.world.why().await?, "join-swap");

    // Its clock is off, so it cannot even ask.
    let said = "curl: (60) certificate is not yet valid".replace(' ', "\\u0020");
    let stuck = format!(
        r#"-d {{"report":"join-stuck","phase":"ask","said":"{said}","clock":"2016-01-01T00:00:00Z"}} {REPORT}"#
    );
    assert_eq!(machine.http(&stuck)?.0, 204);
    let name = "node-1".parse().map_err(anyhow::Error::msg)?;
    let causes = site.world.client().why(&name).await?.causes;
    let codes: Vec<_> = causes.iter().map(|cause| cause.code.as_str()).collect();
    assert_eq!(codes[0], "join-certificate-time", "{codes:?}");
    ensure!(codes.contains(&"clock-off"), "{codes:?}");
    Ok(())
}

#[tokio::test]
async fn a_second_machine_with_the_address_of_a_node_gets_nothing() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    site.report("started")?;
    // The machine goes, and another takes its address and its secret, which it may have read off the disk.
    let secret = site.secret();
    site.machine
        .0
        .ip(&format!("address del {}/24 dev eth0", site.address))?;
    site.machine.0.ip("link set eth0 down")?;
    site.machine.0.ip("link set eth0 address 52:54:00:08:00:99")?;
    site.machine.0.ip("link set eth0 up")?;
    site.machine
        .0
        .ip(&format!("address add {}/24 dev eth0", site.address))?;
    site.world.net.output("ip neigh flush dev lan0")?;
    ensure!(site.asks(&site.machine, "node-1", &secret, "")?.0 == 403);
    assert_eq!(site.refused().await?, "wrong-mac");
    assert_eq!(site.world.why().await?, "join-wrong-mac");
    Ok(())
}

#[tokio::test]
async fn the_secret_of_an_earlier_installation_is_good_for_nothing() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    let old = std::fs::read_to_string(site.world.dir.path().join("secret"))?;
    let name = "node-1".parse().map_err(anyhow::Error::msg)?;
    site.world.client().set_armed(&name, true, "tester").await?;
    site.install()?;
    site.report("started")?;
    ensure!(site.asks(&site.machine, "node-1", old.trim(), "")?.0 == 403);
    assert_eq!(site.refused().await?, "wrong-secret");
    assert_eq!(site.asks(&site.machine, "node-1", &site.secret(), "")?.0, 200);
    Ok(())
}

#[tokio::test]
async fn only_a_node_of_the_cluster_hears_what_is_to_be_done() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    site.report("started")?;
    let secret = std::fs::read_to_string(site.world.dir.path().join("secret"))?;
    let secret = secret.trim();
    let says = |text: &str| format!("{{\"secret\":\"{text}\"}}");
    let machine = &site.machine;
    assert_eq!(site.posts(machine, "tend/node-1", &says("guessed"), "")?.0, 403);
    assert_eq!(site.last_reason(EventKind::TendRefused).await?, "wrong-secret");
    assert_eq!(site.posts(machine, "tend/node-1", secret, "")?.0, 400);
    // A machine that was taken out of the site file asks on for ever.
    assert_eq!(site.posts(machine, "tend/node-7", &says(secret), "")?.0, 403);
    assert_eq!(site.events(EventKind::TendRefused).await?.len(), 1);
    let (status, told) = site.posts(machine, "tend/node-1", &says(secret), "")?;
    assert_eq!((status, &told["do"]), (200, &Value::from("nothing")));
    ensure!(site.events(EventKind::JoinRefused).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_cluster_is_not_begun_without_what_it_is_made_from() -> Outcome {
    let world = World::serving().await?;
    let client = world.client();
    let missing = client
        .plan(&SITE.replace("name: node-1", "name: node-2"))
        .await?
        .missing;
    let what: Vec<_> = missing.iter().map(|own| own.what.as_str()).collect();
    assert_eq!(what, ["the image debian-13", "a release of Kubernetes"]);
    assert!(missing.iter().all(|own| own.blocks && own.needed_by.len() == 1));
    let careful = faros_model::api::ApplyRequest {
        without_content: false,
        ..request(
            &SITE.replace("name: node-1", "name: node-2"),
            world.generation().await?,
        )
    };
    assert_eq!(refusal(client.apply(&careful).await)?, "refused");
    let status = client.cluster().await?;
    assert_eq!((status.state, status.missing.len()), (ClusterState::Waiting, 2));
    world.add_image("debian-13").await?;
    world.add_release("v1.36.3").await?;
    let status = client.cluster().await?;
    assert!(status.missing.is_empty(), "{status:#?}");
    assert_eq!(
        status.version.map(|version| version.to_string()).as_deref(),
        Some("v1.36.3")
    );
    // Nobody is an administrator of what is not there.
    let nobody = client
        .credentials(&faros_model::api::CredentialsRequest {
            by: "tester".to_owned(),
            user: "ada".to_owned(),
            role: faros_model::api::ClusterRole::View,
            seconds: 3600,
            request: String::new(),
        })
        .await;
    assert_eq!(refusal(nobody)?, "conflict");
    Ok(())
}

/// A key of age: its public half, and the text that opens what was encrypted for it.
fn age_key() -> anyhow::Result<(String, String)> {
    let made = std::process::Command::new("age-keygen").output()?;
    let identity = String::from_utf8(made.stdout)?;
    let recipient = identity
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "));
    Ok((recipient.context("no key")?.to_owned(), identity))
}

#[tokio::test]
async fn a_bastion_that_begins_anew_signs_for_the_cluster_of_the_one_before() -> Outcome {
    let site = Site::new().await?;
    site.install()?;
    site.report("started")?;
    assert_eq!(site.asks(&site.machine, "node-1", &site.secret(), "")?.0, 200);
    let joined = r#"-d {"report":"joined","action":"init"}"#;
    assert_eq!(site.machine.http(&format!("{joined} {REPORT}"))?.0, 204);
    let before = site.world.client().cluster().await?;
    ensure!(before.established.is_some());
    let (recipient, identity) = age_key()?;
    let backup = site
        .world
        .client()
        .back_up_unlock_keys(vec![recipient.clone()])
        .await?;
    ensure!(backup.roots);

    let anew = World::serving().await?;
    anew.all_are(ServiceState::Ready).await?;
    anew.add_release("v1.36.3").await?;
    let client = anew.client();
    let other = client.back_up_unlock_keys(vec![recipient]).await?;
    let restored = client
        .restore_unlock_keys(backup.armored.clone(), identity.clone(), "tester")
        .await?;
    ensure!(
        restored.roots.is_some() && restored.keys.len() == 1,
        "{restored:?}"
    );
    let after = client.cluster().await?;
    assert_eq!(after.established, before.established);
    assert_eq!(after.version, before.version);
    // The nodes' copy of the site's root is of the bastion before.
    let ca = site.world.dir.path().join("ca");
    let told = anew.net.output(&format!(
        "curl -s -m 10 --interface 192.168.8.1 --cacert {} --resolve bastion.quay.edge.example.com:5000:192.168.8.1 \
         -o /dev/null -w %{{http_code}} https://bastion.quay.edge.example.com:5000/v2/",
        ca.display()
    ))?;
    ensure!(!told.is_empty() && told != "000", "{told}");
    // Twice is as once; and one who has a cluster does not take the roots of another.
    let again = client
        .restore_unlock_keys(backup.armored, identity.clone(), "tester")
        .await?;
    ensure!(again.roots.is_none() && again.keys.is_empty());
    let taken = client
        .restore_unlock_keys(other.armored, identity, "tester")
        .await;
    assert_eq!(refusal(taken)?, "refused");
    Ok(())
}
