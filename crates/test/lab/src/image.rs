//! The node image that machines of the lab boot: built once, kept in the user's cache.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use faros_image::Builder;
pub use faros_image::Kernel;
use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::Digest,
    site::Architecture,
};
use sha2::{Digest as _, Sha256};

use crate::run::run;

/// So many images stay in the cache.
const KEPT: usize = 3;

/// The root file system of an image that is in the cache, unpacked there once; `digest` is that of its archive.
pub fn root(digest: Digest) -> anyhow::Result<PathBuf> {
    let cache = cache()?;
    let folder = cache.join("roots").join(digest.to_string());
    if folder.is_dir() {
        return Ok(folder);
    }
    let images = fs::read_dir(cache.join("images")).into_iter().flatten().flatten();
    let archive = images.map(|entry| entry.path()).find_map(|image| {
        let manifest = fs::read(image.join("image.json")).ok()?;
        let manifest: ImageManifest = serde_json::from_slice(&manifest).ok()?;
        let root = manifest.root.filter(|root| root.digest == digest)?;
        Some(image.join(root.file))
    });
    let archive = archive.with_context(|| format!("no image in the cache has the root {digest}"))?;
    let new = folder.with_extension(format!("new-{}", std::process::id()));
    fs::create_dir_all(&new).with_context(|| format!("cannot make {}", new.display()))?;
    run(
        "tar",
        &[
            "-x",
            "-I",
            "zstd",
            "--numeric-owner",
            "--xattrs",
            "-f",
            &archive.display().to_string(),
            "-C",
            &new.display().to_string(),
        ],
    )?;
    // The archive has a date of its own for it; the newest ones stay.
    fs::File::open(&new)?.set_modified(std::time::SystemTime::now())?;
    // Another lab may have been quicker.
    if fs::rename(&new, &folder).is_err() {
        fs::remove_dir_all(&new)?;
    }
    forget_old(folder.parent().unwrap_or(&folder));
    Ok(folder)
}

fn cache() -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cache = cache.context("there is no HOME to keep images in")?;
    Ok(cache.join("faros"))
}

/// The folder of the image, built if it is not in the cache; whoever comes while it is being built waits for it.
pub fn provide(kernel: Kernel, tell: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let builder = Builder::new(kernel);
    let images = cache()?.join("images");
    fs::create_dir_all(&images).with_context(|| format!("cannot make {}", images.display()))?;
    let lock = fs::File::create(images.join("lock")).context("cannot lock the cache of images")?;
    lock.lock().context("cannot lock the cache of images")?;
    let folder = images.join(builder.recipe_digest().to_string());
    if !folder.join("image.json").is_file() {
        let name = kernel.image_name();
        tell(&format!(
            "building the node image {name} from Debian packages; this is done once"
        ));
        builder
            .build(&folder, &mut |step| tell(step))
            .context("cannot build the node image")?;
        forget_old(&images);
    }
    Ok(folder)
}

/// Keeps the newest images of the cache, each of which has hundreds of megabytes. What cannot be removed stays.
fn forget_old(cache: &Path) {
    let mut images: Vec<_> = fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    images.sort();
    for (_, old) in images.iter().rev().skip(KEPT) {
        drop(fs::remove_dir_all(old));
    }
}

/// Writes an image that boots nothing to where [`provide`] looks, below a folder that `XDG_CACHE_HOME` is to name.
pub fn write_dummy_to(cache: &Path, kernel: Kernel) -> anyhow::Result<()> {
    let recipe = Builder::new(kernel).recipe_digest().to_string();
    let folder = cache.join("faros/images").join(recipe);
    write_dummy(&folder, kernel.image_name())
}

/// Writes an image that has all an image has, and boots nothing: for tests of who gets what.
pub fn write_dummy(folder: &Path, name: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let blob = |file: &str| -> anyhow::Result<Blob> {
        let text = format!("{file} of {name}\n");
        fs::write(folder.join(file), &text).with_context(|| format!("cannot write {file}"))?;
        Ok(Blob {
            file: file.to_owned(),
            digest: Digest(Sha256::digest(&text).into()),
            size: text.len() as u64,
        })
    };
    let image = ImageManifest {
        name: name.parse().map_err(|why| anyhow::anyhow!("`{name}` {why}"))?,
        architecture: Architecture::X86_64,
        family: Family::Faros,
        kernel: blob("vmlinuz")?,
        initramfs: blob("initramfs.img")?,
        root: Some(blob("root.tar.zst")?),
        root_bytes: 1,
        local_boot: None,
        kernel_arguments: vec![],
        packages: vec![],
    };
    let path = folder.join("image.json");
    fs::write(&path, serde_json::to_string_pretty(&image)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
