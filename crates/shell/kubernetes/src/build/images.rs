//! Which images a release has, and what is in each.

use faros_model::kubernetes::IMAGE_REPOSITORY;

use super::Ready;
use crate::{debian::Linked, error::BuildError, files::Files, image::Recipe, lock::LockedRelease};

/// Images of one program, with the path at which kubeadm's manifests, or its makers' image, have it.
const PROGRAMS: &[(&str, &str)] = &[
    ("kube-apiserver", "/usr/local/bin/kube-apiserver"),
    (
        "kube-controller-manager",
        "/usr/local/bin/kube-controller-manager",
    ),
    ("kube-scheduler", "/usr/local/bin/kube-scheduler"),
    ("kube-proxy", "/usr/local/bin/kube-proxy"),
    ("etcd", "/usr/local/bin/etcd"),
    ("coredns", "/coredns"),
    ("pause", "/pause"),
];

/// The images of a release.
pub(super) fn recipes(
    release: &LockedRelease,
    ready: &[Ready],
    nft: &Linked,
) -> Result<Vec<Recipe>, BuildError> {
    let mut recipes = Vec::new();
    for (name, path) in PROGRAMS {
        let missing = || BuildError::Lock(format!("it has no {name}"));
        let ready = ready.iter().find(|ready| ready.program.name == *name);
        let Ready {
            program, path: from, ..
        } = ready.ok_or_else(missing)?;
        let mut files = Files::default();
        files.program(path, from);
        if *name != "pause" {
            base(&mut files);
        }
        if *name == "kube-proxy" {
            for (there, here) in &nft.files {
                files.program(there, here);
            }
        }
        // kubeadm asks for etcd by its version alone.
        let tag = match *name {
            "etcd" => program.version.trim_start_matches('v'),
            "pause" => &release.pause,
            _ => &program.version,
        };
        let image = format!("{IMAGE_REPOSITORY}/{name}:{tag}");
        recipes.push(Recipe {
            name: image
                .parse()
                .map_err(|why| BuildError::Lock(format!("`{image}` {why}")))?,
            files,
            entrypoint: vec![(*path).to_owned()],
            user: (*name == "pause").then(|| "65535:65535".to_owned()),
            version: program.version.clone(),
        });
    }
    Ok(recipes)
}

/// What programs expect of a system, however small.
fn base(files: &mut Files) {
    files.folder("tmp", 0o1777);
    files.text(
        "etc/passwd",
        "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n",
    );
    files.text("etc/group", "root:x:0:\nnogroup:x:65534:\n");
    files.text("etc/nsswitch.conf", "hosts: files dns\n");
}
