//! What a node needs to join a cluster: its programs as a system extension, and the files and units that make them
//! one with the site.

use faros_cluster::{Images, NodeParts, Unit, node_parts};
use faros_model::{
    content::Blob,
    site::{Node, Site},
};
use serde_json::{Value, json};

use crate::{
    data_url,
    install::{Install, Joining, content_url},
};

/// Where systemd looks for extensions of the system.
const EXTENSIONS: &str = "/var/lib/extensions";

/// What merges them with the system at each start.
const MERGES: &str = "systemd-sysext.service";

/// Files, in Ignition's words.
pub(crate) fn files(site: &Site, node: &Node, install: &Install<'_>) -> Vec<Value> {
    let Some((joining, parts)) = parts(site, node, install) else {
        return vec![];
    };
    let files = parts.files.iter().map(|own| {
        json!({
            "path": own.path,
            "mode": own.mode,
            "overwrite": true,
            "contents": { "source": data_url::compact(&own.text) },
        })
    });
    std::iter::once(extension(site, &joining.release.extension))
        .chain(files)
        .collect()
}

/// The programs: fetched when the node is installed, and held against their hash.
fn extension(site: &Site, blob: &Blob) -> Value {
    json!({
        "path": format!("{EXTENSIONS}/{}", blob.file),
        "mode": 0o644,
        "overwrite": true,
        "contents": {
            "source": content_url(site, blob),
            "verification": { "hash": format!("sha256-{}", blob.digest) },
        },
    })
}

/// Units, in Ignition's words.
pub(crate) fn units(site: &Site, node: &Node, install: &Install<'_>) -> Vec<Value> {
    let Some((_, parts)) = parts(site, node, install) else {
        return vec![];
    };
    let unit = |own: Unit| match own.text {
        Some(text) => json!({ "name": own.name, "enabled": true, "contents": text }),
        None => json!({ "name": own.name, "mask": true }),
    };
    let merges = json!({ "name": MERGES, "enabled": true });
    std::iter::once(merges)
        .chain(parts.units.into_iter().map(unit))
        .collect()
}

/// `None` for a site without a cluster; and for a release or a pod network that was refused before it came to this.
fn parts<'a>(site: &Site, node: &Node, install: &Install<'a>) -> Option<(Joining<'a>, NodeParts)> {
    let joining = install.joining?;
    let images = Images::of(joining.release).ok()?;
    let parts = node_parts(site, node, &images, &joining.bond).ok()?;
    Some((joining, parts))
}
