//! The registry with the clients that pull from it: containerd's `ctr`, `skopeo`, and `curl` for what they never ask.

mod world;

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use faros_conformance::story::word;
use serde_json::Value;

use crate::world::{NODE, PATIENCE, PAUSE, REGISTRY, STRANGER, World};

#[test]
fn containerd_and_skopeo_pull_what_the_site_has_and_nothing_is_pushed() -> anyhow::Result<()> {
    let mut world = World::up("t-registry-pull")?;
    world.add(&format!("{PAUSE}:3.10.2"), 100_000)?;
    world.add("docker.io/library/app:1", 300_000)?;
    let ctr = world.containerd()?;
    let hosts = world.path("containerd/certs.d").display().to_string();
    let run = |world: &mut World, words: &[&str]| {
        let all: Vec<&str> = ctr
            .iter()
            .map(String::as_str)
            .chain(words.iter().copied())
            .collect();
        world.site.said(NODE, &all)
    };
    // By the name that the image has anywhere.
    for image in ["faros.dev/kubernetes/pause:3.10.2", "docker.io/library/app:1"] {
        let said = run(&mut world, &["content", "fetch", "--hosts-dir", &hosts, image])?;
        ensure!(said.contains("done"), "{said}");
    }
    let pull = ["image", "pull", "--hosts-dir", &hosts, "--snapshotter", "native"];
    let said = run(&mut world, &[&pull[..], &["docker.io/library/app:1"]].concat())?;
    ensure!(said.contains("done"), "{said}");
    let said = run(&mut world, &[&pull[..], &["docker.io/library/other:1"]].concat())?;
    ensure!(said.contains("not found"), "{said}");
    let refused = world
        .site
        .events()?
        .into_iter()
        .rfind(|event| event.kind.as_str() == "image-refused");
    let refused = refused.context("nothing was told")?;
    assert_eq!(
        (word(&refused, "image"), word(&refused, "reason")),
        ("docker.io/library/other:1", "unknown")
    );

    let certificates = world.folder.path().display().to_string();
    let source = format!("docker://{REGISTRY}/{PAUSE}");
    let mut skopeo = |words: &[&str]| world.site.said(NODE, &[&["skopeo"], words].concat());
    let said = skopeo(&["list-tags", "--cert-dir", &certificates, &source])?;
    ensure!(said.contains("\"3.10.2\""), "{said}");
    let tagged = format!("{source}:3.10.2");
    let said = skopeo(&["inspect", "--cert-dir", &certificates, &tagged])?;
    ensure!(said.contains("\"Digest\": \"sha256:"), "{said}");
    let layout = format!("oci:{certificates}/copy:3.10.2");
    let said = skopeo(&[
        "copy",
        "--insecure-policy",
        "--src-cert-dir",
        &certificates,
        &tagged,
        &layout,
    ])?;
    ensure!(said.contains("Writing manifest"), "{said}");
    let elsewhere = format!("docker://{REGISTRY}/docker.io/library/mine:1");
    let said = skopeo(&[
        "copy",
        "--insecure-policy",
        "--dest-cert-dir",
        &certificates,
        &layout,
        &elsewhere,
    ])?;
    ensure!(said.contains("farosctl content add"), "{said}");
    Ok(())
}

