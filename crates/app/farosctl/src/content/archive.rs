//! Container images that operators bring, out of an archive.

use std::{collections::BTreeSet, fs::File, path::Path};

use anyhow::Context as _;
use faros_client::Client;
use faros_kubernetes::{Archive, BadArchive, Found};
use faros_model::{image_name::ImageName, oci::Platform};

use super::{Bytes, upload};
use crate::outcome::{Done, Error};

/// `content add --oci`: nothing is sent before all of the archive was looked at, and of each image what refers to
/// others comes last.
pub(crate) async fn add(
    client: &Client,
    path: &Path,
    name: Option<&str>,
    platform: Option<Platform>,
    as_json: bool,
) -> Result<Done, Error> {
    let name = name.map(|text| {
        let parsed: Result<ImageName, _> = text.parse();
        parsed.map_err(|why| Error::Usage(format!("`{text}` {why}")))
    });
    let name = name.transpose()?;
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let looked =
        tokio::task::spawn_blocking(move || Archive::open(file)?.images(platform.as_ref(), name.as_ref()));
    let images = looked.await.context("the look into the archive was cut off")?;
    let images = images.map_err(|error| refused(path, error))?;
    for image in &images {
        add_one(client, path, image, as_json).await?;
    }
    Ok(Done::Ok)
}

async fn add_one(client: &Client, path: &Path, image: &Found, as_json: bool) -> Result<(), Error> {
    let mut sent = BTreeSet::new();
    for part in &image.parts {
        // Images often have the same empty layer several times.
        if sent.insert(part.digest) {
            let from = Bytes::Part(path, part.offset, part.size);
            upload(client, &from, &image.name.blob_entry(part.digest), as_json).await?;
        }
    }
    let manifest = Bytes::Text(&image.manifest);
    upload(
        client,
        &manifest,
        &image.name.manifest_entry(image.digest),
        as_json,
    )
    .await?;
    upload(client, &manifest, &image.name.tag_entry(), as_json).await?;
    Ok(())
}

fn refused(path: &Path, error: BadArchive) -> Error {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    let failed = anyhow::Error::new(error);
    Error::Failed(anyhow::anyhow!(
        "{} cannot be added: {failed:#}{hint}",
        path.display()
    ))
}
