//! Why a build failed, and what to do about it.

use std::{io, path::PathBuf, process::ExitStatus};

use faros_model::kubernetes::KubeVersion;

/// Why a release could not be built. What was finished before is kept for the next try.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The lock file has no such release.
    #[error("Kubernetes {version} is not in the lock file; it has {known}")]
    UnknownVersion {
        /// What was asked for.
        version: KubeVersion,
        /// What there is.
        known: String,
    },
    /// The lock file, which is part of this program, is wrong.
    #[error("the lock file is broken: {0}")]
    Lock(String),
    /// There is no Go.
    #[error("`{0}` is not installed, and the programs of Kubernetes are built with Go")]
    NoGo(String),
    /// Go is too old.
    #[error("Go is of version {found}; {needed} or newer is needed")]
    OldGo {
        /// What is installed.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// A program or a library is missing.
    #[error("{what} is not installed; install the Debian package {package}")]
    Tool {
        /// What is missing.
        what: &'static str,
        /// Its package.
        package: &'static str,
    },
    /// Modules cannot be fetched.
    #[error("cannot fetch the Go modules of {what}: {said}")]
    NoNetwork {
        /// Of which program.
        what: String,
        /// What Go said.
        said: String,
    },
    /// The disk is full, or will be.
    #[error("{} has {free} MB free, and this needs {needed} MB", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What is free, in megabytes.
        free: u64,
        /// What is needed, in megabytes.
        needed: u64,
    },
    /// The program is not what this version of Go made of the same sources before.
    #[error("{program} has digest {found} and not {expected}, which {go} makes of the same sources")]
    OtherDigest {
        /// The program.
        program: String,
        /// What the lock file says.
        expected: String,
        /// What came out.
        found: String,
        /// The version of Go.
        go: String,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// The program, and what it was about.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// Its last words.
        said: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl BuildError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoGo(_) | Self::OldGo { .. } => {
                Some("install Go from https://go.dev/dl, or name another `go` with --go")
            }
            Self::NoNetwork { .. } => Some("GOPROXY names a module proxy that this machine can reach"),
            Self::NoSpace { .. } => {
                Some("--cache-dir puts what is kept onto another disk, GOCACHE what Go keeps")
            }
            Self::OtherDigest { .. } => Some("is this Go as its makers published it?"),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                Some("make room, and start it again; what is finished is kept")
            }
            _ => None,
        }
    }
}

/// Names a file in an error.
pub(crate) fn at(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::File { what, path, source }
}
