//! Each file in `testdata/bad` is refused with exactly the report beside it, and each in `testdata/warned`
//! is accepted with exactly those warnings. `UPDATE_EXPECT=1` writes the reports anew.

use std::{
    fs,
    path::{Path, PathBuf},
};

use expect_test::expect;
use faros_site::{Severity, load, report};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(folder);
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = all
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    files
}

/// Compares a file's report with the one that is held; says how they differ.
fn differs(path: &Path, report: &str) -> Option<String> {
    let held_at = path.with_extension("report");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&held_at, report).unwrap();
        return None;
    }
    let held = fs::read_to_string(&held_at).unwrap_or_default();
    (held != report).then(|| format!("{}: held\n{held}\nbut now\n{report}", path.display()))
}

#[test]
fn bad_files_are_refused_with_the_expected_report() {
    let files = files("bad");
    assert!(files.len() >= 60, "only {} bad files", files.len());
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            match load(&text) {
                Ok(_) => Some(format!("{name} is accepted")),
                Err(problems) => differs(path, &report(Severity::Error, &problems.problems, name, &text)),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unusual_files_are_accepted_with_the_expected_warnings() {
    let wrong: Vec<String> = files("warned")
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            match load(&text) {
                Ok(loaded) => differs(path, &report(Severity::Warning, &loaded.warnings, name, &text)),
                Err(problems) => Some(report(Severity::Error, &problems.problems, name, &text)),
            }
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The codes are a promise to scripts: each is listed on the reference page, and each is shown by a file.
#[test]
fn every_code_of_the_reference_page_is_shown_by_a_file() {
    let page = faros_site::reference_page();
    let (_, codes) = page.split_once("| code |").unwrap();
    let codes: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let reports = files("bad").into_iter().chain(files("warned"));
    let shown: String = reports
        .map(|path| fs::read_to_string(path.with_extension("report")).unwrap())
        .collect();
    let missing: Vec<&str> = codes
        .into_iter()
        // Too large for the repository, see `hostile.rs`; and one that no file shows without the cluster that there is.
        .filter(|code| !["file-too-large", "version-skew"].contains(code))
        .filter(|code| !shown.contains(&format!("[{code}]")))
        .collect();
    assert!(missing.is_empty(), "no file shows {missing:?}");
}

#[test]
fn a_version_that_the_cluster_cannot_become_is_shown_where_it_stands() {
    let text = include_str!("../../../../../examples/branch-office.yaml");
    let problems = faros_site::refused_version(text, "v1.34.2 is older than v1.35.4").problems;
    let line = text
        .lines()
        .position(|line| line.contains("version: v1.34.2"))
        .unwrap()
        + 1;
    assert_eq!(usize::try_from(problems[0].line).unwrap(), line);
    assert_eq!(problems[0].code, "version-skew");
    assert_eq!(problems[0].path, "spec.cluster.version");
}

#[test]
fn problems_are_json_as_the_design_says() {
    let text = include_str!("../../testdata/bad/unknown-key-misspelt.yaml");
    let problems = load(text).unwrap_err();
    let json = serde_json::to_value(&problems).unwrap();
    expect![[r#"
        {
          "code": "unknown-key",
          "line": 7,
          "column": 3,
          "path": "spec.sshAuthorisedKeys",
          "message": "`spec` has no key `sshAuthorisedKeys`",
          "hint": "did you mean `sshAuthorizedKeys`?"
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&json["problems"][0]).unwrap());
    assert_eq!(json["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn warnings_come_with_a_refusal_too() {
    let text =
        include_str!("../../testdata/warned/disk-by-kernel-name.yaml").replace("name: kiosk", "name: Kiosk");
    let problems = load(&text).unwrap_err();
    assert_eq!(problems.problems.len(), 1);
    assert!(
        problems
            .warnings
            .iter()
            .any(|warning| warning.code == "unstable-disk-name")
    );
}
