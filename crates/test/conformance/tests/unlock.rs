//! Real clevis against the unlock service: who is helped, who is not and why, and what the ledger knows of it.

use std::{
    fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command, thread::sleep, time::Duration,
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};
use faros_lab::daemon;
use serde_json::Value;

const NODE: &str = "client:node=52:54:00:08:00:01";
const OTHER: &str = "client:other=52:54:00:08:00:02";
const STRANGER: &str = "client:stranger=02:00:00:00:00:99";
const TANG: &str = "http://192.168.8.1:8082";
const REPORT: &str = "http://192.168.8.1:8080/report/";

fn sh(site: &mut Site, host: &str, script: &str) -> anyhow::Result<String> {
    site.run(host, &["bash", "-euo", "pipefail", "-c", script])
}

/// Asks for an address as a system does, and keeps it.
fn address(site: &mut Site, host: &str) -> anyhow::Result<()> {
    site.run(host, &["dhclient", "-4", "-1", "eth0"]).map(drop)
}

fn say(site: &mut Site, host: &str, node: &str, facts: &str) -> anyhow::Result<String> {
    sh(site, host, &format!("curl -sf -d '{facts}' {REPORT}{node}"))
}

/// Binds a text to the key that is advertised, as clevis does with the key of a disk; into `/run/FILE`.
fn bind(site: &mut Site, host: &str, file: &str) -> anyhow::Result<()> {
    let script = format!(
        "curl -sf {TANG}/adv -o /run/adv
         thp=$(jose fmt -j /run/adv -Og payload -SyOg keys -AUo- | jose jwk use -i- -r -u verify -o- | jose jwk thp -i- -a S256)
         echo secret | clevis encrypt tang '{{\"url\":\"{TANG}\",\"thp\":\"'$thp'\"}}' > /run/{file}"
    );
    sh(site, host, &script).map(drop)
}

/// Whether real clevis opens what was bound.
fn opens(site: &mut Site, host: &str, file: &str) -> anyhow::Result<bool> {
    let script = format!("clevis decrypt < /run/{file} || test $? -eq 1");
    Ok(sh(site, host, &script)?.trim() == "secret")
}

/// Hands what one host bound to another.
fn carry(site: &mut Site, from: &str, to: &str, file: &str) -> anyhow::Result<()> {
    let bound = site.run(from, &["cat", &format!("/run/{file}")])?;
    sh(site, to, &format!("printf %s '{bound}' > /run/{file}")).map(drop)
}

/// The reasons of all refusals so far, with how often each was repeated.
fn refusals(site: &Site) -> anyhow::Result<Vec<(String, u64)>> {
    sleep(Duration::from_millis(100));
    let events = site.events()?;
    let refused = events
        .iter()
        .filter(|event| event.kind.as_str() == "unlock-refused");
    let told = refused.map(|event| {
        let word = event.detail.get("reason").and_then(Value::as_str);
        let repeated = event.detail.get("repeated").and_then(Value::as_u64);
        (word.unwrap_or_default().to_owned(), repeated.unwrap_or_default())
    });
    Ok(told.collect())
}

fn last_refusal(site: &Site) -> anyhow::Result<String> {
    Ok(refusals(site)?.pop().unwrap_or_default().0)
}

/// The keys of the ledger, newest first: key, signed by, advertised, nodes with how they were seen.
fn ledger(site: &Site) -> anyhow::Result<Vec<(String, String, bool, String)>> {
    let (said, code) = site.farosctl(&["unlock", "ledger", "--output", "json"])?;
    ensure!(code == 0, "{said}");
    let status: Value = serde_json::from_str(&said)?;
    let keys = status["keys"].as_array().context("no keys")?.iter();
    let row = |key: &Value| {
        let word = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let nodes = key["nodes"].as_array().into_iter().flatten();
        let nodes: Vec<String> = nodes
            .map(|own| {
                format!(
                    "{} {}",
                    own["node"].as_str().unwrap_or_default(),
                    own["seen"].as_str().unwrap_or_default()
                )
            })
            .collect();
        (
            word("key"),
            word("signedBy"),
            key["advertised"] == true,
            nodes.join(", "),
        )
    };
    Ok(keys.map(row).collect())
}

