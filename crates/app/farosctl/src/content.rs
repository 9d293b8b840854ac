//! Content: adding files and images, and verifying what is there.

pub(crate) mod archive;
pub(crate) mod release;

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
};

use anyhow::Context as _;
use faros_client::{Body, Client};
use faros_model::{api::ContentAdded, content::ImageManifest, ids::ContentName};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, Take};

use crate::{
    outcome::{Done, Error, print, say},
    screens::size,
};

/// `content add`.
pub(crate) async fn add(
    client: &Client,
    path: &Path,
    name: Option<&str>,
    as_json: bool,
) -> Result<Done, Error> {
    if path.is_dir() {
        if name.is_some() {
            let why = "an image or a release has the name that is in its manifest; leave --name out";
            return Err(Error::Usage(why.to_owned()));
        }
        return if path.join("release.json").is_file() {
            release::add(client, path, as_json).await
        } else {
            add_image(client, path, as_json).await
        };
    }
    let own = path.file_name().and_then(|name| name.to_str());
    let text = name.map_or_else(|| own.unwrap_or_default().to_lowercase(), str::to_owned);
    let name: Result<ContentName, _> = text.parse();
    let name = name.map_err(|why| anyhow::anyhow!("`{text}` {why}; give a name with --name"))?;
    upload(client, &Bytes::File(path), &name, as_json).await
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
        upload(client, &Bytes::File(&folder.join(&blob.file)), &name, as_json).await?;
    }
    let name: Result<ContentName, _> = format!("{}/image.json", image.name).parse();
    let name = name.map_err(|why| anyhow::anyhow!("`{}` {why}", image.name))?;
    upload(client, &Bytes::File(&path), &name, as_json).await
}

/// Where bytes that are added come from.
enum Bytes<'a> {
    /// All of a file.
    File(&'a Path),
    /// A part of a file, from here on, so many.
    Part(&'a Path, u64, u64),
    /// Memory.
    Text(&'a [u8]),
}

async fn upload(client: &Client, from: &Bytes<'_>, name: &ContentName, as_json: bool) -> Result<Done, Error> {
    let added = send(client, from, name, as_json).await?;
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

async fn send(
    client: &Client,
    from: &Bytes<'_>,
    name: &ContentName,
    as_json: bool,
) -> Result<ContentAdded, Error> {
    let (path, offset, length) = match from {
        Bytes::Text(text) => {
            let body = Full::from(text.to_vec()).map_err(|never| match never {});
            return Ok(client.add_content(name, body.boxed()).await?);
        }
        Bytes::File(path) => (path, 0, None),
        Bytes::Part(path, offset, length) => (path, *offset, Some(*length)),
    };
    let open = || format!("cannot read {}", path.display());
    let mut file = tokio::fs::File::open(path).await.with_context(open)?;
    let length = match length {
        Some(length) => length,
        None => file.metadata().await.with_context(open)?.len(),
    };
    file.seek(io::SeekFrom::Start(offset)).await.with_context(open)?;
    let bar = if as_json || !io::stderr().is_terminal() {
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
    let added = client
        .add_content(name, body(file.take(length), bar.clone()))
        .await?;
    bar.finish_and_clear();
    Ok(added)
}

/// A file as a body, read in pieces.
fn body(file: Take<tokio::fs::File>, bar: ProgressBar) -> Body {
    let pieces = futures_util::stream::unfold((file, bar), |(mut file, bar)| async {
        let mut piece = vec![0; 256 * 1024];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                bar.inc(length as u64);
                Some((Ok(Frame::data(piece.into())), (file, bar)))
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
