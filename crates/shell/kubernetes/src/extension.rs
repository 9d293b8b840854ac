//! The system extension of a node: a squashfs that `systemd-sysext` lays over `/usr`, the same on every system.

use std::{fs, path::Path, process::Command};

use faros_model::{content::Blob, kubernetes::KubeVersion};

use crate::{
    error::{BuildError, at},
    files::Files,
    keep::digest_of,
    run::run,
};

/// Programs that nodes run outside of images, by folder.
pub(crate) const PROGRAMS: &[(&str, &[&str])] = &[
    (
        "usr/bin",
        &[
            "kubeadm",
            "kubelet",
            "kubectl",
            "containerd",
            "containerd-shim-runc-v2",
            "ctr",
            "runc",
            "etcdctl",
            "etcdutl",
        ],
    ),
    (
        "usr/libexec/cni",
        &["bridge", "host-local", "loopback", "portmap", "ptp"],
    ),
];

const UNITS: &[(&str, &str)] = &[
    ("containerd.service", include_str!("../files/containerd.service")),
    ("kubelet.service", include_str!("../files/kubelet.service")),
];

/// Packs the programs that `place` finds into `folder/kubernetes-VERSION.raw`.
pub(crate) fn pack<'a>(
    version: KubeVersion,
    date: jiff::Timestamp,
    place: &dyn Fn(&str) -> Result<&'a Path, BuildError>,
    folder: &Path,
    work: &Path,
) -> Result<Blob, BuildError> {
    let name = format!("kubernetes-{version}");
    let mut files = Files::default();
    for (below, programs) in PROGRAMS {
        for program in *programs {
            files.program(&format!("{below}/{program}"), place(program)?);
        }
    }
    for (unit, text) in UNITS {
        files.text(&format!("usr/lib/systemd/system/{unit}"), text);
    }
    // Any system will do: the programs are static. systemd reads its units again once they are there.
    files.text(
        &format!("usr/lib/extension-release.d/extension-release.{name}"),
        "ID=_any\nARCHITECTURE=x86-64\nEXTENSION_RELOAD_MANAGER=1\n",
    );
    let tree = work.join("extension");
    files.lay_out(&tree)?;
    let file = format!("{name}.raw");
    let path = folder.join(&file);
    let date = date.as_second().to_string();
    let mut command = Command::new("mksquashfs");
    command.arg(&tree).arg(&path);
    command.args(["-comp", "zstd", "-Xcompression-level", "12", "-b", "256K"]);
    command.args(["-all-root", "-no-xattrs", "-noappend", "-no-progress", "-quiet"]);
    command.args(["-mkfs-time", &date, "-all-time", &date]);
    run(&mut command, "mksquashfs")?;
    fs::remove_dir_all(&tree).map_err(at("remove", &tree))?;
    let (digest, size) = digest_of(&path)?;
    Ok(Blob { file, digest, size })
}
