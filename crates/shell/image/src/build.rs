//! From a recipe to a folder with `image.json`, `vmlinuz`, `initramfs.img` and `root.tar.zst`.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use faros_model::{
    content::{Blob, Family, ImageManifest},
    ids::Digest,
    site::Architecture,
};
use sha2::{Digest as _, Sha256};

use crate::recipe::{
    INSTALLER, Kernel, LOCAL_BOOT, LOCAL_BOOT_MODULES, MODULES, NEEDLESS, ROOT, SUITE, Tree,
};

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

/// `name version` of every package in the tree, sorted.
fn packages(tree: &Path) -> Result<Vec<String>, BuildError> {
    let path = tree.join("var/lib/dpkg/status");
    let status = fs::read_to_string(&path).map_err(at("read", &path))?;
    let mut packages = Vec::new();
    let mut name = "";
    for line in status.lines() {
        if let Some(own) = line.strip_prefix("Package: ") {
            name = own;
        } else if let Some(version) = line.strip_prefix("Version: ") {
            packages.push(format!("{name} {version}"));
        }
    }
    packages.sort();
    Ok(packages)
}

/// The version of the tree's kernel, as `uname -r` will say it.
fn kernel_version(tree: &Path) -> Result<String, BuildError> {
    let boot = tree.join("boot");
    let entries = fs::read_dir(&boot).map_err(at("list", &boot))?;
    let mut names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .find_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned))
        .ok_or(BuildError::NoKernel)
}

fn take_kernel(tree: &Path, version: &str, to: &Path) -> Result<(), BuildError> {
    let from = tree.join("boot").join(format!("vmlinuz-{version}"));
    fs::copy(&from, to).map_err(at("copy", &from))?;
    Ok(())
}

/// Puts what the kernel was built with beside its modules, for whoever asks whether it has what they need, as kubeadm
/// does: the folder where Debian has it is left out.
fn take_config(tree: &Path, version: &str) -> Result<(), BuildError> {
    let from = tree.join("boot").join(format!("config-{version}"));
    let to = tree.join("usr/lib/modules").join(version).join("config");
    fs::copy(&from, to).map_err(at("copy", &from))?;
    Ok(())
}

/// Keeps the modules of the recipe, uncompressed: the whole initramfs is compressed, and unpacking each
/// again costs time under emulation.
fn trim_modules(tree: &Path, version: &str) -> Result<(), BuildError> {
    let root = tree.join("usr/lib/modules").join(version).join("kernel");
    let mut todo = vec![root.clone()];
    let mut compressed = Vec::new();
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let own = path
                .strip_prefix(&root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            let kept = MODULES.iter().any(|keep| {
                own.strip_prefix(keep)
                    .is_some_and(|rest| rest.starts_with('/') || rest.starts_with(".ko"))
            });
            if !kept {
                fs::remove_file(&path).map_err(at("remove", &path))?;
            } else if path.extension().is_some_and(|ending| ending == "xz") {
                compressed.push(path.display().to_string());
            }
        }
    }
    for some in compressed.chunks(500) {
        let mut arguments = vec!["-d", "--"];
        arguments.extend(some.iter().map(String::as_str));
        run("xz", &arguments, Stdio::null())?;
    }
    let base = tree.display().to_string();
    // Modules that others need and the recipe leaves out are built in, or not needed without them.
    // The tree has kmod; this machine may not.
    run("chroot", &[&base, "depmod", version], Stdio::null())
}

/// The program that starts a UEFI machine's own disk, by the tree's own GRUB; its parts leave the tree again.
fn local_boot(tree: &Path, to: &Path) -> Result<(), BuildError> {
    let base = tree.display().to_string();
    let config = tree.join("run/local-boot.cfg");
    let commands = LOCAL_BOOT.lines().filter(|line| !line.starts_with('#'));
    let commands: String = commands.flat_map(|line| [line, "\n"]).collect();
    fs::write(&config, commands).map_err(at("write", &config))?;
    let mut arguments = vec![
        base.as_str(),
        "grub-mkimage",
        "--format=x86_64-efi",
        "--output=/run/local-boot.efi",
        "--config=/run/local-boot.cfg",
        "--prefix=/EFI",
    ];
    arguments.extend(LOCAL_BOOT_MODULES);
    run("chroot", &arguments, Stdio::null())?;
    let made = tree.join("run/local-boot.efi");
    fs::copy(&made, to).map_err(at("copy", &made))?;
    for path in [&made, &config] {
        fs::remove_file(path).map_err(at("remove", path))?;
    }
    let parts = tree.join("usr/lib/grub/x86_64-efi");
    fs::remove_dir_all(&parts).map_err(at("remove", &parts))
}

