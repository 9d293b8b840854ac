//! The node image that machines of the lab boot: built once, kept in the user's cache.

use std::path::PathBuf;

use anyhow::Context as _;

/// The folder of the image, built if it is not in the cache.
pub fn provide(tell: &mut dyn FnMut(&str)) -> anyhow::Result<PathBuf> {
    let builder = faros_image::Builder::live();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = cache
        .context("there is no HOME to keep the image in")?
        .join("faros/images");
    let folder = folder.join(builder.recipe_digest().to_string());
    if !folder.join("image.json").is_file() {
        tell("building the node image from Debian packages; this is done once");
        builder
            .build(&folder, &mut |step| tell(step))
            .context("cannot build the node image")?;
    }
    Ok(folder)
}
