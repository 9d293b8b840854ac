//! Clusters of other sizes: a single node that is all there is, and three control planes with two workers.

use std::{fs, io::Write as _, path::Path};

use anyhow::Context as _;
use faros_conformance::{Site, root};
use faros_lab::daemon;

use crate::world::{bring_up, kubectl, tell, with_bastion};

/// A site with so many control planes and workers, after the example.
pub(crate) fn site_file(controls: usize, workers: usize) -> anyhow::Result<tempfile::NamedTempFile> {
    let example = fs::read_to_string(root().join("examples/cluster.yaml"))?;
    let (above, _) = example
        .split_once("  nodes:\n")
        .context("the example has nodes")?;
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
    writeln!(file, "{above}  nodes:")?;
    for number in 1..=controls + workers {
        let roles = if number <= controls {
            "control-plane, worker"
        } else {
            "worker"
        };
        writeln!(
            file,
            "    - name: node-{number}\n      roles: [{roles}]\n      bootMac: \"52:54:00:08:00:0{number}\""
        )?;
    }
    Ok(file)
}

fn comes_up(name: &str, controls: usize, workers: usize) -> anyhow::Result<()> {
    let file = site_file(controls, workers)?;
    let names: Vec<String> = (1..=controls + workers).map(|n| format!("node-{n}")).collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    with_bastion(name, file.path(), |site| {
        bring_up(site, &nodes)?;
        tell(&kubectl(site, &["get", "nodes", "-o", "wide"])?);
        for node in &nodes {
            tell(&format!("{node} takes {} MiB", memory_of(site, node)? >> 20));
        }
        let farosd = daemon::pid(site.lab.folder()).context("farosd does not run")?;
        tell(&format!(
            "farosd takes {} MiB",
            proportional(Path::new(&format!("/proc/{farosd}"))) >> 20
        ));
        Ok(())
    })
}

#[test]
#[ignore = "takes some minutes: make cluster"]
fn a_single_node_is_a_cluster() -> anyhow::Result<()> {
    comes_up("t-cluster-1", 1, 0)
}

#[test]
#[ignore = "takes some minutes: make cluster"]
fn five_nodes_are_a_cluster() -> anyhow::Result<()> {
    comes_up("t-cluster-5", 3, 2)
}

/// Memory of all programs of a node in bytes, what they share counted in parts.
fn memory_of(site: &Site, node: &str) -> anyhow::Result<u64> {
    let group = format!("/faros-lab/{}-{node}", site.lab.name());
    let is_own =
        |process: &Path| fs::read_to_string(process.join("cgroup")).is_ok_and(|all| all.contains(&group));
    let all = fs::read_dir("/proc")?.flatten().map(|entry| entry.path());
    Ok(all
        .filter(|path| is_own(path))
        .map(|path| proportional(&path))
        .sum())
}

/// What a process takes of the memory, by its proportional set size.
fn proportional(process: &Path) -> u64 {
    let smaps = fs::read_to_string(process.join("smaps_rollup")).unwrap_or_default();
    let pss = smaps.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|own| own.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
