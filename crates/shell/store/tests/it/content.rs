//! Content: in whole or not at all, found by name and digest, checked before it is served.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use faros_model::{
    api::ContentAdded,
    ids::{ContentName, Digest},
};
use faros_store::{AddContent, OpenContent, Store};

use crate::world::{Outcome, at, reopen, store};

const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn name(text: &str) -> ContentName {
    text.parse().unwrap_or_else(|why| unreachable!("`{text}` {why}"))
}

fn add(store: &Store, to: &str, bytes: &[u8]) -> Result<ContentAdded, AddContent> {
    let mut import = store.import(name(to))?;
    for part in bytes.chunks(3) {
        import.write(part)?;
    }
    import.finish(at(0))
}

fn blob(store: &Store, digest: &str) -> PathBuf {
    store.dir().join("content/sha256").join(digest)
}

fn files(dir: &Path) -> std::io::Result<usize> {
    Ok(fs::read_dir(dir)?.count())
}

async fn read(store: &Store, from: &str) -> Result<String, Box<dyn std::error::Error>> {
    let mut opened = store.open_content(&name(from)).await?;
    let mut text = String::new();
    opened.file.read_to_string(&mut text)?;
    assert_eq!(opened.size, text.len() as u64);
    Ok(text)
}

#[tokio::test]
async fn content_is_read_back_by_name_and_by_digest_after_a_restart() -> Outcome {
    let (_dir, store) = store()?;
    let added = add(&store, "loader/hello", b"hello")?;
    assert_eq!(added.entry.digest.to_string(), HELLO);
    assert_eq!((added.entry.size, added.unchanged), (5, false));
    let store = reopen(store)?;
    assert_eq!(store.contents()?, std::slice::from_ref(&added.entry));
    assert_eq!(read(&store, "loader/hello").await?, "hello");
    assert_eq!(store.open_blob(added.entry.digest).await?.size, 5);
    assert!(matches!(
        store.open_content(&name("x")).await,
        Err(OpenContent::NoName(_))
    ));
    assert!(matches!(
        store.open_blob(Digest([0; 32])).await,
        Err(OpenContent::Missing(_))
    ));
    Ok(())
}

#[tokio::test]
async fn the_same_bytes_are_kept_once_and_adding_them_again_changes_nothing() -> Outcome {
    let (_dir, store) = store()?;
    add(&store, "a", b"hello")?;
    assert!(!add(&store, "b", b"hello")?.unchanged, "another name");
    assert!(add(&store, "a", b"hello")?.unchanged);
    assert_eq!(files(&store.dir().join("content/sha256"))?, 1);
    assert!(!add(&store, "a", b"other")?.unchanged);
    assert_eq!(
        (read(&store, "a").await?, read(&store, "b").await?),
        ("other".into(), "hello".into())
    );
    Ok(())
}

#[tokio::test]
async fn an_import_that_is_dropped_or_cut_short_leaves_nothing() -> Outcome {
    let (_dir, store) = store()?;
    let mut import = store.import(name("a"))?;
    import.write(b"hel")?;
    assert_eq!(files(&store.dir().join("content/tmp"))?, 1);
    drop(import);
    assert_eq!(files(&store.dir().join("content/tmp"))?, 0);
    fs::write(store.dir().join("content/tmp/import-9"), "left by a crash")?;
    let store = reopen(store)?;
    assert_eq!(files(&store.dir().join("content/tmp"))?, 0);
    assert_eq!(store.contents()?, []);
    Ok(())
}

#[tokio::test]
async fn damage_is_seen_before_the_first_use_and_whenever_the_file_changes() -> Outcome {
    let (_dir, store) = store()?;
    add(&store, "a", b"hello")?;
    let store = reopen(store)?;
    fs::write(blob(&store, HELLO), "hellO")?;
    let damaged = store.open_content(&name("a")).await;
    assert!(matches!(damaged, Err(OpenContent::Damaged { .. })), "{damaged:?}");
    add(&store, "a", b"hello")?;
    assert_eq!(read(&store, "a").await?, "hello", "adding it again mends it");

    // Opened before in this run, and changed under our hands.
    fs::OpenOptions::new()
        .write(true)
        .open(blob(&store, HELLO))?
        .write_all(b"J")?;
    let damaged = store.open_content(&name("a")).await;
    assert!(matches!(damaged, Err(OpenContent::Damaged { .. })), "{damaged:?}");
    Ok(())
}

