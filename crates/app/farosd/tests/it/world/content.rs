//! Content that has all it must have, and neither boots nor runs.

use bytes::Bytes;
use faros_model::{content::ContentEntry, ids::Digest};
use http_body_util::{BodyExt as _, Full};
use sha2::{Digest as _, Sha256};

use super::{Outcome, World};

impl World {
    /// Adds an image to the content that has all an image has, and boots nothing.
    pub(crate) async fn add_image(&self, name: &str) -> Outcome {
        let mut blobs = serde_json::Map::new();
        for (key, file) in [
            ("kernel", "vmlinuz"),
            ("initramfs", "initramfs.img"),
            ("root", "root.tar.zst"),
        ] {
            let entry = self
                .add(&format!("{name}/{file}"), format!("{file} of {name}"))
                .await?;
            let blob = serde_json::json!({ "file": file, "digest": entry.digest, "size": entry.size });
            blobs.insert(key.to_owned(), blob);
        }
        blobs.insert("name".to_owned(), name.into());
        blobs.insert("architecture".to_owned(), "x86_64".into());
        self.add(&format!("{name}/image.json"), serde_json::to_string(&blobs)?)
            .await?;
        Ok(())
    }

    /// Adds a release of Kubernetes to the content that has all a release has, and runs nothing.
    pub(crate) async fn add_release(&self, version: &str) -> Outcome {
        let mut images = vec![];
        for (component, tag) in [("etcd", "3.6.5"), ("coredns", "v1.12.1"), ("pause", "3.10.1")] {
            let folder = format!("registry/faros.dev/kubernetes/{component}");
            let config =
                format!("{{\"architecture\":\"amd64\",\"os\":\"linux\",\"author\":\"{component}\"}}");
            let hex = sha256(&config);
            self.add(&format!("{folder}/blobs/{hex}"), config.clone()).await?;
            let manifest = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": format!("sha256:{hex}"), "size": config.len(),
                },
                "layers": [],
            });
            let tagged = self
                .add(&format!("{folder}/tags/{tag}"), manifest.to_string())
                .await?;
            images.push(serde_json::json!({
                "name": format!("faros.dev/kubernetes/{component}:{tag}"), "digest": tagged.digest,
            }));
        }
        let mut blobs = vec![];
        for file in [format!("kubernetes-{version}.raw"), "sbom.cdx.json".to_owned()] {
            let entry = self
                .add(
                    &format!("kubernetes/{version}/{file}"),
                    format!("{file} of {version}"),
                )
                .await?;
            blobs.push(serde_json::json!({ "file": file, "digest": entry.digest, "size": entry.size }));
        }
        let release = serde_json::json!({
            "version": version, "architecture": "x86_64", "components": [], "images": images,
            "extension": blobs[0], "sbom": blobs[1],
        });
        self.add(&format!("kubernetes/{version}/release.json"), release.to_string())
            .await?;
        Ok(())
    }

    pub(crate) async fn add(&self, name: &str, text: String) -> anyhow::Result<ContentEntry> {
        let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
        let name = name.parse().map_err(|why| anyhow::anyhow!("`{name}` {why}"))?;
        let added = self.client().add_content(&name, body.boxed()).await?;
        Ok(added.entry)
    }
}

fn sha256(text: &str) -> String {
    Digest(Sha256::digest(text.as_bytes()).into()).to_string()
}
