//! A small web server as a container image, for pods that are to answer.

use std::{fs, path::Path};

use anyhow::Context as _;
use faros_model::ids::Digest;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::run::run;

/// The image's name.
pub const IMAGE: &str = "example.net/lab/web:1";

/// Debian's package `busybox-static`: a web server among others, which needs no libraries.
const BUSYBOX: &str = "/bin/busybox";

/// Writes the image as an archive such as `docker save` makes, into an empty `folder`; gives the archive's path.
///
/// # Errors
/// If there is no busybox, or `folder` cannot be written.
pub fn write_image(folder: &Path) -> anyhow::Result<std::path::PathBuf> {
    let text = |path: &Path| path.display().to_string();
    let (tree, image) = (folder.join("tree"), folder.join("image"));
    for path in [
        tree.join("bin"),
        tree.join("www"),
        tree.join("tmp"),
        image.clone(),
    ] {
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
    }
    fs::copy(BUSYBOX, tree.join("bin/busybox"))
        .context("there is no busybox; install the Debian package busybox-static")?;
    let pack = |from: &Path, to: &Path| {
        let words = [
            "--create",
            "--format=ustar",
            "--owner=0",
            "--group=0",
            "--mtime=@0",
        ];
        let ends = ["--file", &text(to), "--directory", &text(from), "."];
        run("tar", &[&words[..], &ends].concat())
    };
    let layer = image.join("layer.tar");
    pack(&tree, &layer)?;
    let digest = Digest(Sha256::digest(fs::read(&layer)?).into());
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": { "Entrypoint": [BUSYBOX], "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    fs::write(image.join("config.json"), config.to_string())?;
    let manifest = json!([{ "Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"] }]);
    fs::write(image.join("manifest.json"), manifest.to_string())?;
    let archive = folder.join("web.tar");
    pack(&image, &archive)?;
    Ok(archive)
}

/// A pod of that image on a node, which answers with its own name, at port 80 of the node too.
pub fn pod(name: &str, node: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "web" } },
        "spec": {
            "nodeName": node,
            "tolerations": [{ "operator": "Exists" }],
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "web", "image": IMAGE,
                "args": ["sh", "-c", "echo \"$HOSTNAME on $NODE\" >/www/index.html && exec busybox httpd -f -p 8080 -h /www"],
                "env": [{ "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                "ports": [{ "containerPort": 8080, "hostPort": 80 }],
            }],
        },
    })
    .to_string()
}
