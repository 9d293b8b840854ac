//! Takes the boot loaders of Debian's package `ipxe` into the content store.

use faros_model::{event::EventKind, ids::ContentName};
use jiff::Timestamp;
use serde_json::json;

use crate::daemon::Shared;

/// Loaders that machines are told to load; those of other architectures may not be installed.
const LOADERS: &[&str] = &[
    "undionly.kpxe",
    "ipxe.efi",
    "snponly.efi",
    "ipxe-arm64.efi",
    "snponly-arm64.efi",
];

/// Imports each loader that is there; one that is in the store already, unchanged, costs a read.
pub(crate) fn import(shared: &Shared) {
    for file in LOADERS {
        let path = shared.options.loaders.join(file);
        let Ok(name) = format!("loader/{file}").parse::<ContentName>() else {
            continue;
        };
        if !path.is_file() {
            let known = shared.store.content(&name).ok().flatten().is_some();
            if !known && !file.contains("arm64") {
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