#[test]
fn nobody_gets_what_is_no_image_nor_an_image_that_is_not_theirs() -> anyhow::Result<()> {
    let mut world = World::up("t-registry-other")?;
    world.add("docker.io/library/app:1", 50_000)?;
    world.site.add_dummy_image()?;
    // The packet filter shuts a stranger out; if it were open to them, they would still get nothing.
    let (said, code) = world.site.farosctl(&["content", "list", "--output", "json"])?;
    ensure!(code == 0, "{said}");
    let listed: Value = serde_json::from_str(&said)?;
    let system = listed.as_array().into_iter().flatten().find(|entry| {
        entry["name"]
            .as_str()
            .is_some_and(|name| name.ends_with("vmlinuz"))
    });
    let system = system
        .and_then(|entry| entry["digest"].as_str())
        .context("no kernel")?;
    let code = ["-o", "/dev/null", "-w", "%{http_code}"];
    let layer = world.layers[0].clone();
    for (path, expected) in [
        (format!("/v2/docker.io/library/app/blobs/sha256:{layer}"), "200"),
        (
            format!("/v2/library/app/blobs/sha256:{layer}?ns=docker.io"),
            "200",
        ),
        (format!("/v2/docker.io/library/app/blobs/sha256:{system}"), "404"),
        (format!("/v2/docker.io/library/other/blobs/sha256:{layer}"), "404"),
        (
            format!("/v2/docker.io/library/app/manifests/sha256:{system}"),
            "404",
        ),
        ("/v2/docker.io/library/app/manifests/..".to_owned(), "404"),
        ("/content/sha256/x".to_owned(), "404"),
    ] {
        let said = world.curl(NODE, &[&code[..], &["--path-as-is"]].concat(), &path)?;
        assert_eq!(said, expected, "{path}");
    }
    let said = world.curl(STRANGER, &["--max-time", "3"], "/v2/")?;
    ensure!(said.contains("timed out"), "{said}");
    let listed = world.curl(NODE, &["-i"], "/v2/docker.io/library/app/tags/list?n=1")?;
    ensure!(
        listed.contains(r#"{"name":"docker.io/library/app","tags":["1"]}"#),
        "{listed}"
    );
    let other = world.curl(
        NODE,
        &["-i", "-H", "Accept: text/html"],
        "/v2/library/app/manifests/1?ns=docker.io",
    )?;
    ensure!(
        other.contains("404") && other.contains("MANIFEST_UNKNOWN"),
        "{other}"
    );
    let none = world.curl(
        NODE,
        &[],
        &format!("/v2/docker.io/library/app/referrers/sha256:{layer}"),
    )?;
    ensure!(none.contains(r#""manifests":[]"#), "{none}");
    // Whoever does not know the site's root does not take the bastion for itself.
    let said = world
        .site
        .said(NODE, &["curl", "-sS", &format!("https://{REGISTRY}/v2/")])?;
    ensure!(said.contains("certificate"), "{said}");
    Ok(())
}

#[test]
fn a_pull_that_was_cut_off_goes_on_where_it_was_and_many_go_on_at_once() -> anyhow::Result<()> {
    const SIZE: usize = 20_000_000;
    let mut world = World::up("t-registry-cut")?;
    world.add("docker.io/library/app:1", SIZE)?;
    let layer = world.layers[0].clone();
    let path = format!("/v2/docker.io/library/app/blobs/sha256:{layer}");
    let got = world.path("got").display().to_string();
    // A part by range, then farosd dies in the middle of the rest.
    let first = world.curl(
        NODE,
        &[
            "-o",
            &got,
            "-r",
            "0-999999",
            "-w",
            "%{http_code} %{size_download}",
        ],
        &path,
    )?;
    assert_eq!(first, "206 1000000");
    let ca = world.path("ca.crt").display().to_string();
    let url = format!("https://{REGISTRY}{path}");
    let slow = [
        "curl",
        "-sS",
        "--cacert",
        &ca,
        "-C",
        "-",
        "-o",
        &got,
        "--limit-rate",
        "1M",
        &url,
    ];
    let mut cut = world
        .site
        .lab
        .command(NODE, &slow)?
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + PATIENCE;
    while fs::metadata(&got)?.len() <= 1_000_000 {
        ensure!(Instant::now() < deadline, "nothing comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    world.site.kill_and_start()?;
    ensure!(!cut.wait()?.success(), "it was not cut off");
    let had = fs::metadata(&got)?.len();
    ensure!(had > 1_000_000, "{had}");
    let said = world.curl(NODE, &["-C", "-", "-o", &got, "-w", "%{http_code}"], &path)?;
    assert_eq!(said, "206");
    let sum = String::from_utf8(Command::new("sha256sum").arg(&got).output()?.stdout)?;
    ensure!(sum.starts_with(&layer), "{sum}");

    let copies: Vec<String> = (0..8)
        .map(|n| world.path(&format!("got-{n}")).display().to_string())
        .collect();
    let each = copies.iter().flat_map(|to| ["-o", to, &url]);
    let words: Vec<&str> = ["curl", "-sS", "--fail", "--parallel", "--cacert", &ca]
        .into_iter()
        .chain(each)
        .collect();
    world.site.run(NODE, &words)?;
    for copy in &copies {
        let sum = String::from_utf8(Command::new("sha256sum").arg(copy).output()?.stdout)?;
        ensure!(sum.starts_with(&layer), "{sum}");
    }
    Ok(())
}

#[test]
fn a_layer_that_is_not_what_it_was_is_not_given_and_told() -> anyhow::Result<()> {
    let mut world = World::up("t-registry-rot")?;
    world.add("docker.io/library/app:1", 50_000)?;
    let layer = world.layers[0].clone();
    let path = format!("/v2/docker.io/library/app/blobs/sha256:{layer}");
    let blob = world
        .site
        .lab
        .folder()
        .state_dir()
        .join("content/sha256")
        .join(&layer);
    let mut bytes = fs::read(&blob)?;
    bytes[1000] ^= 1;
    fs::write(&blob, bytes)?;
    let said = world.curl(NODE, &["-i"], &path)?;
    ensure!(
        said.contains("500 Internal Server Error") && said.contains("damaged"),
        "{said}"
    );
    let told: Vec<String> = world
        .site
        .events()?
        .iter()
        .map(|event| event.kind.to_string())
        .collect();
    for kind in ["content-damaged", "image-refused"] {
        ensure!(told.iter().any(|own| own == kind), "{told:?}");
    }
    fs::remove_file(&blob)?;
    let said = world.curl(NODE, &["-i"], &path)?;
    ensure!(
        said.contains("404 Not Found") && said.contains("BLOB_UNKNOWN"),
        "{said}"
    );
    Ok(())
}
