//! What is done to a tree between unpacking and packing: what is taken out of it, what is made in it by its own
//! programs, and what of ours is put in.
//!
//! Programs that the packages bring run below `chroot`, so that the machine that builds need not have them.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Stdio,
};

use super::{BuildError, at, run};
use crate::recipe::{LOCAL_BOOT, LOCAL_BOOT_MODULES, MODULES, NEEDLESS, Tree};

/// `name version` of every package in the tree, sorted.
pub(super) fn packages(tree: &Path) -> Result<Vec<String>, BuildError> {
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
pub(super) fn kernel_version(tree: &Path) -> Result<String, BuildError> {
    let boot = tree.join("boot");
    let entries = fs::read_dir(&boot).map_err(at("list", &boot))?;
    let mut names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .find_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned))
        .ok_or(BuildError::NoKernel)
}

pub(super) fn take_kernel(tree: &Path, version: &str, to: &Path) -> Result<(), BuildError> {
    let from = tree.join("boot").join(format!("vmlinuz-{version}"));
    fs::copy(&from, to).map_err(at("copy", &from))?;
    Ok(())
}

/// Puts what the kernel was built with beside its modules, for whoever asks whether it has what they need, as kubeadm
/// does: the folder where Debian has it is left out.
pub(super) fn take_config(tree: &Path, version: &str) -> Result<(), BuildError> {
    let from = tree.join("boot").join(format!("config-{version}"));
    let to = tree.join("usr/lib/modules").join(version).join("config");
    fs::copy(&from, to).map_err(at("copy", &from))?;
    Ok(())
}

/// Keeps the modules of the recipe, uncompressed: the whole initramfs is compressed, and unpacking each
/// again costs time under emulation.
pub(super) fn trim_modules(tree: &Path, version: &str) -> Result<(), BuildError> {
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
pub(super) fn local_boot(tree: &Path, to: &Path) -> Result<(), BuildError> {
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
pub(super) fn dracut(tree: &Path, version: &str) -> Result<(), BuildError> {
    let base = tree.display().to_string();
    let to = "/usr/lib/faros/boot/initramfs.img";
    run(
        "chroot",
        &[&base, "dracut", "--quiet", "--force", "--kver", version, to],
        Stdio::null(),
    )
}

/// Our files, and what is left out.
pub(super) fn configure(recipe: &Tree, tree: &Path) -> Result<(), BuildError> {
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

pub(super) fn link(target: &str, path: &Path) -> Result<(), BuildError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(at("make", folder))?;
    }
    drop(fs::remove_file(path));
    symlink(target, path).map_err(at("link", path))
}
