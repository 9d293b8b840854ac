//! Go: its version, building a program of a pinned module, and what a program was built from.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    error::{BuildError, at},
    lock::{Module, Pinned, Program},
    run::{last_words, output, text},
};

/// A Go toolchain that will do.
#[derive(Debug, Clone)]
pub(crate) struct Go {
    program: OsString,
    /// Such as `go1.26.8`.
    pub(crate) version: String,
}

/// Settings of every build: nothing that the operator's environment has decides about the outcome. Modules are
/// taken only by the sums that are pinned.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("GOFLAGS", "-mod=readonly"),
    ("GOTOOLCHAIN", "local"),
    ("GOWORK", "off"),
    ("GO111MODULE", "on"),
    ("GOOS", "linux"),
    ("GOARCH", "amd64"),
    ("GOAMD64", "v1"),
    ("GOEXPERIMENT", ""),
    ("GODEBUG", ""),
    ("CGO_CFLAGS", "-O2"),
    ("CGO_LDFLAGS", ""),
];

impl Go {
    /// Finds Go, no older than `needed`.
    pub(crate) fn find(program: OsString, needed: &str) -> Result<Self, BuildError> {
        let no_go = || BuildError::NoGo(program.display().to_string());
        let mut command = Command::new(&program);
        command.args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local");
        let output = command.output().map_err(|_| no_go())?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if !output.status.success() || !version.starts_with("go") {
            return Err(no_go());
        }
        if numbers(&version) < numbers(needed) {
            return Err(BuildError::OldGo {
                found: version,
                needed: needed.to_owned(),
            });
        }
        Ok(Self { program, version })
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(folder).envs(ENVIRONMENT.iter().copied());
        command
    }

    /// Builds a program of the module in `folder`.
    pub(crate) fn build(
        &self,
        folder: &Path,
        module: &Module,
        program: &Program,
        to: &Path,
    ) -> Result<(), BuildError> {
        let mut command = self.command(folder);
        command.env("CGO_ENABLED", if module.c.is_empty() { "0" } else { "1" });
        command
            .args(flags(module))
            .arg("-o")
            .arg(to)
            .arg(&program.package);
        let output = output(&mut command)?;
        if output.status.success() {
            return Ok(());
        }
        Err(failure(&program.name, output.status, &output.stderr))
    }

    /// Where the sources of a module are, after fetching them by their sum.
    pub(crate) fn sources(&self, folder: &Path, module: &str) -> Result<PathBuf, BuildError> {
        let mut command = self.command(folder);
        command.args(["mod", "download", module]);
        let output = output(&mut command)?;
        if !output.status.success() {
            return Err(failure(module, output.status, &output.stderr));
        }
        let mut command = self.command(folder);
        command.args(["list", "-m", "-f", "{{.Dir}}", module]);
        text(&mut command, "go list").map(PathBuf::from)
    }

    /// Modules that are in a program, as (path, version), as its linker wrote them into it.
    pub(crate) fn modules_of(&self, program: &Path) -> Result<Vec<(String, String)>, BuildError> {
        let mut command = self.command(Path::new("/"));
        command.args(["version", "-m"]).arg(program);
        Ok(modules(&text(&mut command, "go version -m")?))
    }

    /// Where Go keeps what it compiled.
    pub(crate) fn cache(&self) -> Option<PathBuf> {
        let mut command = self.command(Path::new("/"));
        text(command.args(["env", "GOCACHE"]), "go env")
            .ok()
            .map(PathBuf::from)
    }
}

/// Writes the module's files, which are never changed by a build.
pub(crate) fn lay_out(pinned: &Pinned, folder: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(folder).map_err(at("make", folder))?;
    for (name, text) in [("go.mod", &pinned.go_mod), ("go.sum", &pinned.go_sum)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(at("write", &path))?;
    }
    Ok(())
}

