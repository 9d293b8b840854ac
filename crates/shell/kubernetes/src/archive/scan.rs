//! Where in a tar archive each file is.

use std::{
    collections::HashMap,
    io::{Read, Seek, SeekFrom},
};

use tar::EntryType;

use super::BadArchive;

/// An archive of images has fewer entries.
const MAX_ENTRIES: usize = 100_000;

/// A link leads to no more links than this.
const MAX_LINKS: usize = 8;

/// Programs that compress, by what their files begin with.
const COMPRESSED: &[(&[u8], &str, &str)] = &[
    (&[0x1f, 0x8b], "gzip", "gunzip"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "Zstandard", "unzstd"),
    (&[0xfd, b'7', b'z', b'X', b'Z'], "xz", "unxz"),
    (b"BZh", "bzip2", "bunzip2"),
];

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// The files of an archive by their paths.
#[derive(Debug, Default)]
pub(super) struct Entries(HashMap<String, Entry>);

#[derive(Debug)]
enum Entry {
    File(Place),
    /// To another path; `docker save` writes a layer once that several images have.
    Link(String),
}

impl Entries {
    /// The file at a path.
    pub(super) fn find(&self, path: &str) -> Option<Place> {
        let mut path = path;
        for _ in 0..MAX_LINKS {
            match self.0.get(path)? {
                Entry::File(place) => return Some(*place),
                Entry::Link(to) => path = to,
            }
        }
        None
    }
}

/// Lists an archive, and sees that all of it is there.
pub(super) fn scan(reader: &mut (impl Read + Seek)) -> Result<Entries, BadArchive> {
    let length = reader.seek(SeekFrom::End(0)).map_err(BadArchive::Read)?;
    reader.rewind().map_err(BadArchive::Read)?;
    let mut magic = Vec::new();
    reader
        .by_ref()
        .take(8)
        .read_to_end(&mut magic)
        .map_err(BadArchive::Read)?;
    for (begin, with, undo) in COMPRESSED {
        if magic.starts_with(begin) {
            return Err(BadArchive::Compressed { with, undo });
        }
    }
    reader.rewind().map_err(BadArchive::Read)?;
    let mut entries = Entries::default();
    let mut archive = tar::Archive::new(&mut *reader);
    for entry in archive.entries_with_seek().map_err(|_| BadArchive::NotTar)? {
        // What the reader says of the bytes is of use to nobody who has another file than they thought.
        let entry = entry.map_err(|error| {
            if entries.0.is_empty() {
                BadArchive::NotTar
            } else {
                BadArchive::Read(error)
            }
        })?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let place = Place {
            offset: entry.raw_file_position(),
            size: entry.size(),
        };
        if place
            .offset
            .checked_add(place.size)
            .is_none_or(|end| end > length)
        {
            return Err(BadArchive::Truncated {
                name: path,
                size: place.size,
            });
        }
        let link = entry.link_name_bytes();
        let link = link.map(|link| String::from_utf8_lossy(&link).into_owned());
        let path = clean("", &path);
        let entry = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => Entry::File(place),
            EntryType::Link => Entry::Link(clean("", &link.unwrap_or_default())),
            EntryType::Symlink => {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                Entry::Link(clean(folder, &link.unwrap_or_default()))
            }
            _ => continue,
        };
        if entries.0.len() >= MAX_ENTRIES {
            return Err(BadArchive::TooLarge(path));
        }
        entries.0.insert(path, entry);
    }
    if entries.0.is_empty() {
        return Err(BadArchive::NotTar);
    }
    Ok(entries)
}

/// A path without `.` and `..`, seen from a folder.
fn clean(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => (),
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
