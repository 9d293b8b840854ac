//! Takes the boot loaders of Debian's package `ipxe` into the content store.

use faros_model::{
    api::Missing,
    event::EventKind,
    ids::ContentName,
    site::{Architecture, Node},
};
use jiff::Timestamp;
use serde_json::json;

use crate::{daemon::Shared, pages::reading};

/// Loaders that machines are told to load, and that the package has.
const LOADERS: &[&str] = &["undionly.kpxe", "ipxe.efi", "snponly.efi"];

/// Those of 64-bit Arm. The package of Debian 12 has none.
const OF_ARM: &[&str] = &["ipxe-arm64.efi", "snponly-arm64.efi"];

/// Imports each loader that is there; one that is in the store already, unchanged, costs a read.
pub(crate) fn import(shared: &Shared) {
    for file in LOADERS.iter().chain(OF_ARM) {
        let path = shared.options.loaders.join(file);
        let Some(name) = name_of(file) else {
            continue;
        };
        if !path.is_file() {
            let known = shared.store.content(&name).ok().flatten().is_some();
            if !known && !OF_ARM.contains(file) {
                tracing::warn!(
                    loader = %path.display(),
                    "not found: machines that need it cannot boot; install the Debian package ipxe"
                );
            }
            continue;
        }
        match shared.store.import_file(name.clone(), &path, Timestamp::now()) {
            Ok(added) if added.unchanged => (),
            Ok(added) => {
                let entry = added.entry;
                tracing::info!(%name, digest = %entry.digest, size = entry.size, "imported");
                let detail = json!({ "name": name, "digest": entry.digest, "size": entry.size });
                shared.tell(EventKind::ContentAdded, detail);
            }
            Err(error) => tracing::error!(loader = %path.display(), "{:#}", anyhow::Error::new(error)),
        }
    }
}

/// The loaders that these nodes need, that the package may not have, and that are not in the content store.
pub(crate) async fn missing(shared: &Shared, nodes: impl Iterator<Item = &Node>) -> Vec<Missing> {
    let nodes = nodes.filter(|node| node.architecture == Architecture::Aarch64);
    let needed_by: Vec<_> = nodes.map(|node| node.name.clone()).collect();
    if needed_by.is_empty() {
        return vec![];
    }
    let mut missing = vec![];
    for file in OF_ARM {
        let Some(name) = name_of(file) else {
            continue;
        };
        let asked = name.clone();
        if matches!(
            reading(shared, move |store| store.content(&asked)).await,
            Ok(None)
        ) {
            missing.push(Missing {
                what: format!("the boot loader {file}"),
                needed_by: needed_by.clone(),
                command: format!("farosctl content add {file} --name {name}"),
                blocks: false,
            });
        }
    }
    missing
}

fn name_of(file: &str) -> Option<ContentName> {
    format!("loader/{file}").parse().ok()
}
