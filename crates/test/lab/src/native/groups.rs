//! Control groups of native nodes, after the node.

use std::{fs, path::Path};

use anyhow::Context as _;

/// Removes what a node had in every tree of control groups.
pub(super) fn remove(group: &str) -> anyhow::Result<()> {
    let trees = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    for line in trees.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(tree), Some(kind)) = (words.next(), words.next()) else {
            continue;
        };
        if matches!(kind, "cgroup" | "cgroup2") {
            remove_tree(&Path::new(tree).join(group));
        }
    }
    Ok(())
}

/// Only the folders of control groups can be removed, from the leaves on; a process that is still on its way out
/// keeps its own, which is removed with the next start or the lab.
fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    drop(fs::remove_dir(group));
}
