//! Building and packing a release, with a Go that is quick.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use faros_kubernetes::{BuildError, Builder, Built, Step};
use faros_model::kubernetes::Release;

type Outcome = Result<(), Box<dyn Error>>;

/// Files by their paths below a folder.
type Files = Vec<(PathBuf, Vec<u8>)>;

/// A folder with a Go in it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Result<Self, Box<dyn Error>> {
        let world = Self {
            folder: tempfile::tempdir()?,
        };
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata/go");
        fs::copy(data, world.path("go"))?;
        world.is_version("go1.99.0")?;
        let sources = world.path("sources/build/pause/linux");
        fs::create_dir_all(&sources)?;
        fs::write(sources.join("pause.c"), "int main(void) { return 0; }\n")?;
        Ok(world)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn is_version(&self, version: &str) -> std::io::Result<()> {
        fs::write(self.path("version"), version)
    }

    fn build(&self, cache: &str) -> (Result<Built, BuildError>, Vec<Step>) {
        let mut steps = Vec::new();
        let builder = Builder::new(None, self.path(cache)).map(|builder| builder.go(self.path("go").into()));
        let built = builder.and_then(|builder| builder.build(&mut |step| steps.push(step)));
        (built, steps)
    }

    /// What was built since the last look.
    fn log(&self) -> Vec<String> {
        let path = self.path("log");
        let text = fs::read_to_string(&path).unwrap_or_default();
        drop(fs::remove_file(path));
        text.lines().map(str::to_owned).collect()
    }
}

fn files(folder: &Path) -> Result<Files, Box<dyn Error>> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(at)? {
            let path = entry?.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push((path.strip_prefix(folder)?.to_owned(), fs::read(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[test]
fn what_was_built_once_is_kept_and_comes_out_the_same_elsewhere() -> Outcome {
    let world = World::new()?;
    let (first, _) = world.build("one");
    let first = first?;
    assert_eq!(
        world.log().len(),
        first.release.components.len() - 1,
        "pause is no Go"
    );

    let (again, steps) = world.build("one");
    assert_eq!(again?, first);
    assert_eq!(world.log(), [""; 0]);
    let all_kept = steps.iter().all(|step| match step {
        Step::Ended { kept, .. } => *kept,
        Step::Begins(_) | Step::Waits => true,
    });
    assert!(all_kept, "{steps:?}");

    let (other, _) = world.build("two");
    assert_eq!(files(&first.folder)?, files(&other?.folder)?);
    Ok(())
}

#[test]
fn a_release_has_all_that_it_names() -> Outcome {
    let world = World::new()?;
    let (built, _) = world.build("cache");
    let Built { folder, release } = built?;
    let noted: Release = serde_json::from_slice(&fs::read(folder.join("release.json"))?)?;
    assert_eq!(noted, release);
    for blob in [&release.extension, &release.sbom] {
        assert_eq!(fs::metadata(folder.join(&blob.file))?.len(), blob.size);
    }
    for name in [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "etcd",
        "coredns",
        "pause",
    ] {
        let image = release.image(name).ok_or(name)?;
        assert!(image.name.to_string().starts_with("faros.dev/kubernetes/"));
        assert!(
            folder
                .join("images/blobs/sha256")
                .join(image.digest.to_string())
                .is_file()
        );
    }
    let sbom: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("sbom.cdx.json"))?)?;
    let text = sbom.to_string();
    assert!(text.contains("pkg:golang/example.com/lib@v1.2.3") && text.contains("pkg:deb/debian/nftables@"));
    Ok(())
}

#[test]
fn a_build_that_was_cut_off_goes_on_where_it_was() -> Outcome {
    let world = World::new()?;
    fs::write(world.path("fails"), "github.com/coredns/coredns")?;
    let (failed, _) = world.build("cache");
    let Err(error) = failed else {
        return Err("it was built without a network".into());
    };
    assert!(matches!(error, BuildError::NoNetwork { .. }), "{error}");
    assert!(error.to_string().contains("coredns") && error.hint().is_some());
    let before = world.log();
    assert!(!before.is_empty());

    fs::remove_file(world.path("fails"))?;
    world.build("cache").0?;
    assert_eq!(world.log(), ["github.com/coredns/coredns"]);
    Ok(())
}

#[test]
fn a_kept_program_that_was_changed_is_built_again() -> Outcome {
    let world = World::new()?;
    let (built, _) = world.build("cache");
    let release = built?.release;
    world.log();
    for (path, _) in files(&world.path("cache/programs"))? {
        if path.ends_with("kubelet") {
            fs::write(world.path("cache/programs").join(path), "something else")?;
        }
    }
    assert_eq!(world.build("cache").0?.release, release);
    assert_eq!(world.log(), ["k8s.io/kubernetes/cmd/kubelet"]);
    Ok(())
}

#[test]
fn a_program_that_is_not_what_the_locked_go_makes_is_refused() -> Outcome {
    let world = World::new()?;
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("lock/lock.json");
    let lock: serde_json::Value = serde_json::from_slice(&fs::read(lock)?)?;
    world.is_version(lock["builtWith"].as_str().unwrap_or_default())?;
    let (refused, _) = world.build("cache");
    assert!(
        matches!(refused, Err(BuildError::OtherDigest { .. })),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn a_go_that_is_missing_or_too_old_is_told_before_anything_is_done() -> Outcome {
    let world = World::new()?;
    world.is_version("go1.25.9")?;
    let (old, steps) = world.build("cache");
    assert!(matches!(old, Err(BuildError::OldGo { .. })), "{old:?}");
    fs::remove_file(world.path("go"))?;
    let (none, _) = world.build("cache");
    assert!(matches!(none, Err(BuildError::NoGo(_))), "{none:?}");
    assert!(steps.is_empty() && !world.path("cache").exists());
    Ok(())
}

/// All of it for real, from nothing: 25 minutes of a processor, and 8 GB. That the programs have the digests of the
/// lock file is checked by the build itself.
#[test]
#[ignore = "needs Go and a module proxy, and takes half an hour"]
fn a_release_is_built_from_nothing() -> Outcome {
    let folder = tempfile::tempdir()?;
    let built = Builder::new(None, folder.path().join("cache"))?.build(&mut |_| ())?;
    assert!(built.release.extension.size > 50_000_000);
    Ok(())
}
