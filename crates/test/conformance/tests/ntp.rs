//! chronyd and ntpdate against a real farosd, and a real chronyd as its source beyond the uplink. The
//! clock is this machine's: every program here is told to leave it alone.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use faros_conformance::{Running, Site, changed};
use faros_model::api::{Status, TimeState, TimeStatus};

const CLIENT: &str = "client:one=52:54:00:08:00:02";

/// A chronyd that says that this machine's clock is right. Ends with the test.
fn upstream(site: &mut Site) -> anyhow::Result<Running> {
    let folder = site.lab.folder().path().join("chrony");
    fs::create_dir_all(&folder)?;
    let config = folder.join("chrony.conf");
    let text = format!(
        "local stratum 3\nallow\nport 123\ncmdport 0\nbindcmdaddress /\npidfile {0}/pid\nuser root\n",
        folder.display()
    );
    fs::write(&config, text)?;
    // `-x`: does not touch the clock; `-d`: stays in the foreground, so that its end can be had.
    let config = config.display().to_string();
    let mut command = site
        .lab
        .command("uplink", &["chronyd", "-x", "-d", "-f", &config])?;
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(Running(child.spawn().context("cannot start chronyd")?))
}

/// Applies the demo's site with these lines for its time.
fn with_time(site: &Site, lines: &str) -> anyhow::Result<()> {
    let time = format!("  time: {lines}\n  nodeDefaults:");
    let text = changed("demo", &[("  nodeDefaults:", &time)])?;
    site.lab.apply(&site.file(&text)?)
}

fn time(site: &Site) -> anyhow::Result<TimeStatus> {
    let (said, code) = site.farosctl(&["time", "--output", "json"])?;
    ensure!(code == 0, "{said}");
    Ok(serde_json::from_str(&said)?)
}

