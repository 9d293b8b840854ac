//! The folder tree is the architecture: `app -> shell -> core -> model`, and `test` beside them all.
//!
//! A crate's folder below `crates/` declares its layer. The edges come from `cargo metadata`, the rules are
//! a pure function over them, and the whole list of edges is checked in, so that a new edge is a line in
//! the review. Each crate also has a row in the code map of ARCHITECTURE.md. What `model`
//! and `core` may not call (clocks, files, sockets) is held by their `clippy.toml`.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context as _, ensure};
use cargo_metadata::{DependencyKind, FeatureName, Metadata, MetadataCommand, Package, PackageId};

const EDGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/edges.txt");
const CODE_MAP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ARCHITECTURE.md");

/// Crates that bring the world with them, runtimes, sockets, files, randomness, logs: no crate of `model` or `core` may depend on one, even through
/// another library of the list's kind.
const WORLDLY: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "env_logger",
    "fern",
    "flexi_logger",
    "futures-executor",
    "getrandom",
    "hyper",
    "hyper-util",
    "inotify",
    "io-uring",
    "kube",
    "log",
    "mio",
    "nix",
    "polling",
    "reqwest",
    "rtnetlink",
    "rusqlite",
    "rustix",
    "sd-notify",
    "simplelog",
    "slog",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "tokio",
    "tracing",
    "tracing-core",
    "tracing-subscriber",
    "zbus",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Model,
    Core,
    Shell,
    App,
    Test,
}

/// One crate of the workspace depending on another crate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    /// Folder of the crate, such as `crates/core/dns`.
    from: String,
    /// Folder of the other crate, or `NAME` alone if it is none of ours.
    to: String,
}

/// `crates/<layer>/<name>`: the folder is the declaration.
fn layer_of(folder: &str) -> Option<Layer> {
    match folder.strip_prefix("crates/")?.split('/').next()? {
        "model" => Some(Layer::Model),
        "core" => Some(Layer::Core),
        "shell" => Some(Layer::Shell),
        "app" => Some(Layer::App),
        "test" => Some(Layer::Test),
        _ => None,
    }
}

/// Everything that the edges say against the rules, in words.
fn violations(edges: &BTreeSet<Edge>) -> Vec<String> {
    let protocol = |folder: &str| {
        let name = folder.strip_prefix("crates/core/");
        name.is_some_and(|name| matches!(name, "dhcp" | "dns" | "tftp" | "http" | "ntp" | "tang"))
    };
    edges
        .iter()
        .filter_map(|Edge { from, to }| {
            let layer = layer_of(from)?;
            let pure = layer <= Layer::Core;
            match layer_of(to) {
                Some(other) if other > layer => {
                    Some(format!("{from} must not know {to}: it is a layer above"))
                }
                Some(Layer::App) => Some(format!("{from} must not know {to}: nothing stands on an app")),
                Some(_) if protocol(from) && protocol(to) => Some(format!(
                    "{from} must not know {to}: protocols do not know each other"
                )),
                None if pure && WORLDLY.contains(&to.as_str()) => Some(format!(
                    "{from} must not know {to}: model and core do not touch the world"
                )),
                Some(_) | None => None,
            }
        })
        .collect()
}

