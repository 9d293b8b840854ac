//! The verdicts of the programs that read the filters.

use std::{fs, process::Command};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};

use crate::world::cluster;

/// What `farosctl ports` says of an example.
fn ports(site: &Site, example: &str, role: &str, output: &str) -> anyhow::Result<String> {
    let file = root().join(format!("examples/{example}.yaml"));
    let words = ["ports", "--role", role, "--output", output];
    let file = file.to_str().context("a path that is text")?;
    let (said, code) = site.farosctl(&[&words[..], &[file]].concat())?;
    ensure!(code == 0, "{said}");
    Ok(said)
}

/// What firewalld says of a folder of its settings.
fn firewalld(folder: &std::path::Path) -> anyhow::Result<(bool, String)> {
    let said = Command::new("firewall-offline-cmd")
        .arg("--system-config")
        .arg(folder)
        .arg("--check-config")
        .output()
        .context("install the Debian package firewalld")?;
    let text = [said.stdout, said.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    // A rule that it does not understand is worth a warning to it, and no more.
    Ok((said.status.success() && !text.contains("INVALID"), text))
}

#[test]
fn other_programs_accept_the_filters_of_every_role_of_every_example() -> anyhow::Result<()> {
    let site = cluster("t-ports-others")?;
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("zones"))?;
    fs::write(folder.path().join("firewalld.conf"), "DefaultZone=public\n")?;
    let (zone, rules) = (
        folder.path().join("zones/faros.xml"),
        folder.path().join("node.nft"),
    );
    for example in ["smallest", "branch-office", "everything", "three-nodes"] {
        for role in ["control-plane", "worker", "meta-worker", "frontend", "arbiter"] {
            fs::write(&rules, ports(&site, example, role, "nft")?)?;
            let said = Command::new("unshare")
                .args(["-n", "nft", "-c", "-f"])
                .arg(&rules)
                .output()?;
            ensure!(
                said.status.success(),
                "{example} {role}: {}",
                String::from_utf8_lossy(&said.stderr)
            );
            fs::write(&zone, ports(&site, example, role, "firewalld")?)?;
            let (is_right, said) = firewalld(folder.path())?;
            ensure!(is_right, "{example} {role}: {said}");
        }
        let script = folder.path().join("groups.sh");
        fs::write(&script, ports(&site, example, "worker", "openstack")?)?;
        let said = Command::new("sh").arg("-n").arg(&script).output()?;
        ensure!(
            said.status.success(),
            "{example}: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }
    // It does look at the zone.
    fs::write(
        &zone,
        fs::read_to_string(&zone)?.replace("port=\"22\"", "port=\"ssh-or-so\""),
    )?;
    let (is_right, said) = firewalld(folder.path())?;
    ensure!(!is_right, "firewalld takes anything: {said}");
    Ok(())
}
