//! Trees of files that come out the same whenever they are packed: sorted, owned by root, with one date.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use tar::{EntryType, Header};

use crate::error::{BuildError, at};

/// Files by their paths, which are relative. Folders above them come by themselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(BTreeMap<String, (u32, Source)>);

#[derive(Debug, Clone)]
enum Source {
    Folder,
    File(PathBuf),
    Text(String),
}

impl Files {
    pub(crate) fn program(&mut self, path: &str, from: &Path) {
        self.add(path, 0o755, Source::File(from.to_owned()));
    }

    pub(crate) fn text(&mut self, path: &str, text: &str) {
        self.add(path, 0o644, Source::Text(text.to_owned()));
    }

    pub(crate) fn folder(&mut self, path: &str, mode: u32) {
        self.add(path, mode, Source::Folder);
    }

    fn add(&mut self, path: &str, mode: u32, source: Source) {
        let path = path.trim_start_matches('/');
        for (end, _) in path.match_indices('/') {
            let folder = || (0o755, Source::Folder);
            self.0.entry(path[..end].to_owned()).or_insert_with(folder);
        }
        self.0.insert(path.to_owned(), (mode, source));
    }

    /// Writes all of it as a tar archive.
    pub(crate) fn tar(&self, date: jiff::Timestamp, to: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(to);
        for (path, (mode, source)) in &self.0 {
            let mut header = Header::new_ustar();
            header.set_mode(*mode);
            header.set_mtime(u64::try_from(date.as_second()).unwrap_or_default());
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            header.set_entry_type(EntryType::Regular);
            match source {
                Source::Folder => {
                    header.set_entry_type(EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                Source::Text(text) => {
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, path, text.as_bytes())?;
                }
                Source::File(from) => {
                    let file = File::open(from)?;
                    header.set_size(file.metadata()?.len());
                    tar.append_data(&mut header, path, file)?;
                }
            }
        }
        tar.into_inner()?.flush()
    }

    /// Lays all of it out below a folder.
    pub(crate) fn lay_out(&self, root: &Path) -> Result<(), BuildError> {
        fs::create_dir_all(root).map_err(at("make", root))?;
        for (path, (mode, source)) in &self.0 {
            let to = root.join(path);
            match source {
                Source::Folder => fs::create_dir_all(&to),
                Source::Text(text) => fs::write(&to, text),
                Source::File(from) => fs::copy(from, &to).map(drop),
            }
            .and_then(|()| fs::set_permissions(&to, fs::Permissions::from_mode(*mode)))
            .map_err(at("write", &to))?;
        }
        Ok(())
    }
}
