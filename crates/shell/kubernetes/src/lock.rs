//! The lock file: which versions a release is made of, and the sums of all modules behind them.

use std::collections::BTreeMap;

use faros_model::{ids::Digest, kubernetes::KubeVersion};
use serde::{Deserialize, Serialize};

use crate::error::BuildError;

/// `lock/lock.json`. `scripts/kubernetes-lock` makes the files beside it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Lock {
    /// The oldest Go that builds it, such as `1.26.0`.
    pub(crate) go: String,
    /// What `go env GOVERSION` says of the Go that made the programs' digests.
    pub(crate) built_with: String,
    /// Stands wherever something has a date.
    pub(crate) date: jiff::Timestamp,
    /// The newest first.
    pub(crate) releases: Vec<LockedRelease>,
    pub(crate) modules: Vec<Module>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LockedRelease {
    pub(crate) version: KubeVersion,
    /// The version of `pause`, which is part of Kubernetes' own sources.
    pub(crate) pause: String,
    /// Folders of modules.
    pub(crate) modules: Vec<String>,
}

/// A Go module of ours that has no code: it pins what others' programs are built from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Module {
    /// Where its go.mod and go.sum are.
    pub(crate) folder: String,
    pub(crate) programs: Vec<Program>,
    /// Variables that the linker sets: `package.name=value`.
    #[serde(default)]
    pub(crate) stamps: Vec<String>,
    /// Build tags.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// Debian packages whose C code is linked in, statically; without any, there is no C.
    #[serde(default)]
    pub(crate) c: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) module: String,
    pub(crate) version: String,
    pub(crate) package: String,
    /// What the Go of `builtWith` makes of it. Not for those with C in them, as that depends on Debian's versions.
    #[serde(default)]
    pub(crate) sha256: Option<Digest>,
}

/// What decides about one release.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) go: String,
    pub(crate) built_with: String,
    pub(crate) date: jiff::Timestamp,
    pub(crate) release: LockedRelease,
    pub(crate) modules: Vec<Pinned>,
}

/// A module with the text of its files.
#[derive(Debug, Clone)]
pub(crate) struct Pinned {
    pub(crate) module: Module,
    pub(crate) go_mod: String,
    pub(crate) go_sum: String,
}

macro_rules! sums {
    ($($folder:literal),* $(,)?) => {
        &[$((
            $folder,
            include_str!(concat!("../lock/", $folder, "/go.mod")),
            include_str!(concat!("../lock/", $folder, "/go.sum")),
        )),*]
    };
}

const LOCK: &str = include_str!("../lock/lock.json");
const SUMS: &[(&str, &str, &str)] = sums![
    "kubernetes-v1.36.3",
    "kubernetes-v1.35.4",
    "etcd",
    "containerd",
    "runc",
    "cni",
    "coredns",
];

/// What the lock file has on a release; on the newest, if no version is given.
pub(crate) fn wanted(version: Option<KubeVersion>) -> Result<Wanted, BuildError> {
    let broken = |why: String| BuildError::Lock(why);
    let lock: Lock = serde_json::from_str(LOCK).map_err(|error| broken(error.to_string()))?;
    let known = || {
        let versions: Vec<String> = lock.releases.iter().map(|r| r.version.to_string()).collect();
        versions.join(", ")
    };
    let release = match version {
        None => lock.releases.first().cloned(),
        Some(version) => lock.releases.iter().find(|r| r.version == version).cloned(),
    };
    let Some(release) = release else {
        return Err(match version {
            Some(version) => BuildError::UnknownVersion {
                version,
                known: known(),
            },
            None => broken("it has no release".to_owned()),
        });
    };
    let mut modules: BTreeMap<String, Module> =
        lock.modules.into_iter().map(|m| (m.folder.clone(), m)).collect();
    let mut pinned = Vec::new();
    for folder in &release.modules {
        let sums = SUMS.iter().find(|(own, ..)| own == folder);
        let (Some(module), Some((_, go_mod, go_sum))) = (modules.remove(folder), sums) else {
            return Err(broken(format!("it has no module {folder}")));
        };
        pinned.push(Pinned {
            module,
            go_mod: (*go_mod).to_owned(),
            go_sum: (*go_sum).to_owned(),
        });
    }
    Ok(Wanted {
        go: lock.go,
        built_with: lock.built_with,
        date: lock.date,
        release,
        modules: pinned,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_release_of_the_lock_file_has_its_modules_and_their_sums() -> Result<(), BuildError> {
        let lock: Lock = serde_json::from_str(LOCK).map_err(|error| BuildError::Lock(error.to_string()))?;
        assert!(lock.releases.is_sorted_by(|a, b| a.version > b.version));
        for release in &lock.releases {
            let wanted = wanted(Some(release.version))?;
            for Pinned {
                module,
                go_mod,
                go_sum,
            } in wanted.modules
            {
                for program in module.programs {
                    let pin = format!("{} {}", program.module, program.version);
                    assert!(go_mod.contains(&pin), "{} of {}", pin, module.folder);
                    assert!(go_sum.contains(&pin), "{} of {}", pin, module.folder);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_version_that_is_not_locked_is_refused_with_those_that_are() {
        let version = KubeVersion { minor: 10, patch: 0 };
        let said = wanted(Some(version))
            .map(|_| ())
            .map_err(|error| error.to_string());
        assert!(said.is_err_and(|said| said.contains("v1.36.3")));
    }
}
