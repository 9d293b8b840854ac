//! Sessions that lose their way by a change that nobody confirms, and get it back.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Running, Site, eventually};

use crate::world::{COUNTS, KEEPS_READING, Router};

/// An address of the uplink that the site file gives.
const GIVEN: &str = "203.0.113.3";

/// The demo's uplink with an address of its own, and ssh for whoever is beyond it.
fn uplink_at(address: &str) -> String {
    format!(
        "    addressing: {{address: {address}/24, gateway: 203.0.113.1}}
    trustedNetworks: [203.0.113.0/24]
    publish: [ssh]
"
    )
}

impl Router {
    fn uplink_has(&mut self, address: &str) -> anyhow::Result<bool> {
        let has = self.site.run(
            "bastion",
            &["ip", "-4", "-br", "address", "show", "dev", "uplink0"],
        )?;
        Ok(has.contains(&format!("{address}/24")))
    }
}

#[test]
fn a_session_that_loses_its_way_gets_it_back_and_so_does_whoever_comes_new() -> anyhow::Result<()> {
    let mut lab = Router::up("t-trial")?;
    lab.apply(&uplink_at(GIVEN))?;
    ensure!(lab.uplink_has(GIVEN)?);
    lab.python("bastion", &COUNTS.replace("7000", "22"))?;
    let path = lab.site.lab.folder().path().join("numbers");
    let reads = KEEPS_READING
        .replace("('203.0.113.1', 7000)", &format!("('{GIVEN}', 22)"))
        .replace("NUMBERS", &path.display().to_string());
    eventually("the server of the session listens", || {
        Ok(lab
            .site
            .run("bastion", &["ss", "-Hltn", "sport = :22"])?
            .contains(":22"))
    })?;
    lab.python("uplink", &reads)?;
    let numbers = || -> Vec<u64> {
        let text = fs::read_to_string(&path).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    let goes_on = |why: &str| {
        let before = numbers().len();
        eventually(why, || Ok(numbers().len() > before + 5))
    };
    goes_on("the session is there")?;

    let moved = lab.write(&uplink_at("203.0.113.4"))?;
    for (is_killed, times) in [(false, 1), (true, 2)] {
        let words = ["apply", "--yes", "--confirm-within", "5s", &moved];
        let (said, code) = lab.site.farosctl(&words)?;
        ensure!(code == 0 && said.contains("runs on trial"), "{code}: {said}");
        ensure!(
            said.contains("open a second one") && said.contains("confirm 3"),
            "{said}"
        );
        if is_killed {
            faros_lab::daemon::stop(lab.site.lab.folder(), true)?;
            ensure!(
                lab.uplink_has("203.0.113.4")? && !lab.uplink_has(GIVEN)?,
                "the session has lost its way"
            );
            faros_lab::daemon::start(lab.site.lab.name(), lab.site.lab.folder())?;
        }
        eventually("what ran before runs again", || {
            Ok(lab.uplink_has(GIVEN)? && !lab.uplink_has("203.0.113.4")?)
        })?;
        goes_on("the session goes on")?;
        eventually("it is told", || {
            let status = lab.site.farosctl(&["status", "--output", "json"])?.0;
            let events = lab.site.events()?;
            let told = events
                .iter()
                .filter(|event| event.kind.as_str() == "apply-reverted");
            Ok(status.contains("\"apply\":null") && told.count() == times)
        })?;
    }
    let all = numbers();
    let expected: Vec<u64> = (0..all.len() as u64).collect();
    assert_eq!(all, expected, "none lost, none twice");
    let (history, _) = lab.site.farosctl(&["history"])?;
    ensure!(
        history.lines().count() == 3,
        "only what is kept is a generation: {history}"
    );

    // The same change, by somebody who comes in by the new address and confirms.
    let (said, code) = lab.site.farosctl(&["apply", "--yes", &moved])?;
    ensure!(code == 0, "{said}");
    lab.serve("bastion", 9000)?;
    let (status, _) = lab.site.farosctl(&["status"])?;
    ensure!(status.contains("On trial    generation 3"), "{status}");
    let (said, code) = lab.site.farosctl(&["apply", "--yes", &moved])?;
    ensure!(
        code == 1 && said.contains("waits for a confirmation"),
        "{code}: {said}"
    );
    let (said, code) = lab.site.farosctl(&["confirm", "2"])?;
    ensure!(
        code == 1 && said.contains("another generation waits for a confirmation: 3"),
        "{code}: {said}"
    );
    let (said, code) = lab.site.farosctl(&["confirm", "3"])?;
    ensure!(code == 0 && said.contains("Generation 3 is accepted"), "{said}");
    let (said, code) = lab.site.farosctl(&["confirm"])?;
    ensure!(code == 1 && said.contains("no apply waits"), "{code}: {said}");
    ensure!(lab.uplink_has("203.0.113.4")? && !lab.uplink_has(GIVEN)?);
    Ok(())
}

/// farosctl on a terminal of its own, as `script` makes one.
struct Terminal {
    script: Running,
    log: std::path::PathBuf,
}

impl Terminal {
    fn open(site: &Site, args: &[&str]) -> anyhow::Result<Self> {
        let log = site.lab.folder().path().join("terminal");
        drop(fs::remove_file(&log));
        let mut command = site.lab.farosctl_command()?;
        command.args(args);
        let words: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let script = Command::new("script")
            .args(["-qefc", &words.join(" ")])
            .arg(&log)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run script")?;
        Ok(Self {
            script: Running(script),
            log,
        })
    }

    fn says(&self, words: &str) -> anyhow::Result<()> {
        eventually(words, || {
            Ok(fs::read_to_string(&self.log).unwrap_or_default().contains(words))
        })
    }

    fn answer(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.script.0.stdin.as_mut().context("no terminal")?;
        Ok(writeln!(stdin, "{line}")?)
    }
}

#[test]
fn on_a_terminal_it_is_asked_and_a_terminal_that_dies_is_no_answer() -> anyhow::Result<()> {
    let lab = Router::up("t-asked")?;
    let moved = lab.write(&uplink_at(GIVEN))?;
    let mut dies = Terminal::open(&lab.site, &["apply", "--confirm-within", "5s", &moved])?;
    dies.says("Carry this out? [y/N]")?;
    dies.answer("y")?;
    dies.says("runs on trial")?;
    drop(dies);
    eventually("it is taken back", || lab.site.saw("apply-reverted"))?;

    for (answer, last, code) in [
        ("no", "was taken back", 1),
        ("perhaps\nyes", "Generation 2 is accepted", 0),
    ] {
        let mut terminal = Terminal::open(&lab.site, &["apply", "--yes", &moved])?;
        terminal.says("open a second one")?;
        terminal.says("confirm 2` keeps it")?;
        terminal.says("keep it? [yes/no]")?;
        terminal.answer(answer)?;
        terminal.says(last)?;
        assert_eq!(terminal.script.0.wait()?.code(), Some(code));
    }
    Ok(())
}
