//! From the lock file to a folder with `release.json` and all that it names.
//!
//! Each program is built once and kept by the hash of what decides it: its pinned module with all sums, the flags,
//! the version of Go, and of the C libraries if it has C in it. So is the release as a whole. A build that was cut
//! off goes on with the next program.

mod images;

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use faros_model::{
    content::Blob,
    ids::Digest,
    kubernetes::{Component, KubeVersion, Release},
    site::Architecture,
};
use serde::Serialize;

use crate::{
    debian::{self, Linked, Package},
    error::{BuildError, at},
    extension,
    go::{self, Go},
    image::Layout,
    keep::{Keep, digest, digest_of, key},
    lock::{self, Pinned, Program, Wanted},
    run::{is_installed, run, text},
    sbom::{self, Made},
};

/// Programs that a build runs besides Go, with the Debian package of each.
const TOOLS: &[(&str, &str)] = &[
    ("cc", "gcc"),
    ("pkg-config", "pkg-config"),
    ("zstd", "zstd"),
    ("mksquashfs", "squashfs-tools"),
    ("mmdebstrap", "mmdebstrap"),
    (debian::KEYRING, "debian-archive-keyring"),
    ("dpkg-query", "dpkg"),
];

/// What the disk must have for packing, in megabytes, and for each program of a module with what Go keeps of it.
const SPACE: u64 = 1_500;
const SPACE_OF_PROGRAM: u64 = 700;

/// What decides how things are packed, so that a change of it packs again.
const PACKING: &[&str] = &[
    include_str!("build/images.rs"),
    include_str!("image.rs"),
    include_str!("files.rs"),
    include_str!("extension.rs"),
    include_str!("sbom.rs"),
    include_str!("../files/containerd.service"),
    include_str!("../files/kubelet.service"),
];

/// What a build is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Another build has the folder; it is waited for.
    Waits,
    /// Something begins.
    Begins(String),
    /// It ended.
    Ended {
        /// What.
        what: String,
        /// How long it took.
        took: Duration,
        /// Whether it was there from before.
        kept: bool,
    },
}

/// A release, built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where it is: `release.json`, the extension, the bill of materials, and `images/` in the OCI image layout.
    pub folder: PathBuf,
    /// What it is.
    pub release: Release,
}

/// Builds releases.
#[derive(Debug, Clone)]
pub struct Builder {
    cache: PathBuf,
    go: OsString,
    wanted: Wanted,
}

/// A program that is there.
#[derive(Debug, Clone)]
struct Ready {
    program: Program,
    path: PathBuf,
    sha256: Digest,
    packages: Vec<Package>,
}

impl Builder {
    /// A builder of this version of Kubernetes, or of the newest, which keeps what it builds in `cache`.
    ///
    /// # Errors
    /// If the lock file does not have the version.
    pub fn new(version: Option<KubeVersion>, cache: PathBuf) -> Result<Self, BuildError> {
        Ok(Self {
            cache,
            go: "go".into(),
            wanted: lock::wanted(version)?,
        })
    }

    /// Uses this `go`.
    #[must_use]
    pub fn go(self, go: OsString) -> Self {
        Self { go, ..self }
    }

    /// The version that is built.
    pub fn version(&self) -> KubeVersion {
        self.wanted.release.version
    }

    /// Builds what is not there yet. `tell` hears of each step.
    ///
    /// # Errors
    /// What is missing, or which step failed.
    pub fn build(&self, tell: &mut dyn FnMut(Step)) -> Result<Built, BuildError> {
        for (what, package) in TOOLS {
            if !is_installed(what) {
                return Err(BuildError::Tool { what, package });
            }
        }
        let go = Go::find(self.go.clone(), &self.wanted.go)?;
        fs::create_dir_all(&self.cache).map_err(at("make", &self.cache))?;
        // Other programs are run in other folders.
        let cache = fs::canonicalize(&self.cache).map_err(at("find", &self.cache))?;
        let keep = Keep::open(&cache, &mut || tell(Step::Waits))?;

        let nft = debian::nft(&keep)?;
        let mut ready = Vec::new();
        for pinned in &self.wanted.modules {
            for program in &pinned.module.programs {
                let what = format!("{} {}", program.name, program.version);
                ready.push(step(tell, what, |kept| {
                    self.program(&go, &keep, pinned, program, kept)
                })?);
            }
        }
        let what = format!("pause {}", self.wanted.release.pause);
        ready.push(step(tell, what, |kept| self.pause(&go, &keep, kept))?);
        self.release(&go, &keep, &ready, &nft, tell)
    }

