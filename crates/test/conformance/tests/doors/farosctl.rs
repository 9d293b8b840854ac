//! Commands of `farosctl` that need no daemon, that follow one, and that are interrupted.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, build, root};
use faros_lab::{daemon, run::run};
use serde_json::Value;

fn farosctl(words: &[&str]) -> anyhow::Result<Command> {
    build();
    let mut command = Command::new(daemon::program("farosctl")?);
    command
        .args(["--socket", "/nowhere/farosd.sock"])
        .args(words)
        .current_dir(root());
    Ok(command)
}

/// What it printed as its result; it must end with this code.
fn printed(words: &[&str], code: i32) -> anyhow::Result<String> {
    let output = farosctl(words)?.output()?;
    let (out, said) = (
        String::from_utf8(output.stdout)?,
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(
        output.status.code() == Some(code),
        "{words:?}: {}\n{out}{said}",
        output.status
    );
    Ok(out)
}

#[test]
fn a_site_file_is_checked_without_a_daemon() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (wrong, nothing) = (
        folder.path().join("wrong.yaml"),
        folder.path().join("nothing.yaml"),
    );
    let demo = fs::read_to_string(root().join("examples/demo.yaml"))?;
    fs::write(&wrong, demo.replacen("  uplink:\n", "  uplnk:\n", 1))?;
    let (wrong, nothing) = (wrong.display().to_string(), nothing.display().to_string());
    for (words, code, says) in [
        (
            &["check", "examples/demo.yaml"][..],
            0,
            "examples/demo.yaml: accepted",
        ),
        (&["check", &wrong], 3, "did you mean `uplink`?"),
        (&["check", &wrong], 3, "wrong.yaml: refused, with "),
        (&["check", &nothing], 1, ""),
        (&["check"], 2, ""),
        (&["status"], 5, ""),
    ] {
        let said = printed(words, code)?;
        ensure!(said.contains(says), "{words:?}: no `{says}` in\n{said}");
    }

    let json = |file: &str, code| -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&printed(
            &["check", file, "--output", "json"],
            code,
        )?)?)
    };
    assert_eq!(json("examples/demo.yaml", 0)?["problems"], serde_json::json!([]));
    let line = demo
        .lines()
        .position(|line| line == "  uplink:")
        .context("no uplink")?
        + 1;
    let problem = json(&wrong, 3)?["problems"][0].take();
    assert_eq!(
        (
            &problem["code"],
            &problem["line"],
            &problem["column"],
            &problem["path"]
        ),
        (
            &"unknown-key".into(),
            &line.into(),
            &3.into(),
            &"spec.uplnk".into()
        ),
        "{problem}"
    );
    Ok(())
}

#[test]
fn editors_and_shells_get_what_they_understand() -> anyhow::Result<()> {
    let schema: Value = serde_json::from_str(&printed(&["schema"], 0)?)?;
    for key in ["apiVersion", "kind", "metadata", "spec"] {
        ensure!(
            schema["properties"].get(key).is_some(),
            "no `{key}` in\n{schema:#}"
        );
    }
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("farosctl");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = printed(&["completion", shell], 0)?;
        ensure!(text.contains("timeline"), "{shell} knows no `timeline`");
        fs::write(&script, text)?;
        if shell == "bash" {
            let complete =
                "source \"$0\"; COMP_WORDS=(farosctl tim); COMP_CWORD=1; _farosctl farosctl tim farosctl
                echo \"${COMPREPLY[@]}\"";
            let said = run("bash", &["-c", complete, &script.display().to_string()])?;
            assert_eq!(said.trim(), "time timeline");
        }
    }
    printed(&["completion", "abacus"], 2).map(drop)
}

/// A command under way, which does not outlive its test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        // `timeout` hands it on, and cannot hand on what kills it.
        drop(run("kill", &["-TERM", &self.0.id().to_string()]));
        drop(self.0.wait());
    }
}

#[test]
fn whoever_watches_sees_what_happens_until_they_interrupt() -> anyhow::Result<()> {
    let site = Site::up("t-watch")?;
    let before = site.events()?;
    let last = before.last().context("nothing has happened")?.seq.to_string();
    let all = ["watch", "--output", "json", "--after", "0"];
    let one = ["watch", "--node", "node-2", "--after", &last];
    for (words, was, happens, comes) in [
        (all, "\"seq\":1,", &["disarm"][..], "\"kind\":\"node-disarmed\""),
        (one, "node-disarmed", &["install", "--yes"], "node-armed"),
    ] {
        // Whatever started this test may have the signal ignored.
        let farosctl = site.lab.farosctl_command()?;
        let mut command = Command::new("env");
        command
            // Who reads what it says would wait for one that hangs. It hands signals on.
            .args(["--default-signal=INT", "timeout", "--foreground", "--kill-after=10", "180"])
            .arg(farosctl.get_program());
        let watching = command
            .args(farosctl.get_args())
            .args(words)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut watching = Watching(watching);
        let mut lines = BufReader::new(watching.0.stdout.take().context("no output")?);
        let mut until = |says: &str| -> anyhow::Result<()> {
            loop {
                let mut line = String::new();
                ensure!(lines.read_line(&mut line)? > 0, "{words:?} ended before `{says}`");
                if words == all {
                    let event: Value = serde_json::from_str(&line)?;
                    for key in ["seq", "at", "kind", "detail"] {
                        ensure!(event.get(key).is_some(), "no `{key}` in {line}");
                    }
                }
                ensure!(words == all || !line.contains("node-1"), "{line}");
                if line.contains(says) {
                    return Ok(());
                }
            }
        };
        // What was, and what comes while they watch.
        until(was)?;
        for node in ["node-1", "node-2"] {
            let (said, code) = site.farosctl(&[happens, &[node]].concat())?;
            ensure!(code == 0, "{said}");
        }
        until(comes)?;
        run("kill", &["-INT", &watching.0.id().to_string()])?;
        lines.read_to_end(&mut vec![])?;
        assert_eq!(watching.0.wait()?.code(), Some(130), "{words:?}");
    }
    // What the daemon has not got is a failure like any other.
    let (said, code) = site.farosctl(&["show", "99"])?;
    assert_eq!(code, 1, "{said}");
    let (said, code) = site.farosctl(&["disarm", "node-9", "--output", "json"])?;
    assert_eq!(code, 1, "{said}");
    let said: Value = serde_json::from_str(&said)?;
    ensure!(said["error"]["message"].is_string(), "{said}");
    Ok(())
}
