//! Keys that are rotated, backed up and restored.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use anyhow::Context as _;
use faros_conformance::{Site, root};
use faros_lab::daemon;
use serde_json::Value;

use crate::world::{NODE, bind, boot, last_refusal, ledger, opens, say, site};

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
    site.expect_why("node-1", "unlock-unknown-key")?;
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
