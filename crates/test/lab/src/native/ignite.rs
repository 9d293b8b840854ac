//! The install of a native node: what its config says, written to its disk.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};
use faros_model::ids::Digest;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{SMALL, make_disk, on_disk};
use crate::{image, run::run};

/// Asks the bastion for an address and the boot script, as firmware does; `None` if that says that the node has a disk
/// to start from, else the address of the node's config.
pub(super) fn boot(namespace: &str, disk: &Path) -> anyhow::Result<Option<String>> {
    make_disk(disk)?;
    let firmware = disk.join("firmware");
    fs::write(&firmware, include_str!("../../files/native/firmware"))?;
    fs::set_permissions(&firmware, fs::Permissions::from_mode(0o755))?;
    let script = inside(
        namespace,
        &[
            &firmware.display().to_string(),
            &disk.join("boot-file").display().to_string(),
        ],
    )
    .context("the node does not network-boot")?;
    let script = String::from_utf8(script).context("the boot script is no text")?;
    let mut words = script.split_whitespace();
    let config = words.find_map(|word| word.strip_prefix("ignition.config.url="));
    if config.is_none() {
        ensure!(
            script.contains("booting the local disk"),
            "the bastion has nothing for the node: {script}"
        );
    }
    Ok(config.map(str::to_owned))
}

/// Installs the node by the config at `url`; gives the root file system of its image.
pub(super) fn install(namespace: &str, disk: &Path, url: &str) -> anyhow::Result<PathBuf> {
    let cleared = |path: &Path, done: std::io::Result<()>| match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot clear {}", path.display()))
        }
        _ => Ok(()),
    };
    for old in ["upper", "var", "work", "root", "stage"].map(|name| disk.join(name)) {
        cleared(&old, fs::remove_dir_all(&old))?;
    }
    let small = disk.join(SMALL);
    cleared(&small, fs::remove_file(&small))?;
    fs::create_dir_all(disk.join("upper"))?;
    let config: Value = serde_json::from_slice(&fetch(namespace, url)?).context("the config is not JSON")?;
    let (mut files, mut recipe) = (Vec::new(), None);
    for file in list(&config, "/storage/files") {
        let path = text(file, "/path")?;
        let bytes = contents(namespace, file).with_context(|| format!("cannot get {path}"))?;
        if path == "/etc/faros/install.json" {
            recipe = Some(serde_json::from_slice::<Value>(&bytes)?);
        }
        let mode = file.get("mode").and_then(Value::as_u64).unwrap_or(0o644);
        files.push((path.to_owned(), bytes, u32::try_from(mode)?));
    }
    let recipe = recipe.context("the config does not say how to install")?;
    let base = image::root(
        text(&recipe, "/root/sha256")?
            .parse()
            .map_err(anyhow::Error::msg)?,
    )?;
    run(
        "cp",
        &[
            "-a",
            "--reflink=auto",
            &base.join("var").display().to_string(),
            &disk.join("var").display().to_string(),
        ],
    )?;
    for folder in list(&config, "/storage/directories") {
        fs::create_dir_all(on_disk(disk, text(folder, "/path")?))?;
    }
    for (path, bytes, mode) in files {
        write(disk, &path, &bytes, mode)?;
    }
    for unit in list(&config, "/systemd/units") {
        install_unit(disk, &base, unit)?;
    }
    let report = disk.join("report");
    fs::copy(on_disk(disk, "/etc/faros/report"), &report)?;
    Ok(base)
}

