//! What `farosctl ports verify` finds.

use anyhow::{Context as _, ensure};
use faros_conformance::Site;
use sha2::{Digest as _, Sha256};

use crate::world::{NODE, addresses, answer, cluster};

#[test]
fn verify_finds_who_listens_where_the_matrix_has_nobody() -> anyhow::Result<()> {
    let mut site = cluster("t-ports-verify")?;
    let findings = |site: &Site| -> anyhow::Result<(Vec<String>, i32)> {
        let (said, code) = site.farosctl(&["ports", "verify", "--output", "json"])?;
        let said: serde_json::Value = serde_json::from_str(&said).with_context(|| said.clone())?;
        let findings = said["findings"].as_array().context("a list of findings")?;
        let line = |own: &serde_json::Value| {
            let field = |key: &str| own[key].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", field("on"), field("kind"), field("port"))
        };
        Ok((findings.iter().map(line).collect(), code))
    };
    ensure!(findings(&site)? == (vec![], 0), "{:?}", findings(&site)?);

    let _server = answer(&mut site, "bastion", &[7777])?;
    addresses(&mut site, &[NODE])?;
    let report = r#"{"report":"started","filtered":false,"listens":["tcp 0.0.0.0:22","udp 127.0.0.53%lo:53","tcp *:8000"]}"#;
    site.run(
        NODE,
        &[
            "curl",
            "-sf",
            "-d",
            report,
            "http://192.168.8.1:8080/report/node-1",
        ],
    )?;
    // What else it tells hides nothing: more than is looked at first.
    let chatter = r#"{"report":"installing"}"#;
    let url = "http://192.168.8.1:8080/report/node-1?[1-1100]";
    site.run(NODE, &["curl", "-sf", "-o", "/dev/null", "-d", chatter, url])?;
    let events = site.events()?;
    let told = events.iter().filter(|event| event.kind.as_str() == "node-report");
    ensure!(told.count() > 1000, "it is not told");
    let expected = [
        "bastion unexpected-listener tcp/7777",
        "bastion unexpected-listener udp/7777",
        "node-1 unexpected-listener tcp/8000",
        "node-1 unfiltered ",
    ];
    let found = findings(&site)?;
    ensure!(found == (expected.map(str::to_owned).to_vec(), 3), "{found:?}");

    // The filter in the kernel: as it was loaded, or not; of this site, or not. A life sign tells if it is another.
    let (site_file, _) = site.farosctl(&["show", "--file"])?;
    let loaded = faros_site::load(&site_file).map_err(|_| anyhow::anyhow!("{site_file}"))?;
    let node = loaded
        .site
        .nodes
        .values()
        .find(|node| node.name.as_str() == "node-1");
    let rules = node
        .and_then(|node| faros_render::node_filter(&loaded.site, node))
        .context("a filter")?;
    let bytes = Sha256::digest(rules);
    let digest = bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    for (report, changed, digest, finding) in [
        ("started", false, "00", Some("node-1 outdated-filter ")),
        ("alive", false, digest.as_str(), None),
        ("alive", true, digest.as_str(), Some("node-1 changed-filter ")),
    ] {
        let said = serde_json::json!({
            "report": report, "filtered": true, "filterChanged": changed, "filter": digest, "listens": [],
        });
        let url = "http://192.168.8.1:8080/report/node-1";
        site.run(NODE, &["curl", "-sf", "-d", &said.to_string(), url])?;
        let found = findings(&site)?.0;
        let of_node: Vec<&String> = found.iter().filter(|own| own.starts_with("node-1")).collect();
        ensure!(of_node == finding.as_slice(), "{report} {changed}: {found:?}");
    }
    Ok(())
}
