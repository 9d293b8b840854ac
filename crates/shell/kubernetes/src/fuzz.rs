//! Assertions that hold for any bytes, shared by the fuzz target and unit tests.

use std::io::Cursor;

use crate::{Archive, keep::digest};

/// Whatever comes, every part of an image that is found is in the archive, and has its digest.
pub fn archive(bytes: &[u8]) {
    let Ok(mut archive) = Archive::open(Cursor::new(bytes)) else {
        return;
    };
    let Ok(images) = archive.images(None, None) else {
        return;
    };
    assert!(!images.is_empty(), "an archive that is taken has an image");
    for image in images {
        assert_eq!(digest(&image.manifest), image.digest);
        for part in image.parts {
            let range = usize::try_from(part.offset)
                .ok()
                .zip(usize::try_from(part.size).ok());
            let own = range.and_then(|(offset, size)| bytes.get(offset..offset + size));
            assert_eq!(own.map(digest), Some(part.digest));
        }
    }
}
