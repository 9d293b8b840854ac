//! Content: adding files and images, and verifying what is there.

use std::{fs, io::IsTerminal as _, path::Path};

use anyhow::Context as _;
use bytes::Bytes;
use faros_client::{Body, Client};
use faros_model::{content::ImageManifest, ids::ContentName};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::{
    outcome::{Done, Error, print, say},
    screens::size,
};

/// `content add`.
pub(crate) async fn add(
    client: &Client,
    path: &Path,
    name: Option<ContentName>,
    as_json: bool,
) -> Result<Done, Error> {
    if path.is_dir() {
        add_image(client, path, as_json).await
    } else {
        add_file(client, path, name, as_json).await
    }
}

async fn add_file(
    client: &Client,
    path: &Path,
    name: Option<ContentName>,
    as_json: bool,
) -> Result<Done, Error> {
    let name = match name {
        Some(name) => name,
        None => {
            let own = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let parsed: Result<ContentName, _> = own.to_lowercase().parse();
            parsed.map_err(|why| anyhow::anyhow!("`{own}` {why}; give a name with --name"))?
        }
    };
    upload(client, path, &name, as_json).await
}

/// The blobs first, then the manifest that names them, so that an image is there whole or not at all.
pub(crate) async fn add_image(client: &Client, folder: &Path, as_json: bool) -> Result<Done, Error> {
    let path = folder.join("image.json");
    let text = fs::read(&path)
        .with_context(|| format!("{} is no image: cannot read {}", folder.display(), path.display()))?;
    let image: ImageManifest =
        serde_json::from_slice(&text).with_context(|| format!("{} is no image manifest", path.display()))?;
    for blob in image.blobs() {
        let name: Result<ContentName, _> = format!("{}/{}", image.name, blob.file).parse();
        let name = name.map_err(|why| anyhow::anyhow!("`{}/{}` {why}", image.name, blob.file))?;
        upload(client, &folder.join(&blob.file), &name, as_json).await?;
    }
    let name: Result<ContentName, _> = format!("{}/image.json", image.name).parse();
    let name = name.map_err(|why| anyhow::anyhow!("`{}` {why}", image.name))?;
    upload(client, &path, &name, as_json).await
}

async fn upload(client: &Client, path: &Path, name: &ContentName, as_json: bool) -> Result<Done, Error> {
    let open = || format!("cannot read {}", path.display());
    let file = tokio::fs::File::open(path).await.with_context(open)?;
    let length = file.metadata().await.with_context(open)?.len();
    let bar = if as_json || !std::io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(length)
    };
    if let Ok(style) =
        ProgressStyle::with_template("{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}")
    {
        bar.set_style(style.progress_chars("##."));
    }
    bar.set_message(name.to_string());
    let added = client.add_content(name, body(file, bar.clone())).await?;
    bar.finish_and_clear();
    if as_json {
        return print(&(json!(added).to_string() + "\n"));
    }
    let (entry, what) = (
        &added.entry,
        if added.unchanged {
            "is there already"
        } else {
            "added"
        },
    );
    say(&format!(
        "{name}: {what}, {}, sha256:{}",
        size(entry.size),
        entry.digest
    ));
    Ok(Done::Ok)
}

/// A file as a body, read in pieces.
fn body(file: tokio::fs::File, bar: ProgressBar) -> Body {
    let pieces = futures_util::stream::unfold((file, bar), |(mut file, bar)| async {
        let mut piece = vec![0; 256 * 1024];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                bar.inc(length as u64);
                Some((Ok(Frame::data(Bytes::from(piece))), (file, bar)))
            }
            Err(error) => Some((Err(error), (file, bar))),
        }
    });
    StreamBody::new(pieces).boxed()
}

/// `content verify`.
pub(crate) async fn verify(client: &Client, as_json: bool) -> Result<Done, Error> {
    let mut lines = client.verify_content().await?;
    let mut bad = 0;
    while let Some(row) = lines.next().await? {
        bad += usize::from(row.state != "ok");
        let line = if as_json {
            json!(row).to_string()
        } else {
            format!("{:<8} {}", row.state, row.name)
        };
        print(&(line + "\n"))?;
    }
    if bad > 0 {
        say(&format!(
            "{bad} entries are not what they should be; add them again"
        ));
        return Ok(Done::Bad);
    }
    Ok(Done::Ok)
}
