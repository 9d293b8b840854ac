//! Hands a command on to kubectl, with a certificate that is made for it and ends soon.
//!
//! The kubeconfig is in memory alone: kubectl takes this program's place and reads it from a file that has no name,
//! which is gone with it. So its input, terminal, signals and exit code are its own.

use std::{
    ffi::OsStr,
    fs,
    io::Write as _,
    os::{
        fd::AsRawFd as _,
        unix::{fs::PermissionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use faros_client::Client;
use faros_model::{
    api::Credentials,
    ids::Digest,
    kubernetes::{KubeVersion, Release},
};
use rustix::fs::{MemfdFlags, memfd_create};

use super::{
    credentials::{Wanted, get},
    kubeconfig::Kubeconfig,
};
use crate::{
    args::Kubectl,
    outcome::{Done, Error, say},
};

/// `kubectl`; comes back only if it cannot be begun.
pub(crate) async fn kubectl(client: &Client, wanted: Kubectl) -> Result<Done, Error> {
    let program = match wanted.program {
        Some(program) => program,
        None => match on_path("kubectl") {
            Some(program) => program,
            None => of_release(client).await?,
        },
    };
    let (own, key) = get(client, Wanted::of(wanted.whose, wanted.time)).await?;
    let text = Kubeconfig::new(&own, &key).await.text();
    // Without the flag that would close it: kubectl is to have it.
    let memory = memfd_create("kubeconfig", MemfdFlags::empty()).context("there is no memory")?;
    let mut memory = fs::File::from(memory);
    memory.write_all(text.as_bytes()).context("there is no memory")?;
    let failed = Command::new(&program)
        .args(&wanted.args)
        .env("KUBECONFIG", format!("/proc/self/fd/{}", memory.as_raw_fd()))
        .envs(["NO_PROXY", "no_proxy"].map(|name| (name, around_proxies(name, &own))))
        .exec();
    let what = format!("cannot run {}", program.display());
    Err(Error::Failed(anyhow::Error::new(failed).context(what)))
}

/// The API of a site is reached from the site, whatever proxy this machine has for the rest of the world.
fn around_proxies(variable: &str, own: &Credentials) -> String {
    let before = std::env::var(variable).unwrap_or_default();
    let direct = [before, own.server.clone(), own.address.to_string()];
    let direct: Vec<String> = direct.into_iter().filter(|item| !item.is_empty()).collect();
    direct.join(",")
}

fn on_path(name: &str) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(is_program)
}

/// The one of the release, out of the extension of its nodes; kept where it was unpacked.
async fn of_release(client: &Client) -> Result<PathBuf, Error> {
    const HINT: &str = "no kubectl is on the PATH; install one, or name it with --kubectl";
    let version = client.cluster().await?.version.context(HINT)?;
    let state = PathBuf::from(client.status().await?.state_dir);
    let extension = extension_of(client, &state, version).await.context(HINT)?;
    let cache = std::env::home_dir().context(HINT)?.join(".cache/faros/kubectl");
    let folder = cache.join(extension.to_string());
    let program = folder.join("usr/bin/kubectl");
    if program.exists() {
        return Ok(program);
    }
    say(&format!("unpacking kubectl {version} from the content store"));
    unpack(&blob(&state, extension), &cache, &folder).context(HINT)?;
    Ok(program)
}

async fn extension_of(client: &Client, state: &Path, version: KubeVersion) -> anyhow::Result<Digest> {
    let name = version.release_entry();
    let contents = client.contents().await?;
    let entry = contents.into_iter().find(|entry| entry.name == name);
    let entry = entry.with_context(|| format!("{name} is not in the content store"))?;
    let path = blob(state, entry.digest);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let release: Release = serde_json::from_slice(&text).with_context(|| format!("{name} is none"))?;
    Ok(release.extension.digest)
}

fn blob(state: &Path, digest: Digest) -> PathBuf {
    state.join("content/sha256").join(digest.to_string())
}

/// Beside and renamed, so that a half one is never run.
fn unpack(extension: &Path, cache: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
    let beside = cache.join(format!("new-{}", std::process::id()));
    let done = Command::new("unsquashfs")
        .args([
            OsStr::new("-no-progress"),
            OsStr::new("-quiet"),
            OsStr::new("-dest"),
        ])
        .arg(&beside)
        .args([extension.as_os_str(), OsStr::new("usr/bin/kubectl")])
        .output()
        .context("cannot run unsquashfs, of the package squashfs-tools")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "unsquashfs: {}", said.trim());
    // Another one may have been quicker.
    if fs::rename(&beside, folder).is_err() {
        drop(fs::remove_dir_all(&beside));
    }
    Ok(())
}
