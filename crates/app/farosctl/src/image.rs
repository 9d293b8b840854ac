//! Building node images.

use std::path::PathBuf;

use anyhow::Context as _;
use faros_client::Client;
use faros_image::{Builder, Kernel};
use serde_json::json;

use crate::{
    args::ImageKernel,
    content::add_image,
    outcome::{Done, Error, print, say},
    progress::Steps,
    screens::size,
};

/// `image build`.
pub(crate) async fn build(
    client: &Client,
    kernel: ImageKernel,
    out: Option<PathBuf>,
    mirror: Option<String>,
    as_json: bool,
) -> Result<Done, Error> {
    let builder = Builder::new(match kernel {
        ImageKernel::Generic => Kernel::Generic,
        ImageKernel::Cloud => Kernel::Cloud,
    });
    let builder = match mirror {
        Some(mirror) => builder.mirror(mirror),
        None => builder,
    };
    if out.is_none() {
        // Found out before minutes of work rather than after them.
        client.status().await?;
    }
    let (folder, is_kept) = match out {
        Some(folder) => (folder, true),
        None => (
            std::env::temp_dir().join(format!("faros-image-{}", std::process::id())),
            false,
        ),
    };
    let steps = Steps::new(as_json);
    let to = folder.clone();
    let built = tokio::task::spawn_blocking(move || {
        let built = builder.build(&to, &mut |step| steps.begins(step));
        steps.end();
        built
    });
    let image = built
        .await
        .context("the build was cut off")?
        .map_err(anyhow::Error::new)?;
    if is_kept {
        if as_json {
            return print(&(json!(image).to_string() + "\n"));
        }
        for blob in image.blobs() {
            say(&format!(
                "{}: {}, sha256:{}",
                blob.file,
                size(blob.size),
                blob.digest
            ));
        }
        say(&format!("image {} is in {}", image.name, folder.display()));
        return Ok(Done::Ok);
    }
    let added = add_image(client, &folder, as_json).await;
    drop(std::fs::remove_dir_all(&folder));
    added
}
