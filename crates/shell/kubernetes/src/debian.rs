//! What comes from Debian: `nft` with its shared objects, and versions of packages.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{BuildError, at},
    keep::{Keep, key},
    run::{output, run, text},
};

/// The Debian release that nodes have.
const SUITE: &str = "trixie";

/// The archive keys of Debian, from the package `debian-archive-keyring`.
pub(crate) const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A package that is in the outcome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// `nft`, by which kube-proxy sets its rules; of the Debian that nodes have, from where it is kept. One that is older
/// than the node's own crashes over the node's packet filter: 1.0.6 does over any named set that 1.1.3 has made.
pub(crate) fn nft(keep: &Keep) -> Result<Linked, BuildError> {
    const NFT: &str = "/usr/sbin/nft";
    let key = key(&("nftables", SUITE));
    let place = keep.place("debian", key);
    let list = place.join("packages.json");
    let packages = fs::read(&list)
        .ok()
        .and_then(|text| serde_json::from_slice::<Vec<Package>>(&text).ok());
    let (folder, packages) = match packages {
        Some(packages) => (place, packages),
        None => {
            let made = keep.work().join("nftables");
            let packages = fetch_nft(NFT, &keep.work().join("debian"), &made)?;
            let text = serde_json::to_vec(&packages).unwrap_or_default();
            fs::write(made.join("packages.json"), text).map_err(at("write", &made))?;
            (keep.put(&made, "debian", key)?, packages)
        }
    };
    let names = fs::read_dir(&folder).map_err(at("list", &folder))?.flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let mut files: Vec<_> = names
        .filter(|name| name != "packages.json")
        .map(|name| (format!("/{}", name.replace('!', "/")), folder.join(&name)))
        .collect();
    files.sort();
    Ok(Linked { files, packages })
}

/// The mirror of Debian that this machine's apt uses.
fn mirror() -> Result<String, BuildError> {
    let targets = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
    let said = text(Command::new("apt-get").args(targets), "apt-get")?;
    let mut all = said.lines().map(|line| line.trim_end_matches('/'));
    let own = all.find(|line| line.ends_with("/debian"));
    Ok(own.unwrap_or("http://deb.debian.org/debian").to_owned())
}

/// Copies the program and its shared objects to `made`, each under the path it is to have, with `!` for `/`.
fn fetch_nft(program: &str, tree: &Path, made: &Path) -> Result<Vec<Package>, BuildError> {
    let mirror = mirror()?;
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=minbase", "--format=directory", "--quiet"]);
    command.arg(format!("--keyring={KEYRING}"));
    command.args(["--include=nftables", SUITE]).arg(tree).arg(mirror);
    run(&mut command, "mmdebstrap")?;
    fs::create_dir_all(made).map_err(at("make", made))?;
    let inside = |path: &str| -> Result<PathBuf, BuildError> {
        let mut command = Command::new("chroot");
        let said = text(command.arg(tree).args(["readlink", "-f", path]), "readlink")?;
        Ok(tree.join(said.trim().trim_start_matches('/')))
    };
    let mut owned = Vec::new();
    let mut take = |there: &str, here: &Path| -> Result<(), BuildError> {
        let to = made.join(there.trim_start_matches('/').replace('/', "!"));
        fs::copy(here, &to).map_err(at("copy", here))?;
        owned.push(Path::new("/").join(here.strip_prefix(tree).unwrap_or(here)));
        Ok(())
    };
    take(program, &inside(program)?)?;
    for object in objects(&text(
        Command::new("chroot").arg(tree).args(["ldd", program]),
        "ldd",
    )?) {
        // The loader is asked for by its whole path; the others are looked for where Debian has them.
        let there = if object.contains("/ld-linux") {
            object.to_owned()
        } else {
            let name = object.rsplit('/').next().unwrap_or(object);
            format!("/usr/lib/x86_64-linux-gnu/{name}")
        };
        take(&there, &inside(object)?)?;
    }
    let packages = owners(tree, &owned)?;
    fs::remove_dir_all(tree).map_err(at("remove", tree))?;
    Ok(packages)
}

/// The paths in what `ldd` says.
fn objects(said: &str) -> Vec<&str> {
    let paths = said
        .lines()
        .filter_map(|line| line.find('/').map(|start| &line[start..]));
    paths.filter_map(|path| path.split_whitespace().next()).collect()
}

/// Which packages have these files.
fn owners(tree: &Path, files: &[PathBuf]) -> Result<Vec<Package>, BuildError> {
    let admin = format!("--admindir={}", tree.join("var/lib/dpkg").display());
    let mut command = Command::new("dpkg-query");
    command.args([&admin, "-S"]);
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
    names
        .into_iter()
        .map(|name| version_in(&[&admin], name))
        .collect()
}

/// The version of a package that is installed here.
pub(crate) fn version(name: &str) -> Result<Package, BuildError> {
    version_in(&[], name)
}

fn version_in(options: &[&str], name: &str) -> Result<Package, BuildError> {
    let mut command = Command::new("dpkg-query");
    command.args(options);
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
