//! Every door of `faros-lab` that needs no machine.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{build, root};
use faros_lab::{Lab, daemon, run::run};
use serde_json::Value;

/// A lab that is worked by its program alone.
pub(crate) struct Door(pub(crate) &'static str);

impl Drop for Door {
    fn drop(&mut self) {
        // Of one that was taken down, nothing is there.
        drop(Lab::down(self.0));
    }
}

impl Door {
    pub(crate) fn command(&self, words: &[&str]) -> anyhow::Result<Command> {
        build();
        let mut command = Command::new(daemon::program("faros-lab")?);
        command.args(["--name", self.0]).args(words).current_dir(root());
        Ok(command)
    }

    fn output(&self, words: &[&str]) -> anyhow::Result<Output> {
        Ok(self.command(words)?.output()?)
    }

    /// What it printed; it must succeed.
    pub(crate) fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.output(words)?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{words:?}: {}: {said}", output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// It ends with this code, and says this.
    pub(crate) fn check(&self, words: &[&str], code: i32, says: &str) -> anyhow::Result<()> {
        judge(&mut self.command(words)?, code, says)
    }

    fn status(&self) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.run(&["status", "--output", "json"])?)?)
    }

    /// The daemon's process, as the status has it.
    fn farosd(&self) -> anyhow::Result<Option<u64>> {
        Ok(self.status()?["farosdPid"].as_u64())
    }

    /// How many of three pings were answered, and the least time that one took, in milliseconds.
    fn ping(&self, from: &str, to: &str) -> anyhow::Result<(usize, f64)> {
        let ping = [
            "exec", from, "--", "ping", "-n", "-c", "3", "-i", "0.2", "-W", "3", to,
        ];
        let output = self.output(&ping)?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let times = said
            .lines()
            .filter_map(|line| line.split_once(" time=")?.1.strip_suffix(" ms")?.parse().ok());
        let times: Vec<f64> = times.collect();
        Ok((times.len(), times.iter().copied().fold(f64::INFINITY, f64::min)))
    }

    fn carrier(&self, host: &str, interface: &str) -> anyhow::Result<bool> {
        let said = self.run(&["exec", host, "--", "ip", "link", "show", "dev", interface])?;
        Ok(!said.contains("NO-CARRIER"))
    }
}

/// The command ends with this code, and says this.
pub(crate) fn judge(command: &mut Command, code: i32, says: &str) -> anyhow::Result<()> {
    let output = command.output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    ensure!(
        output.status.code() == Some(code) && said.contains(says),
        "{command:?}: {}, not {code} with `{says}`:\n{said}",
        output.status
    );
    Ok(())
}

#[test]
fn a_lab_does_what_its_program_is_told() -> anyhow::Result<()> {
    let door = Door("t-doors");
    door.check(&["status"], 1, "no lab called t-doors is up")?;
    door.check(
        &["up", "nowhere.yaml"],
        1,
        "cannot read the site file nowhere.yaml",
    )?;
    door.check(&["up", "Cargo.toml"], 1, "the site file has problems")?;
    door.check(
        &["up", "examples/demo.yaml"],
        0,
        "The lab t-doors is up: the bastion has 192.168.8.1",
    )?;
    door.check(
        &["up", "examples/demo.yaml"],
        1,
        "a lab called t-doors is up already",
    )?;
    door.check(&["list"], 0, "t-doors\n")?;
    for (words, code, says) in [
        (&["farosctl", "status"][..], 0, "harbour-7"),
        (&["farosctl", "--nonsense"], 2, "--nonsense"),
        (
            &["exec", "bastion", "--", "sh", "-c", "hostname; exit 7"],
            7,
            "bastion",
        ),
        (
            &["exec", "uplink", "--", "ip", "-br", "address"],
            0,
            "203.0.113.1/24",
        ),
        (&["exec", "nobody", "--", "true"], 1, "there is no host `nobody`"),
        (
            &["exec", "client:One", "--", "true"],
            1,
            "is no name for a client",
        ),
        (
            &[
                "exec",
                "client:two=52:54:00:08:09:02",
                "--",
                "ip",
                "link",
                "show",
                "eth0",
            ],
            0,
            "52:54:00:08:09:02",
        ),
        (
            &["exec", "client:two=52:54:00:08:09:03", "--", "true"],
            1,
            "has another MAC already",
        ),
    ] {
        door.check(words, code, says)?;
    }
    tells_of_itself(&door)?;
    works_its_daemon(&door)?;
    has_cables(&door)?;
    takes_no_nonsense(&door)?;

    let folder = door.status()?["folder"].as_str().context("no folder")?.to_owned();
    door.check(&["down"], 0, "")?;
    assert!(!door.run(&["list"])?.lines().any(|name| name == "t-doors"));
    assert!(!Path::new(&folder).exists());
    assert!(!run("ip", &["netns", "list"])?.contains("faros-t-doors-"));
    // There is nothing to be taken down, which is what was wanted.
    door.check(&["down"], 0, "")
}