#[tokio::test]
async fn verify_reads_everything_and_tells_each() -> Outcome {
    let (_dir, store) = store()?;
    for (to, bytes) in [("bad", "bad"), ("gone", "gone"), ("good", "good")] {
        let added = add(&store, to, bytes.as_bytes())?;
        store.open_blob(added.entry.digest).await?;
        let path = blob(&store, &added.entry.digest.to_string());
        match to {
            "bad" => fs::write(path, "???")?,
            "gone" => fs::remove_file(path)?,
            _ => (),
        }
    }
    let (tell, told) = std::sync::mpsc::channel();
    let verified = store
        .verify_contents(move |row| drop(tell.send(row.clone())))
        .await?;
    let states: Vec<&str> = verified.iter().map(|row| row.state.as_str()).collect();
    assert_eq!(states, ["damaged", "missing", "ok"]);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), verified);
    Ok(())
}

fn manifest(image: &str, initramfs_size: usize) -> String {
    let digest = |digest: &str| digest.to_owned();
    format!(
        r#"{{"name": "{image}", "architecture": "x86_64",
            "kernel": {{"file": "vmlinuz", "digest": "{HELLO}", "size": 5}},
            "initramfs": {{"file": "initrd", "digest": "{}", "size": {initramfs_size}}}}}"#,
        digest("486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"),
    )
}

#[tokio::test]
async fn an_image_is_taken_only_when_all_that_it_names_is_here() -> Outcome {
    let (_dir, store) = store()?;
    let refused = |bytes: &str| match add(&store, "debian-13/image.json", bytes.as_bytes()) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    assert_eq!(refused("{"), "debian-13/image.json is not an image manifest");
    assert_eq!(
        refused(&manifest("debian-12", 5)),
        "debian-13/image.json is the manifest of an image called debian-12",
    );
    assert!(
        refused(&manifest("debian-13", 5)).starts_with("debian-13/image.json names vmlinuz, and there is no")
    );
    add(&store, "debian-13/vmlinuz", b"hello")?;
    assert!(
        refused(&manifest("debian-13", 5)).starts_with("debian-13/image.json names initrd, and there is no")
    );
    add(&store, "debian-13/initrd", b"world")?;
    assert!(refused(&manifest("debian-13", 6)).contains("no content of 6 bytes"));
    assert_eq!(
        refused(&" ".repeat(2 << 20)),
        "debian-13/image.json is too large for an image manifest"
    );
    assert_eq!(store.image(&name("debian-13")).await?, None);
    assert_eq!(refused(&manifest("debian-13", 5)), "taken");
    let image = store
        .image(&name("debian-13"))
        .await?
        .ok_or("the image is not there")?;
    assert_eq!((image.kernel.file.as_str(), image.initramfs.size), ("vmlinuz", 5));
    assert_eq!(files(&store.dir().join("content/tmp"))?, 0);
    Ok(())
}

const HEX: &str = "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7";

#[tokio::test]
async fn a_container_image_is_taken_only_when_its_layers_are_here() -> Outcome {
    let (_dir, store) = store()?;
    let manifest = |size: usize| {
        format!(
            r#"{{"schemaVersion": 2, "config": {{"mediaType": "config", "digest": "sha256:{HELLO}", "size": 5}},
                "layers": [{{"mediaType": "layer", "digest": "sha256:{HEX}", "size": {size}}}]}}"#
        )
    };
    let refused = |to: &str, bytes: &str| match add(&store, to, bytes.as_bytes()) {
        Ok(_) => "taken".to_owned(),
        Err(error) => error.to_string(),
    };
    let tag = "registry/docker.io/library/nginx/tags/1.27";
    let blob = |hex: &str| format!("registry/docker.io/library/nginx/blobs/{hex}");
    assert!(refused(tag, "{}").contains("is not the manifest of a container image"));
    assert!(refused(tag, &manifest(5)).contains("names config, and there is no content of 5 bytes"));
    assert!(refused(&blob(HELLO), "hellO").contains("not the one in its name"));
    assert_eq!(refused(&blob(HELLO), "hello"), "taken");
    assert!(refused(tag, &manifest(5)).contains("names layer"));
    assert_eq!(refused(&blob(HEX), "world"), "taken");
    assert!(refused(tag, &manifest(6)).contains("names layer"));
    assert!(
        refused(
            &tag.replace("tags/1.27", &format!("manifests/{HEX}")),
            &manifest(5)
        )
        .contains("digest")
    );
    assert_eq!(refused(tag, &manifest(5)), "taken");
    Ok(())
}

