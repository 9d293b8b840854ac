//! A site in which a node has bound its disk, and what may be done with it.

use std::{thread::sleep, time::Duration};

use anyhow::{Context as _, ensure};
use faros_conformance::Site;
use serde_json::Value;

pub(crate) const NODE: &str = "client:node=52:54:00:08:00:01";
pub(crate) const OTHER: &str = "client:other=52:54:00:08:00:02";
pub(crate) const STRANGER: &str = "client:stranger=02:00:00:00:00:99";
pub(crate) const TANG: &str = "http://192.168.8.1:8082";
pub(crate) const REPORT: &str = "http://192.168.8.1:8080/report/";

pub(crate) fn sh(site: &mut Site, host: &str, script: &str) -> anyhow::Result<String> {
    site.run(host, &["bash", "-euo", "pipefail", "-c", script])
}

/// Asks for an address as a system does, and keeps it.
pub(crate) fn address(site: &mut Site, host: &str) -> anyhow::Result<()> {
    site.run(host, &["dhclient", "-4", "-1", "eth0"]).map(drop)
}

pub(crate) fn say(site: &mut Site, host: &str, node: &str, facts: &str) -> anyhow::Result<String> {
    sh(site, host, &format!("curl -sf -d '{facts}' {REPORT}{node}"))
}

/// Binds a text to the key that is advertised, as clevis does with the key of a disk; into `/run/FILE`.
pub(crate) fn bind(site: &mut Site, host: &str, file: &str) -> anyhow::Result<()> {
    let script = format!(
        "curl -sf {TANG}/adv -o /run/adv
         thp=$(jose fmt -j /run/adv -Og payload -SyOg keys -AUo- | jose jwk use -i- -r -u verify -o- | jose jwk thp -i- -a S256)
         echo secret | clevis encrypt tang '{{\"url\":\"{TANG}\",\"thp\":\"'$thp'\"}}' > /run/{file}"
    );
    sh(site, host, &script).map(drop)
}

/// Whether real clevis opens what was bound.
pub(crate) fn opens(site: &mut Site, host: &str, file: &str) -> anyhow::Result<bool> {
    let script = format!("clevis decrypt < /run/{file} || test $? -eq 1");
    Ok(sh(site, host, &script)?.trim() == "secret")
}

/// Hands what one host bound to another.
pub(crate) fn carry(site: &mut Site, from: &str, to: &str, file: &str) -> anyhow::Result<()> {
    let bound = site.run(from, &["cat", &format!("/run/{file}")])?;
    sh(site, to, &format!("printf %s '{bound}' > /run/{file}")).map(drop)
}

/// The reasons of all refusals so far, with how often each was repeated.
pub(crate) fn refusals(site: &Site) -> anyhow::Result<Vec<(String, u64)>> {
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

pub(crate) fn last_refusal(site: &Site) -> anyhow::Result<String> {
    Ok(refusals(site)?.pop().unwrap_or_default().0)
}

/// The keys of the ledger, newest first: key, signed by, advertised, nodes with how they were seen.
pub(crate) fn ledger(site: &Site) -> anyhow::Result<Vec<(String, String, bool, String)>> {
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

pub(crate) fn phase(site: &Site, node: &str) -> anyhow::Result<String> {
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
pub(crate) fn site(name: &str) -> anyhow::Result<Site> {
    let mut site = Site::up(name)?;
    address(&mut site, NODE)?;
    bind(&mut site, NODE, "disk")?;
    say(&mut site, NODE, "node-1", r#"{"report":"installed"}"#)?;
    boot(&mut site)?;
    Ok(site)
}

/// The address of node-1.
pub(crate) fn own_address(site: &Site) -> anyhow::Result<String> {
    let (said, _) = site.farosctl(&["nodes", "--output", "json"])?;
    let nodes: Value = serde_json::from_str(&said)?;
    Ok(nodes[0]["address"].as_str().context("no address")?.to_owned())
}

/// Moves an address from one host to another, and tells everybody.
pub(crate) fn take(site: &mut Site, from: &str, to: &str, address: &str) -> anyhow::Result<()> {
    site.run(from, &["ip", "address", "flush", "dev", "eth0"])?;
    let script = format!(
        "ip address flush dev eth0; ip address add {address}/24 dev eth0; arping -q -c 1 -U -I eth0 {address} || test $? -eq 1"
    );
    sh(site, to, &script).map(drop)
}

/// Node-1 says that it boots from its disk.
pub(crate) fn boot(site: &mut Site) -> anyhow::Result<()> {
    say(site, NODE, "node-1", r#"{"report":"booting"}"#)?;
    // The report is an event a moment later.
    sleep(Duration::from_millis(100));
    Ok(())
}
