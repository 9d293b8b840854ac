//! Control groups of native nodes, after the node.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};

/// Removes what a node had in every tree of control groups.
pub(super) fn remove(group: &str) -> anyhow::Result<()> {
    let trees = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    let trees = trees.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (tree, kind) = (words.next()?, words.next()?);
        matches!(kind, "cgroup" | "cgroup2").then(|| Path::new(tree).join(group))
    });
    // A process that is on its way out keeps its group for a moment.
    let deadline = Instant::now() + Duration::from_secs(20);
    for own in trees {
        while own.is_dir() {
            remove_tree(&own);
            ensure!(
                !own.is_dir() || Instant::now() < deadline,
                "{} does not go away",
                own.display()
            );
            if own.is_dir() {
                thread::sleep(Duration::from_millis(50));
            }
        }
        // Fails while other nodes have theirs, which is right.
        drop(own.parent().map(fs::remove_dir));
    }
    Ok(())
}

/// Only the folders of control groups can be removed, from the leaves on.
fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    drop(fs::remove_dir(group));
}