fn tells_of_itself(door: &Door) -> anyhow::Result<()> {
    let status = door.status()?;
    let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(text("name"), "t-doors");
    assert_eq!(
        text("siteFile"),
        root().join("examples/demo.yaml").display().to_string()
    );
    assert_eq!(text("bastionAddress"), "192.168.8.1");
    assert!(
        Path::new(&text("stateDir")).join("faros.db").is_file(),
        "{status}"
    );
    assert!(Path::new(&text("socket")).exists(), "{status}");
    assert!(Path::new(&text("log")).is_file(), "{status}");
    let pid = status["farosdPid"].as_u64().context("it does not run")?;
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim(), "farosd");
    assert_eq!(status["hosts"]["client:two"]["interface"], "eth0");
    assert_eq!(status["hosts"]["client:two"]["mac"], "52:54:00:08:09:02");

    let said = door.run(&["status"])?;
    for own in [
        "t-doors".to_owned(),
        text("stateDir"),
        text("socket"),
        format!("process {pid}"),
        "client:two in faros-t-doors-c.two (eth0)".to_owned(),
    ] {
        assert!(said.contains(&own), "no `{own}` in\n{said}");
    }
    Ok(())
}

fn works_its_daemon(door: &Door) -> anyhow::Result<()> {
    door.check(&["farosd", "start"], 1, "farosd runs already")?;
    for (what, runs) in [
        ("restart", true),
        ("kill", false),
        ("start", true),
        ("stop", false),
        ("restart", true),
    ] {
        let before = door.farosd()?;
        door.check(&["farosd", what], 0, "")?;
        let after = door.farosd()?;
        assert_eq!(after.is_some(), runs, "after {what}");
        assert!(after != before, "{what} of {before:?}");
        if runs {
            door.check(&["farosctl", "status"], 0, "harbour-7")?;
        } else {
            door.check(&["status"], 0, "does not run")?;
            door.check(&["farosctl", "status"], 5, "no farosd answers")?;
        }
    }
    Ok(())
}

fn has_cables(door: &Door) -> anyhow::Result<()> {
    for (host, address) in [
        ("client:one", "192.168.8.201/24"),
        ("client:two", "192.168.8.202/24"),
    ] {
        door.run(&["exec", host, "--", "ip", "address", "add", address, "dev", "eth0"])?;
    }
    // A host beside another on the switch, and the bastion's way out.
    for (host, from, to, far) in [
        (
            "client:one",
            "client:two",
            "192.168.8.201",
            ("client:one", "eth0"),
        ),
        ("uplink", "bastion", "203.0.113.1", ("bastion", "uplink0")),
    ] {
        let ping = || door.ping(from, to);
        assert_eq!(ping()?.0, 3, "{host}");
        door.run(&["link", host, "--delay", "150ms"])?;
        let (answered, least) = ping()?;
        // There and back.
        assert!(
            answered == 3 && least >= 300.0,
            "{host}: {answered} after {least} ms"
        );
        door.run(&["link", host, "--loss", "100%"])?;
        assert_eq!(ping()?.0, 0, "{host}");
        // What is not said stays.
        door.run(&["link", host, "--loss", "0%"])?;
        let (answered, least) = ping()?;
        assert!(
            answered == 3 && least >= 300.0,
            "{host}: {answered} after {least} ms"
        );
        door.run(&["link", host, "--delay", "0ms"])?;
        assert_eq!(ping()?.0, 3, "{host}");

        door.run(&["link", host, "--mtu", "1300"])?;
        let (far_host, interface) = far;
        let said = door.run(&["exec", far_host, "--", "ip", "link", "show", "dev", interface])?;
        assert!(said.contains("mtu 1300"), "{said}");

        door.run(&["link", host, "--down"])?;
        assert!(!door.carrier(far_host, interface)?, "{host}");
        door.run(&["link", host, "--up"])?;
        assert!(door.carrier(far_host, interface)?, "{host}");
        assert_eq!(ping()?.0, 3, "{host}");
    }
    Ok(())
}

fn takes_no_nonsense(door: &Door) -> anyhow::Result<()> {
    for (words, code, says) in [
        (
            &["link", "client:one", "--loss", "much"][..],
            2,
            "is no percentage",
        ),
        (&["link", "client:one", "--loss", "101%"], 2, "use 0% to 100%"),
        (&["link", "client:one", "--delay", "50"], 2, "has no unit"),
        (
            &["link", "client:one", "--up", "--down"],
            2,
            "cannot be used with",
        ),
        (&["link", "nobody", "--down"], 1, "there is no host `nobody`"),
        (
            &["farosd", "reload"],
            2,
            "possible values: stop, kill, start, restart",
        ),
        (&["machine", "node-9", "start"], 1, "the site has no node node-9"),
        (
            &["machine", "node-9", "wait", "ready"],
            1,
            "the site has no node node-9",
        ),
        (
            &["machine", "node-1", "wait", "provisoning"],
            2,
            "possible values: expected, netbooting, provisioning, installed, unlocked, joined, ready, local-boot, failed",
        ),
        (
            &["machine", "node-1", "wait", "netbooting", "--timeout", "0"],
            1,
            "was not seen netbooting since it was powered on, within 0 s: it is expected",
        ),
        (&["machine", "node-1", "wait", "expected"], 0, ""),
    ] {
        door.check(words, code, says)?;
    }
    Ok(())
}
