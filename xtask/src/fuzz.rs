//! Runs the fuzz targets, bounded in runs or in time.
//!
//! libFuzzer needs coverage counters in the code it drives. The compiler passes that plant them are part of
//! the stable toolchain; only the sanitizers need a nightly one, and safe Rust panics where C would corrupt.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};

/// What `cargo fuzz --sanitizer none` would pass.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Ccodegen-units=1 --cfg fuzzing";

/// How long the run is that is the same each time: a change fails for what it did, not by luck.
const FIXED_RUN: [&str; 2] = ["-seed=1", "-runs=30000"];

/// Runs each target whose name contains `only`: for `seconds`, or the same short run each time.
pub(crate) fn run(seconds: Option<u32>, only: &str) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fuzz");
    let target_dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    let target_dir = target_dir.join("fuzz");
    // With a target named, build scripts and macros are not compiled for fuzzing.
    let triple = "x86_64-unknown-linux-gnu";
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", triple, "--bins", "--target-dir"])
        .arg(&target_dir)
        .current_dir(&root)
        .env("RUSTFLAGS", COVERAGE)
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "the fuzz targets do not build");

    let mut names: Vec<String> = fs::read_dir(root.join("fuzz_targets"))
        .with_context(|| format!("cannot list the fuzz targets of {}", root.display()))?
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .filter(|name| name.contains(only))
        .collect();
    names.sort();
    ensure!(!names.is_empty(), "no fuzz target's name contains `{only}`");
    for name in names {
        let corpus = root.join("corpus").join(&name);
        let scratch = target_dir.join("finds").join(&name);
        let seeds = root.join("seeds").join(&name);
        let crashes = root.join("crashes").join(&name);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        fs::create_dir_all(&crashes).with_context(|| format!("cannot make {}", crashes.display()))?;
        let mut fuzzer = Command::new(target_dir.join(triple).join("release").join(&name));
        match seconds {
            // What earlier runs found is kept, and the start of this one.
            Some(seconds) => fuzzer.arg(&corpus).arg(format!("-max_total_time={seconds}")),
            // Finds go into the first folder; those of a fixed run are of no further use.
            None => {
                drop(fs::remove_dir_all(&scratch));
                fs::create_dir_all(&scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
                fuzzer.arg(&scratch).args(FIXED_RUN)
            }
        };
        fuzzer.args(seeds.exists().then_some(&seeds)).args([
            format!("-artifact_prefix={}/", crashes.display()),
            "-timeout=10".to_owned(),
            "-rss_limit_mb=1024".to_owned(),
            "-verbosity=0".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]);
        let output = fuzzer
            .output()
            .with_context(|| format!("cannot run the fuzz target {name}"))?;
        let talk = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{name} found a crash; see {}\n{talk}",
            crashes.display()
        );
        let runs = talk
            .lines()
            .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        report(&name, runs.unwrap_or("?").trim());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "a chore tells what it did")]
fn report(name: &str, runs: &str) {
    println!("fuzz {name}: {runs} runs, no crash");
}
