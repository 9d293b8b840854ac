//! Releases of Kubernetes: building one, and adding it to the bastion's content.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use faros_client::Client;
use faros_kubernetes::{BuildError, Builder, Built, Step};
use faros_model::{
    content::Blob,
    ids::{ContentName, Digest},
    kubernetes::Release,
    oci::Document,
};
use serde_json::json;

use super::{Bytes, send, upload};
use crate::{
    args::BuildCommand,
    outcome::{Done, Error, print, say},
    progress::Steps,
    screens::size,
};

/// `content build kubernetes`.
pub(crate) async fn build(client: &Client, what: BuildCommand, as_json: bool) -> Result<Done, Error> {
    let BuildCommand::Kubernetes {
        version,
        output_dir,
        cache_dir,
        go,
    } = what;
    let cache = match cache_dir {
        Some(folder) => folder,
        None => std::env::home_dir()
            .map(|home| home.join(".cache/faros/kubernetes"))
            .context("there is no home folder; name a folder with --cache-dir")?,
    };
    let builder = Builder::new(version, cache).map_err(failed)?.go(go);
    if let Some(folder) = &output_dir {
        if folder
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_some())
        {
            return Err(Error::Refused(format!("{} is not empty", folder.display())));
        }
    } else {
        // Found out before minutes of work rather than after them.
        client.status().await?;
    }
    let steps = Steps::new(as_json);
    let built = tokio::task::spawn_blocking(move || {
        let built = builder.build(&mut |step| tell(&steps, step));
        steps.end();
        built
    });
    let built = built.await.context("the build was cut off")?.map_err(failed)?;
    match output_dir {
        Some(folder) => put(&built, &folder, as_json),
        None => bring(client, &built, as_json).await,
    }
}

/// Copies a release into a folder.
fn put(built: &Built, folder: &Path, as_json: bool) -> Result<Done, Error> {
    copy(&built.folder, folder)?;
    let Release {
        version,
        images,
        extension,
        ..
    } = &built.release;
    if as_json {
        let result = json!({ "folder": folder, "release": built.release });
        return print(&(result.to_string() + "\n"));
    }
    for image in images {
        say(&format!("{}: sha256:{}", image.name, image.digest));
    }
    say(&format!(
        "{}: {}, sha256:{}",
        extension.file,
        size(extension.size),
        extension.digest
    ));
    say(&format!("Kubernetes {version} is in {}", folder.display()));
    Ok(Done::Ok)
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let there = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &there)?;
        } else {
            fs::copy(&path, &there).with_context(|| format!("cannot write {}", there.display()))?;
        }
    }
    Ok(())
}

/// Sends what the bastion does not have.
async fn bring(client: &Client, built: &Built, as_json: bool) -> Result<Done, Error> {
    let held = client.contents().await?;
    let held: BTreeMap<ContentName, Digest> =
        held.into_iter().map(|entry| (entry.name, entry.digest)).collect();
    let (mut sent, mut there) = (0_u64, 0);
    for entry in entries(&built.folder, &built.release)? {
        if held.get(&entry.name) == Some(&entry.digest) {
            there += 1;
            continue;
        }
        sent += send(client, &Bytes::File(&entry.path), &entry.name, as_json)
            .await?
            .entry
            .size;
    }
    if as_json {
        let result = json!({ "release": built.release, "sentBytes": sent, "unchanged": there });
        return print(&(result.to_string() + "\n"));
    }
    let version = built.release.version;
    say(&format!(
        "Kubernetes {version} is on the bastion: sent {}, {there} entries were there already",
        size(sent)
    ));
    Ok(Done::Ok)
}

/// `content add` of a folder with `release.json`: all of it, whether or not the bastion has it, as what it has may be
/// damaged.
pub(super) async fn add(client: &Client, folder: &Path, as_json: bool) -> Result<Done, Error> {
    let path = folder.join("release.json");
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let release: Release = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no release manifest", path.display()))?;
    for entry in entries(folder, &release)? {
        upload(client, &Bytes::File(&entry.path), &entry.name, as_json).await?;
    }
    Ok(Done::Ok)
}

/// What is added, in the order in which it can be: `release.json` last.
struct Entry {
    name: ContentName,
    digest: Digest,
    path: PathBuf,
}

fn entries(folder: &Path, release: &Release) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let blobs = folder.join("images/blobs/sha256");
    for image in &release.images {
        let path = blobs.join(image.digest.to_string());
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Document = serde_json::from_slice(&text)
            .with_context(|| format!("{} is no manifest of an image", path.display()))?;
        entries.extend(manifest.descriptors().map(|part| Entry {
            name: image.name.blob_entry(part.digest),
            digest: part.digest,
            path: blobs.join(part.digest.to_string()),
        }));
        for name in [image.name.manifest_entry(image.digest), image.name.tag_entry()] {
            let (digest, path) = (image.digest, path.clone());
            entries.push(Entry { name, digest, path });
        }
    }
    let own = |file: &str, digest| {
        let name = release.version.entry(file);
        let name = name.with_context(|| format!("`{file}` cannot be a name in the content store"))?;
        let path = folder.join(file);
        anyhow::Ok(Entry { name, digest, path })
    };
    for Blob { file, digest, .. } in [&release.extension, &release.sbom] {
        entries.push(own(file, *digest)?);
    }
    let path = folder.join("release.json");
    let (digest, _) = faros_kubernetes::digest_of(&path).map_err(anyhow::Error::new)?;
    entries.push(own("release.json", digest)?);
    Ok(entries)
}

fn failed(error: BuildError) -> Error {
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    let failed = anyhow::Error::new(error);
    Error::Failed(anyhow::anyhow!("{failed:#}{hint}"))
}

/// Tells of a step: one that begins only where a line moves.
fn tell(steps: &Steps, step: Step) {
    match step {
        Step::Waits => steps.done("waiting for another build to end"),
        Step::Begins(what) => {
            if let Some(bar) = steps.moving() {
                bar.set_message(what);
            }
        }
        Step::Ended { what, kept: true, .. } => steps.done(&format!("{what}: kept from before")),
        Step::Ended { what, took, .. } => steps.done(&format!("{what}: {:.1} s", took.as_secs_f32())),
    }
}
