//! Assertions that hold for any bytes, shared by the fuzz targets and unit tests.

use std::collections::BTreeSet;

use crate::{Page, Reference, Route, accepts, list, media_type, next_link, route};

/// Whatever is asked for, what is looked up in the store is an entry of an image.
pub fn request(target: &str) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let Ok(found) = route(true, path, query, &["registry.example.com"]) else {
        return;
    };
    let entry = match &found {
        Route::Base | Route::Catalog(_) => return,
        Route::Tags(repository, page) => {
            page_of(page);
            repository.manifest_entry(faros_model::ids::Digest([0; 32]))
        }
        Route::Manifest(repository, Reference::Tag(tag)) => repository.tag_entry(tag),
        Route::Manifest(repository, Reference::Digest(digest)) | Route::Referrers(repository, digest) => {
            repository.manifest_entry(*digest)
        }
        Route::Blob(repository, digest) => repository.blob_entry(*digest),
    };
    if let Some(entry) = entry {
        let entry = entry.as_str();
        assert!(entry.starts_with("registry/"), "{entry}");
        assert!(!entry.contains("..") || !entry.split('/').any(|word| word.starts_with('.')));
        let kinds = ["/tags/", "/manifests/", "/blobs/"];
        assert!(kinds.iter().any(|kind| entry.contains(kind)), "{entry}");
    }
}

/// However it is asked for, a list has no name twice, and the pages of it are the whole.
fn page_of(page: &Page) {
    let all: BTreeSet<String> = ["a", "b", "v1.2", "z"].map(str::to_owned).into();
    let listed = list(&all, page);
    assert!(listed.names.iter().all(|name| all.contains(name)));
    assert_eq!(next_link("/v2/a/tags/list", page, &listed).is_some(), listed.more);
}

/// Whatever the bytes, they are a manifest of one kind or none, and whoever takes anything takes it.
pub fn manifest(bytes: &[u8]) {
    if let Some(kind) = media_type(bytes) {
        assert!(accepts("", kind) && accepts("*/*", kind) && accepts(kind.as_str(), kind));
        let accept = String::from_utf8_lossy(bytes);
        let _ = accepts(&accept, kind);
    }
}
