//! `farosctl` against a real farosd: plans, generations, exit codes, and crashes.

use std::{fs, os::unix::fs::MetadataExt as _};

use faros_conformance::{Site, root};

fn demo() -> String {
    root().join("examples/demo.yaml").display().to_string()
}

/// The demo's site with one thing changed, as a file of the lab.
fn changed(site: &Site, from: &str, to: &str) -> anyhow::Result<String> {
    let text = faros_conformance::changed("demo", &[(from, to)])?;
    Ok(site.file(&text)?.display().to_string())
}

#[test]
fn applying_the_same_again_says_so_and_writes_nothing() -> anyhow::Result<()> {
    let site = Site::up("t-noop")?;
    let database = site.lab.folder().state_dir().join("faros.db-wal");
    let stamp = || -> anyhow::Result<(i64, i64, u64)> {
        let own = fs::metadata(&database)?;
        Ok((own.mtime(), own.mtime_nsec(), own.len()))
    };
    // What the start writes (loaders, events) is over when nothing was written for a while.
    let mut before = stamp()?;
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_secs(2));
        let now = stamp()?;
        if now == before {
            break;
        }
        before = now;
    }
    let (said, code) = site.farosctl(&["apply", "--yes", &demo()])?;
    assert!(code == 0 && said.contains("Nothing to do"), "{said}");
    assert_eq!(stamp()?, before);
    assert_eq!(site.farosctl(&["history"])?.0.lines().count(), 2);
    Ok(())
}

#[test]
fn exit_codes_are_those_of_the_contract() -> anyhow::Result<()> {
    let site = Site::up("t-codes")?;
    assert_eq!(site.farosctl(&["plan", "--exit-code", &demo()])?.1, 0);
    let wrong = changed(&site, "uplink:", "uplnk:")?;
    let (said, code) = site.farosctl(&["plan", &wrong, "--output", "json"])?;
    assert!(code == 3 && said.contains("\"code\":\"unknown-key\""), "{said}");
    let moved = changed(&site, "domain: edge", "domain: other")?;
    assert_eq!(site.farosctl(&["plan", "--exit-code", &moved])?.1, 4);
    assert_eq!(site.farosctl(&["apply", &moved])?.1, 6, "nobody to ask");
    assert_eq!(site.farosctl(&["nonsense"])?.1, 2);
    faros_lab::daemon::stop(site.lab.folder(), false)?;
    assert_eq!(site.farosctl(&["status"])?.1, 5, "no daemon");
    Ok(())
}

#[test]
fn a_rollback_is_a_new_generation_with_an_old_file() -> anyhow::Result<()> {
    let site = Site::up("t-rollback")?;
    let moved = changed(&site, "labels: {rack: a}", "address: 192.168.8.77")?;
    assert_eq!(site.farosctl(&["apply", "--yes", &moved])?.1, 0);
    assert!(site.farosctl(&["nodes"])?.0.contains("192.168.8.77"));
    assert_eq!(site.farosctl(&["rollback", "--yes", "1"])?.1, 0);
    assert!(site.farosctl(&["nodes"])?.0.contains("192.168.8.12"));
    let (history, _) = site.farosctl(&["history"])?;
    assert!(
        history.contains("rollback to 1") && history.lines().count() == 4,
        "{history}"
    );
    let (file, _) = site.farosctl(&["show", "3", "--file"])?;
    assert_eq!(file, fs::read_to_string(demo())?);
    Ok(())
}

#[test]
fn farosd_goes_on_from_its_last_generation_after_any_crash() -> anyhow::Result<()> {
    let site = Site::up("t-crash")?;
    for (idx, address) in (70..76).enumerate() {
        let moved = changed(
            &site,
            "labels: {rack: a}",
            &format!("address: 192.168.8.{address}"),
        )?;
        let mut apply = site.lab.farosctl_command()?;
        apply
            .args(["apply", "--yes", &moved])
            .stdout(std::process::Stdio::null());
        let mut apply = apply.stderr(std::process::Stdio::null()).spawn()?;
        // Killed earlier or later within the apply, or just after it.
        std::thread::sleep(std::time::Duration::from_millis(4 * idx as u64));
        site.kill_and_start()?;
        apply.wait()?;
        for _ in 0..100 {
            let (status, _) = site.farosctl(&["status", "--output", "json"])?;
            if status.contains("\"apply\":null") {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        // Whichever it is, all of it is that one: the node's address, and its name.
        let (nodes, _) = site.farosctl(&["nodes"])?;
        let (shown, _) = site.farosctl(&["show", "--file"])?;
        let wanted = shown
            .lines()
            .find_map(|line| line.trim().strip_prefix("address: "))
            .unwrap_or("192.168.8.12");
        assert!(nodes.contains(wanted), "{wanted}: {nodes}");
    }
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_said_with_the_program_that_has_it() -> anyhow::Result<()> {
    let mut site = Site::up("t-taken")?;
    faros_lab::daemon::stop(site.lab.folder(), false)?;
    site.run(
        "bastion",
        &["ip", "address", "replace", "192.168.8.1/24", "dev", "lan0"],
    )?;
    site.run(
        "bastion",
        &[
            "dnsmasq",
            "--conf-file=/dev/null",
            "--port=53",
            "--listen-address=192.168.8.1",
            "--bind-interfaces",
            "--pid-file=/run/taken.pid",
            "--user=root",
        ],
    )?;
    faros_lab::daemon::start(site.lab.name(), site.lab.folder())?;
    let mut said = String::new();
    for _ in 0..50 {
        said = site.farosctl(&["status"])?.0;
        if said.contains("FAILED") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(said.contains("FAILED") && said.contains("dnsmasq"), "{said}");
    site.run("bastion", &["sh", "-c", "kill $(cat /run/taken.pid)"])?;
    site.lab.wait_until_ready()?;
    Ok(())
}

#[test]
fn an_interface_that_goes_and_comes_back_is_waited_for() -> anyhow::Result<()> {
    let mut site = Site::up("t-link")?;
    site.run(
        "bastion",
        &["sh", "-ec", "ip link set lan0 down; ip link set lan0 name gone0"],
    )?;
    let mut said = String::new();
    for _ in 0..50 {
        said = site.farosctl(&["status"])?.0;
        if said.contains("WAITING") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(said.contains("WAITING") && said.contains("lan0"), "{said}");
    site.run("bastion", &["sh", "-ec", "ip link set gone0 name lan0"])?;
    site.lab.wait_until_ready()?;
    let node = "client:node=52:54:00:08:00:01";
    site.run(node, &["dhclient", "-4", "-1", "eth0"])?;
    assert!(site.saw("interface-lost")? && site.saw("interface-back")?);
    Ok(())
}