fn why(site: &Site, node: &str) -> anyhow::Result<String> {
    let (said, code) = site.farosctl(&["why", node, "--output", "json"])?;
    ensure!(code == 0, "{said}");
    let answer: Value = serde_json::from_str(&said)?;
    Ok(answer["causes"][0]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

/// Asks until the first cause is the expected one.
fn expect_why(site: &Site, node: &str, expected: &str) -> anyhow::Result<()> {
    let mut said = String::new();
    for _ in 0..50 {
        said = why(site, node)?;
        if said == expected {
            return Ok(());
        }
        sleep(Duration::from_millis(100));
    }
    let (all, _) = site.farosctl(&["why", node])?;
    anyhow::bail!("expected {expected}, not {said}: {all}")
}

fn phase(site: &Site, node: &str) -> anyhow::Result<String> {
    sleep(Duration::from_millis(100));
    let (said, _) = site.farosctl(&["nodes", "--output", "json"])?;
    let nodes: Value = serde_json::from_str(&said)?;
    let own = nodes
        .as_array()
        .into_iter()
        .flatten()
        .find(|own| own["name"] == node);
    let own = own.with_context(|| format!("no {node} in {said}"))?;
    Ok(own["phase"].as_str().unwrap_or_default().to_owned())
}

/// A site in which node-1 has bound its disk while it was armed, and boots from it.
fn site(name: &str) -> anyhow::Result<Site> {
    let mut site = Site::up(name)?;
    address(&mut site, NODE)?;
    bind(&mut site, NODE, "disk")?;
    say(&mut site, NODE, "node-1", r#"{"report":"installed"}"#)?;
    boot(&mut site)?;
    Ok(site)
}

/// The address of node-1.
fn own_address(site: &Site) -> anyhow::Result<String> {
    let (said, _) = site.farosctl(&["nodes", "--output", "json"])?;
    let nodes: Value = serde_json::from_str(&said)?;
    Ok(nodes[0]["address"].as_str().context("no address")?.to_owned())
}

/// Moves an address from one host to another, and tells everybody.
fn take(site: &mut Site, from: &str, to: &str, address: &str) -> anyhow::Result<()> {
    site.run(from, &["ip", "address", "flush", "dev", "eth0"])?;
    let script = format!(
        "ip address flush dev eth0; ip address add {address}/24 dev eth0; arping -q -c 1 -U -I eth0 {address} || test $? -eq 1"
    );
    sh(site, to, &script).map(drop)
}

/// Node-1 says that it boots from its disk.
fn boot(site: &mut Site) -> anyhow::Result<()> {
    say(site, NODE, "node-1", r#"{"report":"booting"}"#)?;
    // The report is an event a moment later.
    sleep(Duration::from_millis(100));
    Ok(())
}

#[test]
fn a_node_that_boots_is_helped_and_the_ledger_has_it() -> anyhow::Result<()> {
    let mut site = Site::up("t-unlock")?;
    address(&mut site, NODE)?;
    assert_eq!(ledger(&site)?[0].3, "");
    bind(&mut site, NODE, "disk")?;
    assert_eq!(ledger(&site)?[0].3, "node-1 advertised");
    say(&mut site, NODE, "node-1", r#"{"report":"installed"}"#)?;
    boot(&mut site)?;
    assert!(opens(&mut site, NODE, "disk")?);
    assert_eq!(ledger(&site)?[0].3, "node-1 recovered");
    assert_eq!(phase(&site, "node-1")?, "unlocked");
    site.kill_and_start()?;
    assert_eq!(ledger(&site)?[0].3, "node-1 recovered");
    assert!(opens(&mut site, NODE, "disk")?, "its other disk");
    assert!(refusals(&site)?.is_empty());

    // A stranger has all it may have: the advertisement.
    address(&mut site, STRANGER)?;
    bind(&mut site, STRANGER, "own")?;
    assert!(!opens(&mut site, STRANGER, "own")?);
    assert_eq!(last_refusal(&site)?, "unknown-machine");
    carry(&mut site, NODE, STRANGER, "disk")?;
    assert!(!opens(&mut site, STRANGER, "disk")?);

    // Another node, with the disk of this one, and with one of its own that nobody saw it bind.
    address(&mut site, OTHER)?;
    carry(&mut site, NODE, OTHER, "disk")?;
    assert!(!opens(&mut site, OTHER, "disk")?);
    assert_eq!(last_refusal(&site)?, "not-bound");
    expect_why(&site, "node-2", "unlock-not-bound")?;

    // The node's address, taken by someone else.
    let own = own_address(&site)?;
    take(&mut site, NODE, STRANGER, &own)?;
    assert!(!opens(&mut site, STRANGER, "disk")?);
    assert_eq!(last_refusal(&site)?, "wrong-mac");
    let words = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-d",
        r#"{"report":"rebound"}"#,
        &format!("{REPORT}node-1"),
    ];
    let report = site.said(STRANGER, &words)?;
    assert_eq!(report, "403", "it may not speak for the node either");
    Ok(())
}

#[test]
fn a_node_that_was_never_seen_to_boot_is_refused_until_it_is() -> anyhow::Result<()> {
    let mut site = Site::up("t-unlock-boot")?;
    let own = own_address(&site)?;
    // A static address: no DHCP is seen of it.
    sh(&mut site, NODE, &format!("ip address add {own}/24 dev eth0"))?;
    bind(&mut site, NODE, "disk")?;
    assert_eq!(ledger(&site)?[0].3, "node-1 advertised");
    for _ in 0..2 {
        assert!(!opens(&mut site, NODE, "disk")?);
    }
    assert_eq!(last_refusal(&site)?, "not-booting");
    expect_why(&site, "node-1", "unlock-not-booting")?;
    boot(&mut site)?;

    // Meanwhile somebody else takes its address.
    carry(&mut site, NODE, STRANGER, "disk")?;
    take(&mut site, NODE, STRANGER, &own)?;
    assert!(!opens(&mut site, STRANGER, "disk")?);
    assert_eq!(last_refusal(&site)?, "wrong-mac");
    expect_why(&site, "node-1", "unlock-wrong-mac")?;
    take(&mut site, STRANGER, NODE, &own)?;
    assert!(opens(&mut site, NODE, "disk")?);
    Ok(())
}

#[test]
fn lockdown_stops_unlocking_at_once_survives_a_crash_and_can_be_lifted() -> anyhow::Result<()> {
    let mut site = site("t-unlock-lock")?;
    let (said, code) = site.farosctl(&["lockdown", "--reason", "a box was stolen"])?;
    assert_eq!(code, 0, "{said}");
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "locked-down");
    expect_why(&site, "node-1", "locked-down")?;
    let (said, _) = site.farosctl(&["why", "node-1"])?;
    assert!(said.contains("a box was stolen"), "{said}");

    site.kill_and_start()?;
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "locked-down");
    expect_why(&site, "node-1", "locked-down")?;
    // What clevis and its users do: again and again. It is told once, and counted.
    let before = refusals(&site)?.len();
    for _ in 0..10 {
        assert!(!opens(&mut site, NODE, "disk")?);
    }
    assert_eq!(refusals(&site)?.len(), before);
    let (status, _) = site.farosctl(&["status", "--output", "json"])?;
    let status: Value = serde_json::from_str(&status)?;
    let mut services = status["services"].as_array().into_iter().flatten();
    let own = services.find(|own| own["service"] == "unlock");
    let counted = own.and_then(|own| own["counters"]["refused_locked_down"].as_u64());
    assert!(counted >= Some(11), "{status}");

    let (said, code) = site.farosctl(&["lockdown", "--lift"])?;
    assert_eq!(code, 0, "{said}");
    assert!(opens(&mut site, NODE, "disk")?);
    let (said, _) = site.farosctl(&["lockdown", "--lift"])?;
    assert!(said.contains("no lockdown"), "{said}");
    Ok(())
}

#[test]
fn a_rotation_is_followed_by_the_nodes_and_ends_with_the_old_key() -> anyhow::Result<()> {
    let mut site = site("t-unlock-rotate")?;
    let old = ledger(&site)?.remove(0).0;
    let (said, code) = site.farosctl(&["unlock", "rotate"])?;
    assert_eq!(code, 0, "{said}");
    let keys = ledger(&site)?;
    assert_eq!(
        keys.iter().map(|key| (key.2, key.3.as_str())).collect::<Vec<_>>(),
        [(true, ""), (false, "node-1 advertised")]
    );
    assert_eq!(keys[1].0, old);
    let new = (keys[0].0.clone(), keys[0].1.clone());

    // Between a rotation and the next boot.
    assert!(opens(&mut site, NODE, "disk")?);
    site.kill_and_start()?;
    assert!(opens(&mut site, NODE, "disk")?);
    let recovered = site.events()?;
    let recovered = recovered
        .iter()
        .rfind(|event| event.kind.as_str() == "unlock-recovered");
    assert_eq!(
        recovered.and_then(|event| event.detail["rotated"].as_bool()),
        Some(true)
    );

    let (said, code) = site.farosctl(&["unlock", "retire", &old, "--yes"])?;
    assert_eq!(code, 6, "{said}");
    assert!(said.contains("node-1 depends on this key"), "{said}");
    let (said, code) = site.farosctl(&["unlock", "retire", &new.0, "--yes"])?;
    assert_ne!(code, 0, "the key in use: {said}");

    // The node hears of the new key when it reports, binds its disk anew, and says so.
    let orders = say(&mut site, NODE, "node-1", r#"{"report":"started"}"#)?;
    let orders: Value = serde_json::from_str(&orders)?;
    assert_eq!(orders["unlock"]["thumbprint"], new.1.as_str());
    bind(&mut site, NODE, "new-disk")?;
    // It may be cut off before it can say so: it is known that it may depend on either.
    assert!(opens(&mut site, NODE, "new-disk")? && opens(&mut site, NODE, "disk")?);
    assert_eq!(
        ledger(&site)?
            .iter()
            .map(|key| key.3.as_str())
            .collect::<Vec<_>>(),
        ["node-1 recovered", "node-1 recovered"]
    );
    say(
        &mut site,
        NODE,
        "node-1",
        &format!(r#"{{"report":"rebound","thumbprint":"{}"}}"#, new.1),
    )?;
    assert_eq!(
        ledger(&site)?
            .iter()
            .map(|key| key.3.as_str())
            .collect::<Vec<_>>(),
        ["node-1 rebound", ""]
    );
    let (said, code) = site.farosctl(&["unlock", "retire", &old, "--yes"])?;
    assert_eq!(code, 0, "{said}");
    assert_eq!(ledger(&site)?.len(), 1);

    boot(&mut site)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "unknown-key");
    expect_why(&site, "node-1", "unlock-unknown-key")?;
    assert!(opens(&mut site, NODE, "new-disk")?);
    site.kill_and_start()?;
    assert!(opens(&mut site, NODE, "new-disk")?);
    Ok(())
}

/// Backs the keys up; the backup, and the identity that opens it.
fn back_up(site: &Site) -> anyhow::Result<(PathBuf, PathBuf)> {
    let folder = site.lab.folder().path().to_owned();
    let identity = folder.join("identity");
    let made = Command::new("age-keygen").arg("-o").arg(&identity).output()?;
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    let recipient = said.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    let out = folder.join("keys.age");
    let path = out.display().to_string();
    let (said, code) = site.farosctl(&["unlock", "backup", "--recipient", &recipient, "--out", &path])?;
    assert_eq!(code, 0, "{said}");
    Ok((out, identity))
}

#[test]
fn a_bastion_that_begins_anew_unlocks_with_the_backup_of_the_one_before() -> anyhow::Result<()> {
    let mut site = site("t-unlock-restore")?;
    let (backup, identity) = back_up(&site)?;
    daemon::stop(site.lab.folder(), false)?;
    fs::remove_dir_all(site.lab.folder().state_dir())?;
    daemon::start(site.lab.name(), site.lab.folder())?;
    site.lab.apply(&root().join("examples/demo.yaml"))?;
    let (said, code) = site.farosctl(&["disarm", "node-1"])?;
    assert_eq!(code, 0, "{said}");
    boot(&mut site)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "unknown-key");

    let [backup, identity] = [backup, identity].map(|path| path.display().to_string());
    let (said, code) = site.farosctl(&["unlock", "restore", &identity, "--identity", &identity])?;
    assert_ne!(code, 0, "{said}");
    let (said, code) = site.farosctl(&["unlock", "restore", &backup, "--identity", &backup])?;
    assert!(code != 0 && said.contains("line 1"), "{said}");
    let restore = ["unlock", "restore", &backup, "--identity", &identity];
    let (said, code) = site.farosctl(&restore)?;
    assert!(code == 0 && said.contains("unlocks again"), "{said}");
    assert!(opens(&mut site, NODE, "disk")?);
    let rows = ledger(&site)?;
    assert_eq!(rows.len(), 2, "{rows:?}");
    let (said, code) = site.farosctl(&restore)?;
    assert!(code == 0 && said.contains("already"), "{said}");
    // It does not forget them again.
    site.kill_and_start()?;
    boot(&mut site)?;
    assert!(opens(&mut site, NODE, "disk")?);
    // And has the node leave the old key.
    let alive = say(&mut site, NODE, "node-1", r#"{"report":"alive"}"#)?;
    assert!(alive.contains("\"rebind\":true"), "{alive}");
    Ok(())
}

#[test]
fn a_backup_opens_with_age() -> anyhow::Result<()> {
    let site = site("t-unlock-backup")?;
    let (out, identity) = back_up(&site)?;
    let permissions = fs::metadata(&out)?.permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let opened = Command::new("age")
        .arg("--decrypt")
        .arg("-i")
        .arg(&identity)
        .arg(&out)
        .output()?;
    assert!(opened.status.success(), "{opened:?}");
    let key = ledger(&site)?.remove(0).0;
    let backup: Value = serde_json::from_slice(&opened.stdout)?;
    let keys = backup["unlock"].as_str().context("the unlock keys")?;
    assert!(keys.contains("\"d\""), "the secret halves are in it");
    assert!(!fs::read_to_string(&out)?.contains(&key));
    let (said, code) = site.farosctl(&["unlock", "backup", "--recipient", "age1nonsense"])?;
    assert_ne!(code, 0, "{said}");
    Ok(())
}

/// Asks for an address as the firmware of a machine with this UUID does.
fn firmware(site: &mut Site, host: &str, uuid: &str) -> anyhow::Result<()> {
    let own = format!("0x61:00{uuid}");
    site.firmware(host, "0007", 3, &["-x", &own])?;
    sleep(Duration::from_millis(100));
    Ok(())
}

#[test]
fn two_machines_by_one_mac_get_nothing_until_it_is_clear_which_one_is_the_node() -> anyhow::Result<()> {
    let first = "11111111222233334444555555555555";
    let second = "99999999222233334444555555555555";
    let mut site = site("t-unlock-twins")?;
    site.add_dummy_image()?;
    firmware(&mut site, NODE, first)?;
    assert!(opens(&mut site, NODE, "disk")?);
    site.farosctl(&["install", "node-1", "--yes"])?;
    firmware(&mut site, NODE, first)?;
    let path = site.ignition_path(NODE, "52-54-00-08-00-01")?;

    // The same MAC, and another board.
    firmware(&mut site, NODE, second)?;
    assert!(site.saw("identity-conflict")?);
    assert_eq!(phase(&site, "node-1")?, "failed");
    for _ in 0..2 {
        let script = site.run(
            NODE,
            &[
                "curl",
                "-sf",
                "http://192.168.8.1:8080/boot/52-54-00-08-00-01.ipxe",
            ],
        )?;
        assert!(!script.contains("ignition.config.url"), "{script}");
    }
    assert!(
        sh(
            &mut site,
            NODE,
            &format!("curl -sf http://192.168.8.1:8080{path}")
        )
        .is_err()
    );
    assert!(!opens(&mut site, NODE, "disk")?);
    assert_eq!(last_refusal(&site)?, "identity-conflict");
    expect_why(&site, "node-1", "identity-conflict")?;
    // Nor after a crash, nor by asking as a system that shows no UUID.
    site.kill_and_start()?;
    address(&mut site, NODE)?;
    boot(&mut site)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    let (said, _) = site.farosctl(&["why", "node-1"])?;
    assert!(said.contains("UUID"), "{said}");

    // The machine that is known boots.
    firmware(&mut site, NODE, first)?;
    assert!(opens(&mut site, NODE, "disk")?);

    // Or the operator says that the other one is the node from now on.
    firmware(&mut site, NODE, second)?;
    assert!(!opens(&mut site, NODE, "disk")?);
    let (said, code) = site.farosctl(&["install", "node-1", "--yes"])?;
    assert_eq!(code, 0, "{said}");
    firmware(&mut site, NODE, second)?;
    site.ignition_path(NODE, "52-54-00-08-00-01")?;
    Ok(())
}