    /// Builds a program, unless it is there, unharmed.
    fn program(
        &self,
        go: &Go,
        keep: &Keep,
        pinned: &Pinned,
        program: &Program,
        kept: &mut bool,
    ) -> Result<Ready, BuildError> {
        let module = &pinned.module;
        let mut packages = Vec::new();
        for package in &module.c {
            packages.push(debian::version(package)?);
        }
        let decides = (
            (&program.package, go::flags(module), &go.version),
            (&pinned.go_mod, &pinned.go_sum),
            &packages,
        );
        let key = key(&decides);
        let place = keep.place("programs", key).join(&program.name);
        if let Some(sha256) = held(&place) {
            *kept = true;
            return Ok(Ready {
                program: program.clone(),
                path: place,
                sha256,
                packages,
            });
        }
        let needed = SPACE_OF_PROGRAM * module.programs.len() as u64;
        has_space(&self.cache, needed)?;
        if let Some(cache) = go.cache() {
            has_space(&cache, needed)?;
        }
        if module.c.iter().any(|package| package == "libseccomp-dev") {
            let mut command = Command::new("pkg-config");
            run(command.args(["--exists", "libseccomp"]), "pkg-config").map_err(|_| BuildError::Tool {
                what: "libseccomp",
                package: "libseccomp-dev",
            })?;
        }
        let folder = keep.work().join(&module.folder);
        go::lay_out(pinned, &folder)?;
        let made = keep.work().join("program");
        fs::create_dir_all(&made).map_err(at("make", &made))?;
        let path = made.join(&program.name);
        go.build(&folder, module, program, &path)?;
        let sha256 = finish(&path)?;
        // Only this Go makes the digests of the lock file; of another one, the sums of all sources have to do.
        if let Some(expected) = program.sha256.filter(|_| go.version == self.wanted.built_with)
            && expected != sha256
        {
            return Err(BuildError::OtherDigest {
                program: program.name.clone(),
                expected: expected.to_string(),
                found: sha256.to_string(),
                go: go.version.clone(),
            });
        }
        let folder = keep.put(&made, "programs", key)?;
        Ok(Ready {
            program: program.clone(),
            path: folder.join(&program.name),
            sha256,
            packages,
        })
    }

    /// The program of the container that holds a pod together. It is C, in the sources of Kubernetes.
    fn pause(&self, go: &Go, keep: &Keep, kept: &mut bool) -> Result<Ready, BuildError> {
        const FLAGS: &[&str] = &["-Os", "-Wall", "-Werror", "-static", "-s"];
        let version = &self.wanted.release.pause;
        let kubernetes = self.wanted.modules.iter().find_map(|pinned| {
            let program = pinned.module.programs.iter().find(|p| p.name == "kubelet");
            program.map(|program| (pinned, program))
        });
        let (pinned, kubelet) = kubernetes.ok_or_else(|| BuildError::Lock("it has no kubelet".to_owned()))?;
        let program = Program {
            name: "pause".to_owned(),
            module: kubelet.module.clone(),
            version: version.clone(),
            package: "build/pause/linux/pause.c".to_owned(),
            sha256: None,
        };
        let compiler = text(Command::new("cc").arg("--version"), "cc")?;
        let packages = vec![debian::version("libc6-dev")?];
        let key = key(&((&compiler, FLAGS, version), &pinned.go_sum, &packages));
        let place = keep.place("programs", key).join(&program.name);
        if let Some(sha256) = held(&place) {
            *kept = true;
            return Ok(Ready {
                program,
                path: place,
                sha256,
                packages,
            });
        }
        let folder = keep.work().join(&pinned.module.folder);
        go::lay_out(pinned, &folder)?;
        let sources = go.sources(&folder, &program.module)?;
        let made = keep.work().join("program");
        fs::create_dir_all(&made).map_err(at("make", &made))?;
        let path = made.join(&program.name);
        let mut command = Command::new("cc");
        command.current_dir(&sources).args(FLAGS);
        command.arg(format!("-DVERSION={version}")).arg("-o").arg(&path);
        run(command.arg(&program.package), "cc")?;
        let sha256 = finish(&path)?;
        let folder = keep.put(&made, "programs", key)?;
        Ok(Ready {
            path: folder.join(&program.name),
            program,
            sha256,
            packages,
        })
    }