/// The edges among the workspace's crates and from `model` and `core` to all they pull in; without
/// dev-dependencies, which ship nothing.
fn edges(metadata: &Metadata) -> anyhow::Result<BTreeSet<Edge>> {
    let root = metadata.workspace_root.as_str();
    let folder = |manifest: &str| {
        let manifest = manifest.strip_prefix(root)?.trim_start_matches('/');
        Some(manifest.trim_end_matches("/Cargo.toml").to_owned())
    };
    let resolve = metadata
        .resolve
        .as_ref()
        .context("cargo metadata gave no dependency graph")?;
    let normal_deps = |id: &PackageId| {
        let node = resolve.nodes.iter().find(|node| node.id == *id);
        let deps = node.into_iter().flat_map(|node| {
            let normal = node.deps.iter().filter(|dep| {
                dep.dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            normal.filter(|dep| is_had(&metadata[id], &node.features, &metadata[&dep.pkg].name))
        });
        deps.map(|dep| dep.pkg.clone()).collect::<Vec<_>>()
    };

    let mut found = BTreeSet::new();
    for package in metadata.workspace_packages() {
        let from = folder(package.manifest_path.as_str()).context("a member outside of the workspace")?;
        let pure = layer_of(&from).is_some_and(|layer| layer <= Layer::Core);
        let mut todo = normal_deps(&package.id);
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if !seen.insert(id.clone()) {
                continue;
            }
            let dep = &metadata[&id];
            match folder(dep.manifest_path.as_str()) {
                Some(to) => {
                    found.insert(Edge {
                        from: from.clone(),
                        to,
                    });
                }
                // What a pure crate's libraries pull in counts as the crate's own doing.
                None if pure => {
                    found.insert(Edge {
                        from: from.clone(),
                        to: dep.name.to_string(),
                    });
                    todo.extend(normal_deps(&id));
                }
                None => (),
            }
        }
    }
    Ok(found)
}

/// Whether a package with these features has a library indeed: the graph also has what a feature of it would set in
/// that library if it were there (`log?/std`).
fn is_had(package: &Package, features: &[FeatureName], library: &str) -> bool {
    let mut declared = package
        .dependencies
        .iter()
        .filter(|dep| dep.kind == DependencyKind::Normal && dep.name == library);
    let enabled = || {
        let features = features
            .iter()
            .filter_map(|feature| package.features.get(feature.as_str()));
        features.flatten().map(|what| what.trim_start_matches("dep:"))
    };
    declared.any(|dep| {
        let name = dep.rename.as_ref().unwrap_or(&dep.name);
        !dep.optional || enabled().any(|what| what.split('/').next() == Some(name))
    })
}

fn listing(edges: &BTreeSet<Edge>) -> String {
    let ours = edges.iter().filter(|edge| edge.to.contains('/'));
    let lines: Vec<String> = ours.map(|Edge { from, to }| format!("{from} -> {to}")).collect();
    lines.join("\n") + "\n"
}

/// The folders that the rows of a code map name in their first cell; `a/{b,c}` stands for `a/b` and `a/c`.
fn mapped(map: &str) -> BTreeSet<String> {
    let cells = map
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let mut folders = BTreeSet::new();
    for name in names {
        match name.strip_suffix('}').and_then(|name| name.split_once('{')) {
            Some((above, below)) => folders.extend(below.split(',').map(|last| format!("{above}{last}"))),
            None => drop(folders.insert(name.to_owned())),
        }
    }
    folders
}

/// Everything that a code map says otherwise than the workspace, whose crates are in `folders`, in words.
fn off_the_map(map: &str, folders: &BTreeSet<String>) -> Vec<String> {
    let mapped = mapped(map);
    let missing = folders
        .difference(&mapped)
        .map(|folder| format!("{folder} has no row"));
    let gone = mapped
        .difference(folders)
        .filter(|folder| folder.starts_with("crates/"))
        .map(|folder| format!("{folder} has a row, and is no crate"));
    missing.chain(gone).collect()
}

/// Checks the layers and the code map; with `update`, writes the list of edges instead of comparing it.
pub(crate) fn run(update: bool) -> anyhow::Result<()> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .exec()
        .context("cannot ask cargo")?;
    let edges = edges(&metadata)?;
    let wrong = violations(&edges);
    ensure!(
        wrong.is_empty(),
        "the layers are broken:\n  {}",
        wrong.join("\n  ")
    );

    let root = metadata.workspace_root.as_std_path();
    let folders = metadata.workspace_packages().into_iter().filter_map(|package| {
        let folder = package
            .manifest_path
            .parent()?
            .as_std_path()
            .strip_prefix(root)
            .ok()?;
        Some(folder.to_str()?.to_owned())
    });
    let map = fs::read_to_string(CODE_MAP).with_context(|| format!("cannot read {CODE_MAP}"))?;
    let wrong = off_the_map(&map, &folders.collect());
    ensure!(
        wrong.is_empty(),
        "the code map of ARCHITECTURE.md is not the workspace:\n  {}",
        wrong.join("\n  ")
    );

    let now = listing(&edges);
    if update {
        return fs::write(EDGES, now).with_context(|| format!("cannot write {EDGES}"));
    }
    let before = fs::read_to_string(EDGES).with_context(|| format!("cannot read {EDGES}"))?;
    ensure!(
        now == before,
        "the edges between crates are not those of {EDGES}; if the change is meant, run \
         `cargo run -p xtask -- layers --update`\n--- now ---\n{now}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(edges: &[(&str, &str)], expected: &[&str]) {
        let edges = edges
            .iter()
            .map(|(from, to)| Edge {
                from: (*from).into(),
                to: (*to).into(),
            })
            .collect();
        assert_eq!(violations(&edges), expected);
    }

    #[test]
    fn a_layer_may_know_its_own_and_those_below() {
        check(
            &[
                ("crates/app/farosd", "crates/shell/net"),
                ("crates/shell/net", "crates/core/dns"),
                ("crates/core/plan", "crates/core/site"),
                ("crates/core/dns", "crates/model/model"),
                ("crates/test/lab", "crates/shell/client"),
                ("crates/shell/net", "tokio"),
            ],
            &[],
        );
    }

    #[test]
    fn a_layer_must_not_know_those_above() {
        check(
            &[
                ("crates/core/dns", "crates/shell/net"),
                ("crates/shell/net", "crates/test/lab"),
            ],
            &[
                "crates/core/dns must not know crates/shell/net: it is a layer above",
                "crates/shell/net must not know crates/test/lab: it is a layer above",
            ],
        );
    }

    #[test]
    fn protocols_do_not_know_each_other() {
        check(
            &[("crates/core/dns", "crates/core/dhcp")],
            &["crates/core/dns must not know crates/core/dhcp: protocols do not know each other"],
        );
    }

    #[test]
    fn the_pure_layers_pull_in_no_runtime_and_no_log() {
        check(
            &[("crates/core/dns", "tokio"), ("crates/model/model", "log")],
            &[
                "crates/core/dns must not know tokio: model and core do not touch the world",
                "crates/model/model must not know log: model and core do not touch the world",
            ],
        );
    }

    const MAP: &str = "\
Some `crates/core/text`.

| folder | crate | what it is |
| --- | --- | --- |
| `crates/core/{dhcp,dns}` | `faros-dhcp`, … | the protocols |
| `crates/shell/net` | `faros-net` | beside `crates/core/plan` |
| `xtask`, `scripts` | | chores |
";

    fn check_map(folders: &[&str], expected: &[&str]) {
        let folders = folders.iter().map(|folder| (*folder).to_owned()).collect();
        assert_eq!(off_the_map(MAP, &folders), expected);
    }

    #[test]
    fn a_row_of_the_code_map_may_stand_for_several_crates() {
        check_map(
            &["crates/core/dhcp", "crates/core/dns", "crates/shell/net", "xtask"],
            &[],
        );
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_told() {
        check_map(
            &[
                "crates/core/dhcp",
                "crates/core/plan",
                "crates/shell/net",
                "xtask",
            ],
            &[
                "crates/core/plan has no row",
                "crates/core/dns has a row, and is no crate",
            ],
        );
    }

    #[test]
    fn the_workspace_keeps_its_layers() -> anyhow::Result<()> {
        run(false)
    }

    #[test]
    fn the_pure_layers_repeat_the_bans_of_the_root() -> anyhow::Result<()> {
        // The nearest clippy.toml replaces the others, so `core` must repeat what the root bans, and `model` has all
        // that `core` has.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("clippy.toml");
        let core = fs::read_to_string(root.with_file_name("crates/core/clippy.toml"))?;
        assert_eq!(
            fs::read_to_string(root.with_file_name("crates/model/clippy.toml"))?,
            core
        );
        let bans = |text: &str| -> BTreeSet<String> {
            text.lines()
                .map(str::trim)
                .filter(|line| line.starts_with("{ path"))
                .map(str::to_owned)
                .collect()
        };
        let (root, core) = (bans(&fs::read_to_string(root)?), bans(&core));
        assert!(!root.is_empty());
        assert!(
            root.is_subset(&core),
            "missing in core: {:?}",
            root.difference(&core)
        );
        Ok(())
    }
}