fn wait_for(site: &Site, state: TimeState, patience: u64) -> anyhow::Result<TimeStatus> {
    let deadline = Instant::now() + Duration::from_secs(patience);
    loop {
        let status = time(site)?;
        if status.state == state {
            return Ok(status);
        }
        if Instant::now() > deadline {
            bail!("not {state:?} after {patience} s: {status:?}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn counter(site: &Site, name: &str) -> anyhow::Result<u64> {
    let (said, _) = site.farosctl(&["status", "--output", "json"])?;
    let status: Status = serde_json::from_str(&said)?;
    let ntp = status.services.iter().find(|own| own.service.as_str() == "ntp");
    let ntp = ntp.context("there is a time service")?;
    Ok(ntp.counters.get(name).copied().unwrap_or(0))
}

fn client(name: &str) -> anyhow::Result<Site> {
    let mut site = Site::up(name)?;
    site.run(CLIENT, &["dhclient", "-4", "-1", "eth0"])?;
    Ok(site)
}

/// One look at the server by chronyd, which sets nothing.
fn chronyd(site: &mut Site) -> anyhow::Result<String> {
    let words = [
        "chronyd",
        "-Q",
        "-t",
        "15",
        "-f",
        "/dev/null",
        "server 192.168.8.1 iburst",
    ];
    site.said(CLIENT, &words)
}

#[test]
fn chronyd_and_ntpdate_take_the_time_of_a_bastion_that_has_a_source() -> anyhow::Result<()> {
    let mut site = client("t-ntp")?;
    let _upstream = upstream(&mut site)?;
    with_time(&site, "{sources: [{server: 203.0.113.1}]}")?;
    let status = wait_for(&site, TimeState::Synchronized, 20)?;
    assert_eq!(status.stratum, Some(4), "one more than the source's");
    assert_eq!(status.sources[0].state, "best");
    assert_eq!(status.kept_by, "nobody", "a lab leaves the clock alone");
    // They have one clock. However late an answer is, it is off by no more than half of its way (RFC 5905 section 8).
    let most = status.root_delay / 2.0 + 0.001;
    ensure!(
        status.offset.is_some_and(|offset| offset.abs() < most),
        "{status:?}"
    );

    let mut tries = 1;
    loop {
        let said = chronyd(&mut site)?;
        let (_, wrong) = said.split_once("System clock wrong by ").context(said.clone())?;
        let wrong = wrong
            .split_whitespace()
            .next()
            .context("chronyd tells a number")?;
        if wrong.parse::<f64>()?.abs() < 0.01 {
            break;
        }
        // Its answers may all have been late on a machine that is busy.
        ensure!(tries < 5, "{said}");
        tries += 1;
    }

    // `-q`: asks only.
    let said = site.said(CLIENT, &["ntpdate", "-q", "192.168.8.1"])?;
    ensure!(said.contains("192.168.8.1 s4 no-leap"), "{said}");

    let (screen, code) = site.farosctl(&["time"])?;
    ensure!(
        code == 0 && screen.contains("synchronized") && screen.contains("203.0.113.1"),
        "{screen}"
    );
    Ok(())
}

#[test]
fn without_a_source_the_bastion_says_that_it_is_an_orphan_and_its_nodes_agree() -> anyhow::Result<()> {
    let mut site = client("t-ntp-orphan")?;
    let source = upstream(&mut site)?;
    with_time(&site, "{sources: [{server: 203.0.113.1}], orphanStratum: 12}")?;
    wait_for(&site, TimeState::Synchronized, 20)?;
    drop(source);
    // A daemon that remembers no answer gives its source four questions.
    site.kill_and_start()?;
    let (screen, _) = site.farosctl(&["status"])?;
    let row = screen.lines().find(|line| line.trim_start().starts_with("ntp"));
    ensure!(
        row.is_some_and(|row| row.contains("NOT SYNCHRONIZED")),
        "ready to answer is not sure of the time: {screen}"
    );
    let early = time(&site)?;
    assert_eq!(
        early.state,
        TimeState::Unsynchronized,
        "it claims nothing before it has asked"
    );
    let status = wait_for(&site, TimeState::Orphan, 30)?;
    assert_eq!(
        (status.stratum, status.sources[0].state.as_str()),
        (Some(12), "unreachable")
    );
    let said = chronyd(&mut site)?;
    ensure!(
        said.contains("System clock wrong by"),
        "the site agrees with itself: {said}"
    );
    let said = site.said(CLIENT, &["ntpdate", "-q", "192.168.8.1"])?;
    ensure!(said.contains("192.168.8.1 s12"), "{said}");
    // It comes back by itself.
    let _upstream = upstream(&mut site)?;
    let status = wait_for(&site, TimeState::Synchronized, 90)?;
    assert_eq!(status.stratum, Some(4));
    Ok(())
}

#[test]
fn control_messages_garbage_floods_and_outsiders_get_no_more_than_they_should() -> anyhow::Result<()> {
    let mut site = client("t-ntp-bad")?;
    // mode 6 readvar, mode 7 monlist, symmetric, short, garbage: one of each, and what came back.
    let script = r#"
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
q = bytes([0x23, 0, 6, 0xec]) + bytes(36) + b"12345678"
def ask(b):
    s.sendto(b, ("192.168.8.1", 123))
    try:
        return s.recv(2048)
    except TimeoutError:
        return None
for name, b in [("readvar", bytes([0x16, 2, 0, 1]) + bytes(8)), ("monlist", bytes([0x17, 0, 3, 0x2a]) + bytes(4)),
                ("symmetric", bytes([0x21]) + q[1:]), ("short", q[:47]), ("garbage", b"\x68" * 60), ("mac", q + bytes(20))]:
    print(name, ask(b))
print("good", len(ask(q)), len(ask(q + bytes(400))))
kinds = {}
s.settimeout(0.05)
for _ in range(300):
    a = ask(q)
    kind = "none" if a is None else a[12:16].decode() if a[1] == 0 else "time"
    kinds[kind] = kinds.get(kind, 0) + 1
print(kinds["time"] <= 90, 1 <= kinds["RATE"] <= 20, kinds["none"] > 150)
"#;
    let said = site.run(CLIENT, &["python3", "-c", script])?;
    assert_eq!(
        said,
        "readvar None\nmonlist None\nsymmetric None\nshort None\ngarbage None\nmac None\ngood 48 48\nTrue True True\n"
    );
    for (name, n) in [
        ("ntp_control", 2),
        ("ntp_no_question", 2),
        ("ntp_malformed", 1),
        ("ntp_authenticated", 1),
    ] {
        assert_eq!(counter(&site, name)?, n, "{name}");
    }

    site.run(
        "uplink",
        &["ip", "route", "add", "192.168.8.0/24", "via", "203.0.113.2"],
    )?;
    let said = site.said("uplink", &["ntpdate", "-q", "-t", "1", "192.168.8.1"])?;
    ensure!(!said.contains("192.168.8.1 s"), "{said}");
    // The router drops it before the time service would count an outsider.
    assert_eq!(counter(&site, "ntp_outsider").unwrap_or(0), 0);
    Ok(())
}

#[test]
fn a_source_that_is_not_sure_of_its_own_time_is_not_believed() -> anyhow::Result<()> {
    let mut site = client("t-ntp-honest")?;
    let folder = site.lab.folder().path().join("chrony");
    fs::create_dir_all(&folder)?;
    // No `local`: this one has no source and says so.
    let config = folder.join("chrony.conf").display().to_string();
    fs::write(
        &config,
        format!(
            "allow\nport 123\ncmdport 0\nbindcmdaddress /\npidfile {}/pid\nuser root\n",
            folder.display()
        ),
    )?;
    let mut command: Command = site
        .lab
        .command("uplink", &["chronyd", "-x", "-d", "-f", &config])?;
    let _unsure = Running(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    with_time(&site, "{sources: [{server: 203.0.113.1}]}")?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while time(&site)?.sources[0].state != "unsynchronized" {
        ensure!(Instant::now() < deadline, "{:?}", time(&site)?);
        std::thread::sleep(Duration::from_millis(200));
    }
    let status = time(&site)?;
    assert_eq!((status.state, status.stratum), (TimeState::Orphan, Some(10)));
    Ok(())
}