/// Tells the bastion that the node's disk is whole.
pub(super) fn report_installed(namespace: &str, disk: &Path) -> anyhow::Result<()> {
    let url = fs::read_to_string(disk.join("report"))?;
    let words = "curl -sS --fail --retry 20 --retry-all-errors -H Content-Type:application/json -d";
    let mut words: Vec<&str> = words.split(' ').collect();
    words.extend([r#"{"report":"installed","seconds":1}"#, url.trim()]);
    inside(namespace, &words).map(drop)
}

/// Writes a file to the node's disk, with the folders that it is in.
pub(super) fn write(disk: &Path, path: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
    let own = on_disk(disk, path);
    let write = || {
        fs::create_dir_all(own.parent().unwrap_or(disk))?;
        fs::write(&own, bytes)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(mode))
    };
    write().with_context(|| format!("cannot write {}", own.display()))
}

/// A unit, as Ignition and the first start of systemd have it.
fn install_unit(disk: &Path, base: &Path, unit: &Value) -> anyhow::Result<()> {
    let name = text(unit, "/name")?;
    let folder = "/etc/systemd/system";
    if unit.get("mask") == Some(&Value::Bool(true)) {
        return link(disk, &format!("{folder}/{name}"), "/dev/null");
    }
    let mut said = unit.get("contents").and_then(Value::as_str).map(str::to_owned);
    if let Some(contents) = &said {
        write(disk, &format!("{folder}/{name}"), contents.as_bytes(), 0o644)?;
    } else {
        said = fs::read_to_string(base.join("usr/lib/systemd/system").join(name)).ok();
    }
    for dropin in list(unit, "/dropins") {
        let path = format!("{folder}/{name}.d/{}", text(dropin, "/name")?);
        write(disk, &path, text(dropin, "/contents")?.as_bytes(), 0o644)?;
    }
    if unit.get("enabled") == Some(&Value::Bool(true)) {
        let wanted = said.with_context(|| format!("there is no unit {name} to enable"))?;
        let by = wanted.lines().filter_map(|line| line.strip_prefix("WantedBy="));
        for target in by.flat_map(str::split_whitespace) {
            let from = format!("{folder}/{target}.wants/{name}");
            link(disk, &from, &format!("{folder}/{name}"))?;
        }
    }
    Ok(())
}

fn link(disk: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    let own = on_disk(disk, from);
    let make = || {
        fs::create_dir_all(own.parent().unwrap_or(disk))?;
        symlink(to, &own)
    };
    make().with_context(|| format!("cannot link {}", own.display()))
}

/// What is in a file of the config: in itself, or fetched and held against its hash.
fn contents(namespace: &str, file: &Value) -> anyhow::Result<Vec<u8>> {
    let Some(source) = file.pointer("/contents/source").and_then(Value::as_str) else {
        return Ok(vec![]);
    };
    let bytes = if let Some(data) = source.strip_prefix("data:;base64,") {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        STANDARD.decode(data).context("a `data:` URL is malformed")?
    } else if let Some(data) = source.strip_prefix("data:,") {
        percent_decoded(data)?
    } else {
        fetch(namespace, source)?
    };
    if let Some(hash) = file
        .pointer("/contents/verification/hash")
        .and_then(Value::as_str)
    {
        let found = format!("sha256-{}", Digest(Sha256::digest(&bytes).into()));
        ensure!(found == hash, "it is {found} and was to be {hash}");
    }
    Ok(bytes)
}

fn percent_decoded(data: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = data.bytes();
    let mut out = Vec::with_capacity(data.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
            bail!("a `data:` URL is malformed");
        };
        out.push(u8::try_from(high * 16 + low)?);
    }
    Ok(out)
}

fn fetch(namespace: &str, url: &str) -> anyhow::Result<Vec<u8>> {
    let words = [
        "curl",
        "-sS",
        "--fail",
        "--retry",
        "10",
        "--retry-all-errors",
        url,
    ];
    inside(namespace, &words)
}

/// What a program prints that runs in the node's network.
fn inside(namespace: &str, words: &[&str]) -> anyhow::Result<Vec<u8>> {
    let output = Command::new("nsenter")
        .arg(format!("--net=/run/netns/{namespace}"))
        .args(words)
        .stdin(Stdio::null())
        .output()
        .context("cannot run nsenter")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{words:?}: {}", said.trim());
    Ok(output.stdout)
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, pointer: &str) -> anyhow::Result<&'a str> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.with_context(|| format!("the config has no text at {pointer}"))
}