/// Arguments of `go` that decide about the outcome.
pub(crate) fn flags(module: &Module) -> Vec<String> {
    let mut link = "-s -w".to_owned();
    for stamp in &module.stamps {
        link.push_str(" -X ");
        link.push_str(stamp);
    }
    if !module.c.is_empty() {
        link.push_str(" -linkmode=external -extldflags=-static");
    }
    let mut flags = vec![
        "build".to_owned(),
        "-trimpath".to_owned(),
        "-buildvcs=false".to_owned(),
    ];
    if !module.tags.is_empty() {
        flags.push(format!("-tags={}", module.tags.join(",")));
    }
    flags.push(format!("-ldflags={link}"));
    flags
}

/// What the words of Go mean.
fn failure(what: &str, status: std::process::ExitStatus, stderr: &[u8]) -> BuildError {
    const OF_NETWORKS: &[&str] = &[
        "dial tcp",
        "no such host",
        "connection refused",
        "network is unreachable",
        "i/o timeout",
        "TLS handshake timeout",
        "module lookup disabled by GOPROXY=off",
        "proxyconnect",
        "temporary failure in name resolution",
    ];
    let said = last_words(stderr);
    if said.contains("no space left on device") {
        return BuildError::File {
            what: "build",
            path: PathBuf::from(what),
            source: std::io::ErrorKind::StorageFull.into(),
        };
    }
    if OF_NETWORKS.iter().any(|word| said.contains(word)) {
        return BuildError::NoNetwork {
            what: what.to_owned(),
            said: said.lines().next().unwrap_or_default().to_owned(),
        };
    }
    BuildError::Failed {
        program: format!("go build of {what}"),
        status,
        said,
    }
}

/// `go1.26.8` as `[1, 26, 8]`; what is behind the numbers does not count.
fn numbers(version: &str) -> Vec<u32> {
    let digits = version.trim_start_matches("go");
    let end = digits.find(|c: char| c != '.' && !c.is_ascii_digit());
    let digits = &digits[..end.unwrap_or(digits.len())];
    digits
        .split('.')
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// Reads `go version -m`: a line `dep PATH VERSION SUM` for each module, and `=> PATH VERSION SUM` below what is
/// replaced.
fn modules(said: &str) -> Vec<(String, String)> {
    let mut modules: Vec<(String, String)> = Vec::new();
    for line in said.lines() {
        let mut words = line.split_whitespace();
        let (kind, path, version) = (words.next(), words.next(), words.next());
        let (Some(kind), Some(path), Some(version)) = (kind, path, version) else {
            continue;
        };
        match kind {
            "dep" => modules.push((path.to_owned(), version.to_owned())),
            "=>" => {
                modules.pop();
                modules.push((path.to_owned(), version.to_owned()));
            }
            _ => (),
        }
    }
    modules.sort();
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_compare_as_numbers() {
        assert!(numbers("go1.26.8") > numbers("1.26.0"));
        assert!(numbers("go1.9") < numbers("1.26.0"));
        assert!(numbers("go1.27rc1 X:foo") > numbers("1.26.0"));
    }

    #[test]
    fn a_replaced_module_counts_as_what_replaced_it() {
        let said = "x: go1.26.8\n\tpath\tk8s.io/kubernetes/cmd/kubeadm\n\tmod\tfaros.dev/build\t(devel)\t\n\
            \tdep\tk8s.io/api\tv0.0.0\n\t=>\tk8s.io/api\tv0.36.3\th1:x=\n\tdep\ta.io/b\tv1.0.0\th1:y=\n\tbuild\tX=1\n";
        let expected = [("a.io/b", "v1.0.0"), ("k8s.io/api", "v0.36.3")];
        let expected = expected.map(|(path, version)| (path.to_owned(), version.to_owned()));
        assert_eq!(modules(said), expected);
    }

    #[test]
    fn a_failure_of_the_network_is_told_from_one_of_the_compiler() {
        let status = std::process::ExitStatus::default();
        let network = failure(
            "runc",
            status,
            b"go: x@v1: Get \"https://proxy\": dial tcp: lookup proxy: no such host",
        );
        assert!(matches!(network, BuildError::NoNetwork { .. }), "{network}");
        let disk = failure("runc", status, b"write /x: no space left on device");
        assert!(disk.hint().is_some_and(|hint| hint.contains("make room")));
        let compiler = failure("runc", status, b"x.go:1: syntax error");
        assert!(matches!(compiler, BuildError::Failed { .. }), "{compiler}");
    }
}
