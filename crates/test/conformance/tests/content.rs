//! Content of a Kubernetes cluster by `farosctl`: a release that a quick Go built, and images out of archives that
//! `skopeo` made, into a real farosd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use faros_conformance::{Site, root};
use faros_model::{content::ContentEntry, kubernetes::Release};

/// A Go whose programs are scripts.
fn quick_go(folder: &Path) -> anyhow::Result<PathBuf> {
    let go = folder.join("go");
    fs::copy(root().join("crates/shell/kubernetes/tests/testdata/go"), &go)?;
    fs::write(folder.join("version"), "go1.99.0")?;
    let sources = folder.join("sources/build/pause/linux");
    fs::create_dir_all(&sources)?;
    fs::write(sources.join("pause.c"), "int main(void) { return 0; }\n")?;
    Ok(go)
}

fn skopeo(words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("skopeo").args(words).output().context("skopeo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "skopeo {words:?}: {said}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn names(site: &Site) -> anyhow::Result<Vec<String>> {
    let listed = site.lab.farosctl(&["content", "list", "--output", "json"])?;
    let entries: Vec<ContentEntry> = serde_json::from_slice(&listed.stdout)?;
    Ok(entries.into_iter().map(|entry| entry.name.to_string()).collect())
}

#[test]
fn a_release_and_images_of_ones_own_get_onto_the_bastion_whole_or_not_at_all() -> anyhow::Result<()> {
    let site = Site::up("content")?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name).display().to_string();
    let go = quick_go(folder.path())?.display().to_string();
    let build = [
        "content",
        "build",
        "kubernetes",
        "--go",
        &go,
        "--cache-dir",
        &path("cache"),
    ];

    // Onto the bastion; the second time there is nothing to send.
    let (said, code) = site.farosctl(&build)?;
    assert_eq!(code, 0, "{said}");
    let json = [&build[..], &["--output", "json"]].concat();
    let again: serde_json::Value = serde_json::from_slice(&site.lab.farosctl(&json)?.stdout)?;
    assert_eq!(again["sentBytes"], 0, "{again}");
    let release: Release = serde_json::from_value(again["release"].clone())?;
    let held = names(&site)?;
    for image in &release.images {
        assert!(
            held.contains(&image.name.tag_entry().to_string()),
            "{}",
            image.name
        );
    }
    assert!(held.contains(&release.version.release_entry().to_string()));
    assert_eq!(site.farosctl(&["content", "verify"])?.1, 0);

    // Into a folder, where a tool that is not ours reads the images.
    let out = path("out");
    let (said, code) = site.farosctl(&[&build[..], &["--output-dir", &out]].concat())?;
    assert_eq!(code, 0, "{said}");
    let pause = release.image("pause").context("pause")?;
    let from = format!("oci:{out}/images:{}", pause.name);
    let looked = skopeo(&["inspect", "--format", "{{.Digest}} {{.Architecture}}", &from])?;
    assert_eq!(looked.trim(), format!("sha256:{} amd64", pause.digest));
    assert_eq!(
        site.farosctl(&["content", "add", &out])?.1,
        0,
        "a folder is added as well"
    );

    // Archives of both kinds.
    let (oci, plain, docker) = (path("oci.tar"), path("plain"), path("docker.tar"));
    skopeo(&[
        "copy",
        "-q",
        &from,
        &format!("oci-archive:{oci}:example.com/pause:1"),
    ])?;
    skopeo(&["copy", "-q", "--dest-decompress", &from, &format!("dir:{plain}")])?;
    skopeo(&[
        "copy",
        "-q",
        &format!("dir:{plain}"),
        &format!("docker-archive:{docker}:example.com/pause:2"),
    ])?;
    for (archive, tag) in [(&oci, "1"), (&docker, "2")] {
        let (said, code) = site.farosctl(&["content", "add", "--oci", archive])?;
        assert_eq!(code, 0, "{said}");
        let entry = format!("registry/example.com/pause/tags/{tag}");
        assert!(names(&site)?.contains(&entry), "{entry}");
    }

    // What is wrong with an archive is told, and nothing of it is there.
    let before = names(&site)?;
    let whole = fs::read(&oci)?;
    let cut = path("cut.tar");
    fs::write(&cut, &whole[..whole.len() / 2])?;
    for (words, why) in [
        (vec![cut.as_str(), "--name", "example.com/cut:1"], "it is cut off"),
        (
            vec![go.as_str(), "--name", "example.com/go:1"],
            "it is not a tar archive",
        ),
        (
            vec![&oci, "--name", "example.com/arm:1", "--platform", "linux/arm64"],
            "is not there for linux/arm64",
        ),
        (vec![&oci, "--name", "example.com/x:CAPITAL"], "capital letters"),
    ] {
        let words = [&["content", "add", "--output", "json", "--oci"], words.as_slice()].concat();
        let (said, code) = site.farosctl(&words)?;
        assert!(code != 0 && said.contains(why), "{words:?}: {said}");
    }
    assert_eq!(names(&site)?, before);
    Ok(())
}
