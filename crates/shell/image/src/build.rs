//! From a recipe to a folder with `image.json`, `vmlinuz`, `initramfs.img` and `root.tar.zst`.
//!
//! The order of the steps is here, and how each program is run. All source that decides the outcome is part of the
//! recipe's digest, so whoever kept an image can tell that it would come out otherwise now.

mod pack;
mod tree;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use faros_model::{
    content::{Family, ImageManifest},
    ids::Digest,
    site::Architecture,
};
use sha2::{Digest as _, Sha256};

use self::{
    pack::{blob, pack, pack_root, size},
    tree::{
        configure, dracut, kernel_version, link, local_boot, packages, take_config, take_kernel, trim_modules,
    },
};
use crate::recipe::{INSTALLER, Kernel, LOCAL_BOOT, ROOT, SUITE, Tree};

/// The archive keys of Debian, from the package `debian-archive-keyring`.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Programs that a build runs, with the Debian package of each.
const TOOLS: &[(&str, &str)] = &[
    ("mmdebstrap", "mmdebstrap"),
    ("zstd", "zstd"),
    ("cpio", "cpio"),
    ("xz", "xz-utils"),
    ("tar", "tar"),
];

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A program is missing.
    #[error("{program} is not installed; install the Debian package {package}")]
    Tool {
        /// The program.
        program: &'static str,
        /// Its package.
        package: &'static str,
    },
    /// A program failed.
    #[error("{program} failed ({status}): {said}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last words.
        said: String,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was being done.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The tree has no kernel.
    #[error("there is no kernel in the tree")]
    NoKernel,
}

/// Builds an image.
#[derive(Debug, Clone)]
pub struct Builder {
    mirror: String,
    kernel: Kernel,
}

impl Builder {
    /// A builder of node images, from the mirror that this machine's apt uses.
    pub fn new(kernel: Kernel) -> Self {
        Self {
            mirror: mirror().unwrap_or_else(|| "http://deb.debian.org/debian".to_owned()),
            kernel,
        }
    }

    /// Takes packages from this mirror.
    #[must_use]
    pub fn mirror(self, mirror: String) -> Self {
        Self { mirror, ..self }
    }

