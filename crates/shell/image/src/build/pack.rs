//! From a finished tree to files: archives that are equal if their trees are, and the size and digest by which the
//! manifest names them.

use std::{fs, io, path::Path, process::Stdio};

use faros_model::{content::Blob, ids::Digest};
use sha2::{Digest as _, Sha256};

use super::{BuildError, at, run};

/// The tree as a compressed cpio archive; names sorted, so that equal trees make equal archives.
pub(super) fn pack(tree: &Path, to: &Path) -> Result<(), BuildError> {
    let script = "cd \"$1\" && find . -mindepth 1 -printf '%P\\0' | LC_ALL=C sort -z \
                  | cpio --null --quiet --create --format=newc --reproducible \
                  | zstd --quiet --force -T0 -15 -o \"$2\"";
    let (tree, to) = (tree.display().to_string(), to.display().to_string());
    run("sh", &["-e", "-c", script, "pack", &tree, &to], Stdio::null())
}

/// The tree as a compressed tar archive; names sorted and times left out, so that equal trees make equal
/// archives.
pub(super) fn pack_root(tree: &Path, to: &Path) -> Result<(), BuildError> {
    let script = "tar --create --directory \"$1\" --sort=name --mtime=@0 --numeric-owner \
                  --xattrs --xattrs-include='*' --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
                  --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* --exclude=./run/* --exclude=./tmp/* . \
                  | zstd --quiet --force -T0 -12 -o \"$2\"";
    let (tree, to) = (tree.display().to_string(), to.display().to_string());
    run("sh", &["-e", "-c", script, "pack", &tree, &to], Stdio::null())
}

/// How many bytes the files below a folder have.
pub(super) fn size(tree: &Path) -> Result<u64, BuildError> {
    let mut sum = 0;
    let mut todo = vec![tree.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))?.flatten() {
            let meta = entry.metadata().map_err(at("look at", &folder))?;
            if meta.is_dir() {
                todo.push(entry.path());
            } else {
                sum += meta.len();
            }
        }
    }
    Ok(sum)
}

pub(super) fn blob(path: &Path) -> Result<Blob, BuildError> {
    let mut file = fs::File::open(path).map_err(at("read", path))?;
    let mut hasher = Sha256::new();
    let size = io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(at("read", path))?;
    let file = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Blob {
        file,
        digest: Digest(hasher.finalize().into()),
        size,
    })
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