    /// Packs the release, unless it is there.
    fn release(
        &self,
        go: &Go,
        keep: &Keep,
        ready: &[Ready],
        nft: &Linked,
        tell: &mut dyn FnMut(Step),
    ) -> Result<Built, BuildError> {
        let mut decides = vec![PACKING.join("")];
        decides.extend(ready.iter().map(|ready| ready.sha256.to_string()));
        for (path, here) in &nft.files {
            decides.push(format!("{path} {}", digest_of(here)?.0));
        }
        for package in ["squashfs-tools", "zstd"] {
            let Package { name, version } = debian::version(package)?;
            decides.push(format!("{name} {version}"));
        }
        decides.push(format!("{:?}", self.wanted.date));
        let key = key(&decides);
        let place = keep.place("releases", key);
        let manifest = place.join("release.json");
        if let Some(release) = fs::read(&manifest)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
        {
            tell(Step::Ended {
                what: format!("release {}", self.version()),
                took: Duration::ZERO,
                kept: true,
            });
            return Ok(Built {
                folder: place,
                release,
            });
        }
        has_space(&self.cache, SPACE)?;
        let folder = keep.work().join("release");
        let mut layout = Layout::new(&folder.join("images"), self.wanted.date)?;
        let place_of = |name: &str| {
            let ready = ready.iter().find(|ready| ready.program.name == name);
            let missing = || BuildError::Lock(format!("it has no {name}"));
            ready.map(|ready| ready.path.as_path()).ok_or_else(missing)
        };
        let mut images = Vec::new();
        for recipe in images::recipes(&self.wanted.release, ready, nft)? {
            images.push(step(tell, format!("image {}", recipe.name), |_| {
                layout.add(&recipe)
            })?);
        }
        layout.finish()?;
        let extension = step(tell, format!("extension kubernetes-{}", self.version()), |_| {
            extension::pack(self.version(), self.wanted.date, &place_of, &folder, &keep.work())
        })?;
        let mut made = Vec::new();
        for ready in ready {
            made.push(ready.made(go, nft)?);
        }
        let document = sbom::document(self.version(), self.wanted.date, key, &made);
        let sbom = write(&folder, "sbom.cdx.json", &document)?;
        let release = Release {
            version: self.version(),
            architecture: Architecture::X86_64,
            components: made.into_iter().map(|made| made.component).collect(),
            images,
            extension,
            sbom,
        };
        write(&folder, "release.json", &release)?;
        Ok(Built {
            folder: keep.put(&folder, "releases", key)?,
            release,
        })
    }
}

impl Ready {
    fn made(&self, go: &Go, nft: &Linked) -> Result<Made, BuildError> {
        let mut packages = self.packages.clone();
        if self.program.name == "kube-proxy" {
            packages.extend(nft.packages.iter().cloned());
        }
        let is_go = self.program.name != "pause";
        Ok(Made {
            component: Component {
                name: self.program.name.clone(),
                version: self.program.version.clone(),
                module: self.program.module.clone(),
                sha256: self.sha256,
            },
            modules: if is_go {
                go.modules_of(&self.path)?
            } else {
                Vec::new()
            },
            packages,
        })
    }
}

/// Tells of a step's begin and end.
fn step<T>(
    tell: &mut dyn FnMut(Step),
    what: String,
    act: impl FnOnce(&mut bool) -> Result<T, BuildError>,
) -> Result<T, BuildError> {
    tell(Step::Begins(what.clone()));
    let (began, mut kept) = (Instant::now(), false);
    let done = act(&mut kept)?;
    let took = began.elapsed();
    tell(Step::Ended { what, took, kept });
    Ok(done)
}

/// The digest of a kept program, if it is still what was kept.
fn held(program: &Path) -> Option<Digest> {
    let noted = fs::read_to_string(program.with_extension("sha256")).ok()?;
    let (found, _) = digest_of(program).ok()?;
    (noted.parse() == Ok(found)).then_some(found)
}

/// Notes a program's digest beside it.
fn finish(program: &Path) -> Result<Digest, BuildError> {
    let (sha256, _) = digest_of(program)?;
    let note = program.with_extension("sha256");
    fs::write(&note, sha256.to_string()).map_err(at("write", &note))?;
    Ok(sha256)
}

fn write(folder: &Path, file: &str, value: &impl Serialize) -> Result<Blob, BuildError> {
    let path = folder.join(file);
    let text = serde_json::to_vec_pretty(value).map_err(std::io::Error::other);
    let text = text.map_err(at("write", &path))?;
    fs::write(&path, &text).map_err(at("write", &path))?;
    Ok(Blob {
        file: file.to_owned(),
        digest: digest(&text),
        size: text.len() as u64,
    })
}

fn has_space(folder: &Path, needed: u64) -> Result<(), BuildError> {
    let exists = folder
        .ancestors()
        .find(|folder| folder.exists())
        .unwrap_or(folder);
    let stat = rustix::fs::statvfs(exists).map_err(|error| at("look at", exists)(error.into()))?;
    let free = stat.f_bavail * stat.f_frsize / 1_000_000;
    if free < needed {
        return Err(BuildError::NoSpace {
            path: folder.to_owned(),
            free,
            needed,
        });
    }
    Ok(())
}
