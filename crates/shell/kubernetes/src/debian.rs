//! What comes from this machine's Debian: `nft` with its shared objects, and versions of packages.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Serialize;

use crate::{
    error::{BuildError, at},
    run::{output, text},
};

/// A package that is in the outcome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// A program with the shared objects that it needs, and the packages all of them are from.
#[derive(Debug, Clone)]
pub(crate) struct Linked {
    /// Where each stands in the image, and where it is here.
    pub(crate) files: Vec<(String, PathBuf)>,
    pub(crate) packages: Vec<Package>,
}

/// `nft`, by which kube-proxy sets its rules.
pub(crate) fn nft() -> Result<Linked, BuildError> {
    const NFT: &str = "/usr/sbin/nft";
    if !Path::new(NFT).is_file() {
        return Err(BuildError::Tool {
            what: "nft",
            package: "nftables",
        });
    }
    let mut files = vec![(NFT.to_owned(), PathBuf::from(NFT))];
    for object in objects(&text(Command::new("ldd").arg(NFT), "ldd")?) {
        let here = fs::canonicalize(object).map_err(at("find", Path::new(object)))?;
        // The loader is asked for by its whole path; the others are looked for where Debian has them.
        let there = if object.contains("/ld-linux") {
            object.to_owned()
        } else {
            let name = object.rsplit('/').next().unwrap_or(object);
            format!("/usr/lib/x86_64-linux-gnu/{name}")
        };
        files.push((there, here));
    }
    files.sort();
    let packages = owners(files.iter().map(|(_, here)| here.as_path()))?;
    Ok(Linked { files, packages })
}

/// The paths in what `ldd` says.
fn objects(said: &str) -> Vec<&str> {
    let paths = said
        .lines()
        .filter_map(|line| line.find('/').map(|start| &line[start..]));
    paths.filter_map(|path| path.split_whitespace().next()).collect()
}

/// Which packages have these files.
fn owners<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Vec<Package>, BuildError> {
    let mut command = Command::new("dpkg-query");
    command.arg("-S");
    for file in files {
        command.arg(file);
        // Packages made before /usr was merged know their files by the old path.
        if let Ok(rest) = file.strip_prefix("/usr") {
            command.arg(Path::new("/").join(rest));
        }
    }
    // It complains of the paths that are not known, of which there are some.
    let said = output(&mut command)?.stdout;
    let said = String::from_utf8_lossy(&said);
    let names: BTreeSet<&str> = said.lines().filter_map(|line| line.split(':').next()).collect();
    names.into_iter().map(version).collect()
}

/// The version of an installed package.
pub(crate) fn version(name: &str) -> Result<Package, BuildError> {
    let mut command = Command::new("dpkg-query");
    command.args(["-W", "-f", "${source:Package} ${Version}\n", name]);
    let said = text(&mut command, "dpkg-query")?;
    let version = said.lines().next().and_then(|line| line.split_once(' '));
    Ok(Package {
        name: name.to_owned(),
        version: version.map_or_else(String::new, |(_, version)| version.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_objects_and_the_loader() {
        let said = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibnftables.so.1 => /lib/x86_64-linux-gnu/libnftables.so.1 (0x7f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            objects(said),
            [
                "/lib/x86_64-linux-gnu/libnftables.so.1",
                "/lib64/ld-linux-x86-64.so.2"
            ]
        );
    }
}
