use std::io::Cursor;

use faros_model::oci;
use serde_json::json;

use super::*;

/// A tar archive of these files.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Writing to memory does not fail.
        drop(tar.append_data(&mut header, path, *bytes));
    }
    tar.into_inner().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    digest(bytes).to_string()
}

/// Blobs by their digests, and the descriptors of them.
#[derive(Default)]
struct World(Vec<(String, Vec<u8>)>);

impl World {
    fn blob(&mut self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let path = format!("blobs/sha256/{}", hex(bytes));
        self.0.push((path, bytes.to_vec()));
        json!({ "mediaType": media_type, "digest": format!("sha256:{}", hex(bytes)), "size": bytes.len() })
    }

    fn image(&mut self, architecture: &str) -> serde_json::Value {
        let layer = self.blob(oci::LAYER, architecture.as_bytes());
        let config = json!({ "architecture": architecture, "os": "linux" });
        let config = self.blob(oci::CONFIG, config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
        self.blob(oci::MANIFEST, manifest.to_string().as_bytes())
    }

    fn archive(&self, manifests: &[serde_json::Value]) -> Vec<u8> {
        let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
        let mut files = vec![("index.json", index.as_bytes())];
        files.extend(
            self.0
                .iter()
                .map(|(path, bytes)| (path.as_str(), bytes.as_slice())),
        );
        tar(&files)
    }
}

fn named(mut descriptor: serde_json::Value, name: &str) -> serde_json::Value {
    descriptor["annotations"] = json!({ "io.containerd.image.name": name });
    descriptor
}

fn read(bytes: &[u8], platform: Option<&str>, name: Option<&str>) -> Result<Vec<Found>, BadArchive> {
    crate::fuzz::archive(bytes);
    let platform = platform.map(|architecture| Platform {
        architecture: architecture.to_owned(),
        os: "linux".to_owned(),
        variant: None,
    });
    let name = name.and_then(|name| name.parse().ok());
    Archive::open(Cursor::new(bytes))?.images(platform.as_ref(), name.as_ref())
}

fn said(bytes: &[u8], platform: Option<&str>, name: Option<&str>) -> String {
    match read(bytes, platform, name) {
        Ok(found) => {
            let names: Vec<String> = found.iter().map(|found| found.name.to_string()).collect();
            names.join(" ")
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_image_of_a_layout_has_its_parts() -> Result<(), BadArchive> {
    let mut world = World::default();
    let image = world.image("amd64");
    let bytes = world.archive(&[named(image, "docker.io/library/nginx:1.27")]);
    let found = read(&bytes, None, None)?;
    let [image] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(image.name.to_string(), "docker.io/library/nginx:1.27");
    let digests: Vec<String> = image.parts.iter().map(|part| part.digest.to_string()).collect();
    assert_eq!(
        digests,
        [hex(br#"{"architecture":"amd64","os":"linux"}"#), hex(b"amd64")]
    );
    Ok(())
}

#[test]
fn an_image_without_a_name_needs_one() {
    let mut world = World::default();
    let image = world.image("amd64");
    let bytes = world.archive(&[image]);
    assert_eq!(said(&bytes, None, None), "an image in it has no name");
    assert_eq!(said(&bytes, None, Some("app:2")), "docker.io/library/app:2");
}

#[test]
fn of_several_platforms_one_is_to_be_named() {
    let mut world = World::default();
    let both = [world.image("amd64"), world.image("arm64")];
    let index = json!({ "schemaVersion": 2, "manifests": both }).to_string();
    let index = world.blob(oci::INDEX, index.as_bytes());
    let bytes = world.archive(&[named(index, "app:1")]);
    assert_eq!(
        said(&bytes, None, None),
        "app:1 is there for several platforms: linux/amd64, linux/arm64"
    );
    assert_eq!(said(&bytes, Some("arm64"), None), "docker.io/library/app:1");
    assert_eq!(
        said(&bytes, Some("riscv64"), None),
        "app:1 is not there for linux/riscv64, but for linux/amd64, linux/arm64"
    );
}

#[test]
fn two_images_cannot_have_one_name() {
    let mut world = World::default();
    let both = [
        named(world.image("amd64"), "a:1"),
        named(world.image("arm64"), "b:1"),
    ];
    let bytes = world.archive(&both);
    assert_eq!(
        said(&bytes, None, None),
        "docker.io/library/a:1 docker.io/library/b:1"
    );
    assert_eq!(
        said(&bytes, None, Some("c:1")),
        "it holds 2 images, which cannot all have the one name"
    );
}

#[test]
fn a_layer_that_is_missing_or_damaged_is_found() {
    let mut world = World::default();
    let image = named(world.image("amd64"), "a:1");
    let layer = format!("blobs/sha256/{}", hex(b"amd64"));
    for (path, bytes) in &mut world.0 {
        if *path == layer {
            *bytes = b"amd65".to_vec();
        }
    }
    let damaged = said(&world.archive(std::slice::from_ref(&image)), None, None);
    assert!(damaged.contains("is damaged"), "{damaged}");
    world.0.retain(|(path, _)| *path != layer);
    let missing = said(&world.archive(&[image]), None, None);
    assert!(
        missing.contains(&layer) && missing.contains("not whole"),
        "{missing}"
    );
}

#[test]
fn a_manifest_that_is_damaged_is_found() {
    let mut world = World::default();
    let mut image = world.image("amd64");
    let other = world.blob(oci::MANIFEST, b"{}");
    image["digest"] = other["digest"].clone();
    world.0.retain(|(_, bytes)| bytes != b"{}");
    let path = format!("blobs/sha256/{}", hex(b"{}"));
    world.0.push((path, b"{ }".to_vec()));
    let said = said(&world.archive(&[named(image, "a:1")]), None, None);
    assert!(said.contains("is damaged"), "{said}");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_not_taken() {
    let mut world = World::default();
    let image = named(world.image("amd64"), "a:1");
    let bytes = world.archive(&[image]);
    // The end of a tar archive is 1024 bytes of nothing, and the last file is filled up to a block.
    let end = bytes.len() - 1024 - 512;
    for cut in (0..end).step_by(97) {
        assert!(
            read(&bytes[..cut], None, None).is_err(),
            "cut at {cut} of {}",
            bytes.len()
        );
    }
}

#[test]
fn what_is_no_archive_of_images_is_told_apart() {
    assert_eq!(said(b"", None, None), "it is not a tar archive");
    assert_eq!(said(&[7; 4096], None, None), "it is not a tar archive");
    assert_eq!(
        said(&[0x1f, 0x8b, 8, 0], None, None),
        "it is compressed with gzip"
    );
    assert_eq!(
        said(&tar(&[("README", b"x")]), None, None),
        "it holds no images: there is neither `index.json` nor `manifest.json` in it"
    );
    assert_eq!(
        said(&tar(&[("index.json", b"{")]), None, None),
        "index.json in it cannot be understood"
    );
    let empty = br#"{"schemaVersion": 2, "manifests": []}"#;
    assert!(said(&tar(&[("index.json", empty)]), None, None).contains("holds no images"));
}

fn saved(tags: &serde_json::Value, layer: &[u8]) -> Vec<u8> {
    let config = json!({ "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(b"layer"))] } });
    let config = config.to_string();
    let name = format!("{}.json", hex(config.as_bytes()));
    let manifest = json!([{ "Config": name, "RepoTags": tags, "Layers": ["abc/layer.tar"] }]).to_string();
    tar(&[
        ("manifest.json", manifest.as_bytes()),
        (&name, config.as_bytes()),
        ("abc/layer.tar", layer),
    ])
}

#[test]
fn what_docker_saved_becomes_an_image_with_a_manifest() -> Result<(), BadArchive> {
    let bytes = saved(&json!(["nginx:1.27", "example.com/nginx:1"]), b"layer");
    let found = read(&bytes, None, None)?;
    let names: Vec<String> = found.iter().map(|found| found.name.to_string()).collect();
    assert_eq!(names, ["docker.io/library/nginx:1.27", "example.com/nginx:1"]);
    let manifest: Document =
        serde_json::from_slice(&found[0].manifest).map_err(|source| BadArchive::Document {
            name: "made".to_owned(),
            source,
        })?;
    assert_eq!(manifest.descriptors().count(), 2);
    assert_eq!(said(&bytes, None, Some("own:1")), "docker.io/library/own:1");
    assert_eq!(
        said(&saved(&json!(null), b"layer"), None, None),
        "an image in it has no name"
    );
    assert!(said(&saved(&json!(["a:1"]), b"other"), None, None).contains("abc/layer.tar in it is damaged"));
    assert!(said(&saved(&json!(["a:V1"]), b"layer"), None, None).contains("capital letters"));
    assert!(said(&bytes, Some("arm64"), None).contains("is not there for linux/arm64, but for linux/amd64"));
    Ok(())
}

#[test]
fn the_seeds_of_the_fuzz_target_are_archives() -> Result<(), BadArchive> {
    for seed in [
        &include_bytes!("../../../../../fuzz/seeds/image_archive/oci")[..],
        include_bytes!("../../../../../fuzz/seeds/image_archive/docker"),
    ] {
        assert_eq!(read(seed, None, None)?.len(), 1);
    }
    Ok(())
}
