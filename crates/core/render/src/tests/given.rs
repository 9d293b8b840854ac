//! What the tests give, and how they look at what they get: the examples' sites, an image, a release, and Ignition's
//! own verdict on the configs. The parser that is asked is the one of Debian's `ignition` package.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::Digest,
    kubernetes::{Image, Release},
    site::{Architecture, Node, Site},
};

use crate::{Install, ignition};

pub(super) const EXAMPLES: &[(&str, &str)] = &[
    ("smallest", include_str!("../../../../../examples/smallest.yaml")),
    (
        "branch-office",
        include_str!("../../../../../examples/branch-office.yaml"),
    ),
    (
        "everything",
        include_str!("../../../../../examples/everything.yaml"),
    ),
    (
        "three-nodes",
        include_str!("../../../../../examples/three-nodes.yaml"),
    ),
];

pub(super) fn site(name: &str) -> Site {
    let (_, text) = EXAMPLES.iter().find(|(own, _)| *own == name).unwrap();
    faros_site::load(text).unwrap().site
}

pub(super) fn config(site: &Site, node: &Node) -> String {
    let image = image();
    let install = Install {
        image: &image,
        thumbprint: THUMBPRINT,
        joining: None,
    };
    ignition(site, node, &install)
}

/// A thumbprint of the right form.
pub(super) const THUMBPRINT: &str = "_sEEzidniqAKvEbJXv6rV-F4C8aja8M5CvfOC0Kogi8";

pub(super) fn image() -> ImageManifest {
    let blob = |file: &str, byte| Blob {
        file: file.into(),
        digest: Digest([byte; 32]),
        size: 1,
    };
    ImageManifest {
        name: "debian-13".parse().unwrap(),
        architecture: Architecture::X86_64,
        family: Family::Faros,
        kernel: blob("vmlinuz", 0xaa),
        initramfs: blob("initramfs.img", 0xbb),
        root: Some(blob("root.tar.zst", 0xcc)),
        root_bytes: 400 << 20,
        local_boot: Some(blob("local-boot.efi", 0xdd)),
        kernel_arguments: vec!["quiet".into()],
        packages: vec![],
    }
}

pub(super) fn release() -> Release {
    let image = |name: &str| Image {
        name: format!("faros.dev/kubernetes/{name}").parse().unwrap(),
        digest: Digest([1; 32]),
    };
    let blob = |file: &str, byte| Blob {
        file: file.into(),
        digest: Digest([byte; 32]),
        size: 1,
    };
    Release {
        version: "v1.36.3".parse().unwrap(),
        architecture: Architecture::X86_64,
        components: vec![],
        images: ["coredns:v1.15.0", "etcd:3.7.3", "pause:3.10.2"]
            .map(image)
            .into(),
        extension: blob("kubernetes-v1.36.3.raw", 0xee),
        sbom: blob("sbom.json", 0xff),
    }
}

#[expect(clippy::disallowed_methods, reason = "the verdict is another program's")]
pub(super) fn validate(config: &str, what: &str) {
    let mut validate = Command::new("ignition-validate")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("install the Debian package ignition");
    validate
        .stdin
        .take()
        .unwrap()
        .write_all(config.as_bytes())
        .unwrap();
    let output = validate.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}\n{config}");
    assert!(!said.contains("warning"), "{what}: {said}");
}

pub(super) fn decoded(file: &serde_json::Value) -> String {
    let text = file["contents"]["source"]
        .as_str()
        .unwrap()
        .strip_prefix("data:,")
        .unwrap();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        out.push(char::from(u8::from_str_radix(&after[..2], 16).unwrap()));
        rest = &after[2..];
    }
    out + rest
}