    /// Stands for all that decides the outcome, save the versions that the mirror has.
    pub fn recipe_digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        hasher.update(env!("CARGO_PKG_VERSION"));
        hasher.update(include_str!("recipe.rs"));
        hasher.update(include_str!("build.rs"));
        hasher.update(include_str!("build/tree.rs"));
        hasher.update(include_str!("build/pack.rs"));
        hasher.update(self.kernel.package());
        hasher.update(LOCAL_BOOT);
        for (path, _, text) in INSTALLER.files.iter().chain(ROOT.files) {
            hasher.update(path);
            hasher.update(text);
        }
        Digest(hasher.finalize().into())
    }

    /// Builds into `out`, which appears whole or not at all. `tell` hears of each step.
    ///
    /// # Errors
    /// What is missing, or which step failed.
    pub fn build(&self, out: &Path, tell: &mut dyn FnMut(&str)) -> Result<ImageManifest, BuildError> {
        for (program, package) in TOOLS {
            let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .any(|folder| folder.join(program).is_file());
            if !found {
                return Err(BuildError::Tool { program, package });
            }
        }
        if !Path::new(KEYRING).is_file() {
            return Err(BuildError::Tool {
                program: KEYRING,
                package: "debian-archive-keyring",
            });
        }
        let work = out.with_extension(format!("building-{}", std::process::id()));
        let result = self.build_in(&work, out, tell);
        // What is left of a build that failed is of no use.
        drop(fs::remove_dir_all(&work));
        result
    }

    fn build_in(
        &self,
        work: &Path,
        out: &Path,
        tell: &mut dyn FnMut(&str),
    ) -> Result<ImageManifest, BuildError> {
        let image = work.join("image");
        fs::create_dir_all(&image).map_err(at("make", &image))?;

        let tree = work.join(INSTALLER.name);
        tell("installer: fetching and unpacking Debian packages");
        self.bootstrap(&INSTALLER, &tree)?;
        let mut packages = packages(&tree)?;
        tell("installer: trimming and packing");
        let version = kernel_version(&tree)?;
        take_kernel(&tree, &version, &image.join("vmlinuz"))?;
        trim_modules(&tree, &version)?;
        configure(&INSTALLER, &tree)?;
        // The kernel starts /init of an initramfs.
        link("/usr/lib/systemd/systemd", &tree.join("init"))?;
        pack(&tree, &image.join("initramfs.img"))?;
        fs::remove_dir_all(&tree).map_err(at("remove", &tree))?;

        let tree = work.join(ROOT.name);
        tell("root: fetching and unpacking Debian packages");
        self.bootstrap(&ROOT, &tree)?;
        packages.extend(self::packages(&tree)?);
        packages.sort();
        packages.dedup();
        tell("root: making the initramfs");
        let version = kernel_version(&tree)?;
        let boot = tree.join("usr/lib/faros/boot");
        fs::create_dir_all(&boot).map_err(at("make", &boot))?;
        take_kernel(&tree, &version, &boot.join("vmlinuz"))?;
        take_config(&tree, &version)?;
        local_boot(&tree, &image.join("local-boot.efi"))?;
        configure(&ROOT, &tree)?;
        dracut(&tree, &version)?;
        tell("root: packing");
        pack_root(&tree, &image.join("root.tar.zst"))?;
        let unpacked_bytes = size(&tree)?;

        let name = self.kernel.image_name();
        let manifest = ImageManifest {
            name: name.parse().map_err(|_| BuildError::NoKernel)?,
            architecture: Architecture::X86_64,
            family: Family::Faros,
            kernel: blob(&image.join("vmlinuz"))?,
            initramfs: blob(&image.join("initramfs.img"))?,
            root: Some(blob(&image.join("root.tar.zst"))?),
            root_bytes: unpacked_bytes,
            local_boot: Some(blob(&image.join("local-boot.efi"))?),
            kernel_arguments: vec!["systemd.show_status=false".to_owned(), "quiet".to_owned()],
            packages,
        };
        let path = image.join("image.json");
        let text = serde_json::to_vec_pretty(&manifest)
            .map_err(io::Error::other)
            .map_err(at("write", &path))?;
        fs::write(&path, text).map_err(at("write", &path))?;
        if out.exists() {
            fs::remove_dir_all(out).map_err(at("replace", out))?;
        }
        if let Some(parent) = out.parent() {
            fs::create_dir_all(parent).map_err(at("make", parent))?;
        }
        fs::rename(&image, out).map_err(at("finish", out))?;
        Ok(manifest)
    }

    fn bootstrap(&self, recipe: &Tree, tree: &Path) -> Result<(), BuildError> {
        fs::create_dir_all(tree).map_err(at("make", tree))?;
        let include = format!(
            "--include={},{}",
            recipe.packages.join(","),
            self.kernel.package()
        );
        let tree = tree.display().to_string();
        let keyring = format!("--keyring={KEYRING}");
        let arguments = [
            "--variant=minbase",
            "--format=directory",
            "--quiet",
            keyring.as_str(),
            include.as_str(),
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--aptopt=Acquire::Languages \"none\"",
            SUITE,
            &tree,
            &self.mirror,
        ];
        run("mmdebstrap", &arguments, Stdio::null())
    }
}

/// The first mirror of Debian itself among the sources of this machine's apt.
fn mirror() -> Option<String> {
    let folder = fs::read_dir("/etc/apt/sources.list.d")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let files = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(folder);
    let texts: Vec<String> = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
    let mut words = texts
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| !line.trim_start().starts_with('#'));
    words.find_map(|line| {
        let mut words = line.split_whitespace();
        let url = words.find(|word| word.starts_with("http"))?.trim_end_matches('/');
        url.ends_with("/debian").then(|| url.to_owned())
    })
}

fn run(program: &str, arguments: &[&str], input: Stdio) -> Result<(), BuildError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(input)
        .output()
        .map_err(at("run", Path::new(program)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let said = lines[lines.len().saturating_sub(8)..].join("\n");
    Err(BuildError::Failed {
        program: program.to_owned(),
        status: output.status,
        said,
    })
}

fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError {
    let path = path.to_owned();
    move |source| BuildError::File { what, path, source }
}