#[tokio::test]
async fn a_release_is_taken_only_when_its_images_are_here() -> Outcome {
    let (_dir, store) = store()?;
    let release = |digest: Digest| {
        format!(
            r#"{{"version": "v1.36.3", "architecture": "x86_64", "components": [],
                "images": [{{"name": "faros.dev/kubernetes/pause:3", "digest": "{digest}"}}],
                "extension": {{"file": "x.raw", "digest": "{HELLO}", "size": 5}},
                "sbom": {{"file": "sbom.json", "digest": "{HEX}", "size": 5}}}}"#
        )
    };
    let refused = |version: &str, digest: Digest| {
        let to = format!("kubernetes/{version}/release.json");
        match add(&store, &to, release(digest).as_bytes()) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.to_string(),
        }
    };
    assert!(refused("v1.36.3", Digest([0; 32])).contains("names x.raw"));
    add(&store, "kubernetes/v1.36.3/x.raw", b"hello")?;
    assert!(refused("v1.36.3", Digest([0; 32])).contains("names sbom.json"));
    add(&store, "kubernetes/v1.36.3/sbom.json", b"world")?;
    assert!(refused("v1.36.3", Digest([0; 32])).contains("the container image faros.dev/kubernetes/pause:3"));
    let index = br#"{"schemaVersion": 2, "manifests": []}"#;
    let pause = add(&store, "registry/faros.dev/kubernetes/pause/tags/3", index)?
        .entry
        .digest;
    assert!(refused("v1.36.3", Digest([0; 32])).contains("there is none with digest 0000"));
    assert_eq!(
        refused("v1.36.4", pause),
        "kubernetes/v1.36.4/release.json is the manifest of Kubernetes v1.36.3"
    );
    assert_eq!(store.release("v1.36.3".parse()?).await?, None);
    assert_eq!(refused("v1.36.3", pause), "taken");
    let release = store
        .release("v1.36.3".parse()?)
        .await?
        .ok_or("the release is not there")?;
    assert_eq!(release.image("pause").map(|image| image.digest), Some(pause));
    Ok(())
}

#[tokio::test]
async fn a_file_is_taken_unless_it_is_here_undamaged() -> Outcome {
    let (dir, store) = store()?;
    let path = dir.path().join("hello");
    fs::write(&path, "hello")?;
    let add = || store.import_file(name("loader/hello"), &path, at(0));
    assert!(!add()?.unchanged);
    assert!(add()?.unchanged);
    fs::write(blob(&store, HELLO), "hellO")?;
    add()?;
    assert_eq!(read(&store, "loader/hello").await?, "hello");
    let missing = store.import_file(name("loader/x"), Path::new("/no/such/file"), at(0));
    assert!(matches!(missing, Err(AddContent::Read { .. })), "{missing:?}");
    Ok(())
}

#[tokio::test]
async fn many_who_open_a_blob_at_once_all_get_it() -> Outcome {
    let (_dir, store) = store()?;
    add(&store, "big", &vec![7; 300_000])?;
    let store = reopen(store)?;
    let digest = store.contents()?.remove(0).digest;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut opened = store.open_blob(digest).await?;
            let mut bytes = vec![];
            opened
                .file
                .read_to_end(&mut bytes)
                .map(|_| bytes.len())
                .map_err(|source| OpenContent::Read { digest, source })
        });
    }
    while let Some(read) = tasks.join_next().await {
        assert_eq!(read??, 300_000);
    }
    Ok(())
}