/// The initramfs of the installed node, by the tree's own dracut.
fn dracut(tree: &Path, version: &str) -> Result<(), BuildError> {
    let base = tree.display().to_string();
    let to = "/usr/lib/faros/boot/initramfs.img";
    run(
        "chroot",
        &[&base, "dracut", "--quiet", "--force", "--kver", version, to],
        Stdio::null(),
    )
}

/// Our files, and what is left out.
fn configure(recipe: &Tree, tree: &Path) -> Result<(), BuildError> {
    for needless in NEEDLESS.iter().chain(recipe.needless) {
        let path = tree.join(needless);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at("remove", &path)(error)),
            _ => (),
        }
    }
    for folder in [
        "var/log",
        "var/cache",
        "var/lib/dpkg",
        "var/tmp",
        "boot",
        "etc/faros",
    ] {
        let path = tree.join(folder);
        fs::create_dir_all(&path).map_err(at("make", &path))?;
    }
    for (file, mode, text) in recipe.files {
        let path = tree.join(file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(at("make", folder))?;
        }
        fs::write(&path, text).map_err(at("write", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).map_err(at("write", &path))?;
    }
    let units = tree.join("etc/systemd/system");
    let masked = recipe.masked.iter().map(|unit| (*unit, "/dev/null"));
    for (name, target) in masked.chain(recipe.wanted.iter().copied()) {
        link(target, &units.join(name))?;
    }
    // The bastion is named by its address, so no name needs to be found out.
    let path = tree.join("etc/hostname");
    fs::write(&path, "node\n").map_err(at("write", &path))?;
    let path = tree.join("etc/machine-id");
    fs::write(&path, recipe.machine_id).map_err(at("write", &path))
}

fn link(target: &str, path: &Path) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at("make", folder))?;
    }
    drop(fs::remove_file(path));
    symlink(target, path).map_err(at("link", path))
}

/// The tree as a compressed cpio archive; names sorted, so that equal trees make equal archives.
fn pack(tree: &Path, to: &Path) -> Result<(), BuildError> {
    let script = "cd \"$1\" && find . -mindepth 1 -printf '%P\\0' | LC_ALL=C sort -z \
                  | cpio --null --quiet --create --format=newc --reproducible \
                  | zstd --quiet --force -T0 -15 -o \"$2\"";
    let (tree, to) = (tree.display().to_string(), to.display().to_string());
    run("sh", &["-e", "-c", script, "pack", &tree, &to], Stdio::null())
}

/// The tree as a compressed tar archive; names sorted and times left out, so that equal trees make equal
/// archives.
fn pack_root(tree: &Path, to: &Path) -> Result<(), BuildError> {
    let script = "tar --create --directory \"$1\" --sort=name --mtime=@0 --numeric-owner \
                  --xattrs --xattrs-include='*' --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
                  --exclude=./dev/* --exclude=./proc/* --exclude=./sys/* --exclude=./run/* --exclude=./tmp/* . \
                  | zstd --quiet --force -T0 -12 -o \"$2\"";
    let (tree, to) = (tree.display().to_string(), to.display().to_string());
    run("sh", &["-e", "-c", script, "pack", &tree, &to], Stdio::null())
}

/// How many bytes the files below a folder have.
fn size(tree: &Path) -> Result<u64, BuildError> {
    let mut sum = 0;
    let mut todo = vec![tree.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).map_err(at("list", &folder))?.flatten() {
            let meta = entry.metadata().map_err(at("look at", &folder))?;
            if meta.is_dir() {
                todo.push(entry.path());
            } else {
                sum += meta.len();
            }
        }
    }
    Ok(sum)
}

fn blob(path: &Path) -> Result<Blob, BuildError> {
    let mut file = fs::File::open(path).map_err(at("read", path))?;
    let mut hasher = Sha256::new();
    let size = io::copy(&mut file, &mut HashWriter(&mut hasher)).map_err(at("read", path))?;
    let file = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Blob {
        file,
        digest: Digest(hasher.finalize().into()),
        size,
    })
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
