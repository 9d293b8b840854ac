//! Kubernetes' own conformance checks, of the very version that runs, against a cluster of one control plane and two
//! workers.
//!
//! `upstream/build` makes the program and the images that the checks ask for, which the bastion gives like all others.
//! All checks of upstream's list run but those in `upstream/excluded`, which has a reason for each. `FAROS_CHECKS` may have
//! an expression that names must match, for a part of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};
use serde::Deserialize;

use crate::{
    sizes::site_file,
    world::{bring_up, tell, with_bastion},
};

/// How many checks run at once. Most of the time they wait.
const AT_ONCE: &str = "--procs=8";

/// Where the program stands on the node that runs it.
const FOLDER: &str = "/var/tmp/conformance";

/// A check, as `ginkgo` reports it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    #[serde(default)]
    leaf_node_text: String,
    leaf_node_type: String,
    state: String,
    #[serde(default)]
    num_attempts: u32,
    /// In nanoseconds.
    #[serde(default)]
    run_time: u64,
    #[serde(default)]
    failure: Option<Failure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    spec_reports: Vec<Check>,
}

impl Check {
    fn name(&self) -> String {
        let above = self.container_hierarchy_texts.iter().flatten();
        let words: Vec<&str> = above.chain([&self.leaf_node_text]).map(String::as_str).collect();
        words.join(" ")
    }
}

#[test]
#[ignore = "takes an hour: make conformance"]
fn a_cluster_passes_upstreams_own_checks() -> anyhow::Result<()> {
    let excluded = excluded()?;
    let built = suite()?;
    // The checks stay off the control plane.
    let file = site_file(1, 2)?;
    let text = fs::read_to_string(file.path())?;
    fs::write(
        file.path(),
        text.replace("[control-plane, worker]", "[control-plane]"),
    )?;
    with_bastion("t-conformance", file.path(), |site| {
        let images = built.join("images.tar").display().to_string();
        let (said, code) = site.farosctl(&["content", "add", "--oci", &images])?;
        ensure!(code == 0, "{said}");
        bring_up(site, &["node-1", "node-2", "node-3"])?;
        let begun = Instant::now();
        let part = std::env::var("FAROS_CHECKS").ok().filter(|own| !own.is_empty());
        let checks = run(site, &built, &excluded, part.as_deref())?;
        judge(&checks, &excluded, part.is_some())?;
        tell(&format!("they took {:.0} s", begun.elapsed().as_secs_f64()));
        Ok(())
    })
}

/// Checks that are left out, with the reason.
fn excluded() -> anyhow::Result<BTreeMap<String, String>> {
    let text = fs::read_to_string(root().join("crates/test/conformance/upstream/excluded"))?;
    let mut all = BTreeMap::new();
    let mut reason = "";
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        match line.strip_prefix("  ") {
            None => reason = line,
            Some(name) => ensure!(
                all.insert(name.to_owned(), reason.to_owned()).is_none(),
                "{name} is there twice"
            ),
        }
    }
    Ok(all)
}

/// Where all is that the checks need, built if it is not there.
fn suite() -> anyhow::Result<PathBuf> {
    let program = root().join("crates/test/conformance/upstream/build");
    let output = Command::new(program).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the checks cannot be built");
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

/// Runs them on the first node, as its administrator.
fn run(
    site: &Site,
    built: &Path,
    excluded: &BTreeMap<String, String>,
    part: Option<&str>,
) -> anyhow::Result<Vec<Check>> {
    let node = site.lab.native("node-1");
    let folder = node.path(FOLDER);
    fs::create_dir_all(&folder)?;
    for program in ["ginkgo", "e2e.test"] {
        fs::copy(built.join(program), folder.join(program))?;
    }
    let ginkgo = format!("{FOLDER}/ginkgo");
    let focus = format!(r"--focus=(?:{}).*\[Conformance\]", part.unwrap_or_default());
    let output_dir = format!("--output-dir={FOLDER}");
    let mut words = vec![
        ginkgo.as_str(),
        AT_ONCE,
        "--no-color",
        "--silence-skips",
        "--timeout=3h",
        "--flake-attempts=2",
        "--json-report=report.json",
        &output_dir,
        &focus,
    ];
    let skips: Vec<String> = excluded
        .keys()
        .map(|name| format!("--skip={}", literally(name)))
        .collect();
    words.extend(skips.iter().map(String::as_str));
    let program = format!("{FOLDER}/e2e.test");
    words.extend([
        &program,
        "--",
        "--provider=skeleton",
        "--kubeconfig=/etc/kubernetes/admin.conf",
    ]);
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance.log");
    tell(&format!("what the checks say is in {}", log.display()));
    let out = File::create(&log)?;
    let err = out.try_clone()?;
    // It fails if a check does, which is judged by the report.
    let status = node
        .command(&words)?
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .status()?;
    let report = fs::read_to_string(folder.join("report.json"));
    let report = report.with_context(|| format!("there is no report; ginkgo ended with {status}"))?;
    fs::write(log.with_extension("json"), &report)?;
    let report: Vec<Report> = serde_json::from_str(&report)?;
    let all = report.into_iter().flat_map(|own| own.spec_reports);
    Ok(all
        .filter(|own| own.leaf_node_type == "It" && own.name().contains("[Conformance]"))
        .collect())
}

/// A name as an expression that matches it alone.
fn literally(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if !letter.is_alphanumeric() && letter != ' ' && letter.is_ascii() {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

fn judge(checks: &[Check], excluded: &BTreeMap<String, String>, is_part: bool) -> anyhow::Result<()> {
    let names: BTreeSet<String> = checks.iter().map(Check::name).collect();
    for (name, reason) in excluded {
        ensure!(names.contains(name), "upstream has no check `{name}`");
        tell(&format!("left out: {name}: {reason}"));
    }
    let mut failures = String::new();
    let mut n_passed = 0;
    for check in checks {
        let name = check.name();
        match check.state.as_str() {
            "passed" => {
                n_passed += 1;
                if check.num_attempts > 1 {
                    tell(&format!("only the second time: {name}"));
                }
            }
            // One that skips itself says why.
            "skipped" if excluded.contains_key(&name) || is_part && check.failure.is_none() => (),
            state => {
                let why = check.failure.as_ref().map_or("", |own| own.message.as_str());
                let why: String = why.chars().take(600).collect();
                writeln!(failures, "{state}: {name}: {why}")?;
            }
        }
    }
    let spent: u64 = checks.iter().map(|own| own.run_time / 1_000_000_000).sum();
    tell(&format!(
        "{} checks are upstream's; {n_passed} passed, {} are left out; {spent} s of their time",
        checks.len(),
        excluded.len()
    ));
    ensure!(failures.is_empty(), "{failures}");
    ensure!(
        n_passed > 0 && (is_part || n_passed + excluded.len() == checks.len()),
        "{n_passed} checks have passed"
    );
    Ok(())
}
