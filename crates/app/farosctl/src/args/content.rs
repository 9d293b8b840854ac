//! `farosctl content …` and `farosctl image …`: what nodes are made of.

use std::{ffi::OsString, path::PathBuf};

use clap::{Subcommand, ValueEnum};
use faros_model::{kubernetes::KubeVersion, oci::Platform};

use super::values::{kube_version, platform};

#[derive(Debug, Subcommand)]
pub(crate) enum ContentCommand {
    /// Add a file, a folder with an image or a release, or container images out of an archive.
    #[command(after_help = "Examples:
  farosctl content add ./debian-13/                an image of nodes: a folder with image.json
  farosctl content add ./v1.36.3/                  a release of Kubernetes: a folder with release.json
  farosctl content add firmware.bin --name firmware/x1
  docker save nginx:1.27 > nginx.tar
  farosctl content add --oci nginx.tar             nodes find it as docker.io/library/nginx:1.27
  farosctl content add --oci app.tar --name example.com/app:2 --platform linux/amd64

An archive is an OCI image layout in a tar file, or what `docker save` writes. It is read whole before anything of it
is added.")]
    Add {
        /// The file, the folder, or the archive.
        path: PathBuf,
        /// Its name in the store; of a file, by default its own. Of an image in an archive, its full name.
        #[arg(long)]
        name: Option<String>,
        /// It is an archive of container images.
        #[arg(long)]
        oci: bool,
        /// Which one, if the archive has an image for several platforms, such as linux/amd64.
        #[arg(long, value_name = "OS/ARCH", value_parser = platform, requires = "oci")]
        platform: Option<Platform>,
    },
    /// Build content from its sources.
    Build {
        #[command(subcommand)]
        what: BuildCommand,
    },
    /// List what there is.
    List,
    /// Read everything and compare it with its digests.
    Verify,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BuildCommand {
    /// Build what a Kubernetes cluster is made of, from Go modules, and add it to the bastion's content.
    #[command(after_help = "Examples:
  farosctl content build kubernetes                        the newest version, onto the bastion
  farosctl content build kubernetes --version v1.35.4
  farosctl content build kubernetes --output-dir ./v1.36.3  into a folder; add it later by `content add`

The first build takes 12 to 25 minutes on two cores, and 7 GB of disk. Every program is kept when it is finished: a
build that was interrupted goes on where it was, and a version that has not changed is not built again. Needs Go 1.26 or
newer, and the Debian packages gcc, libc6-dev, libseccomp-dev, pkg-config, nftables, squashfs-tools and zstd.")]
    Kubernetes {
        /// The version of Kubernetes; the newest that is locked, if it is not given.
        #[arg(long, value_name = "VERSION", value_parser = kube_version)]
        version: Option<KubeVersion>,
        /// Put the release into this folder, and do not add it to the bastion.
        #[arg(long, value_name = "DIR")]
        output_dir: Option<PathBuf>,
        /// Where what was built is kept; by default ~/.cache/faros/kubernetes.
        #[arg(long, value_name = "DIR", env = "FAROS_KUBERNETES_CACHE")]
        cache_dir: Option<PathBuf>,
        /// The `go` to build with.
        #[arg(long, value_name = "PATH", default_value = "go")]
        go: OsString,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Build the node operating system from Debian packages, and add it to the bastion's content. Needs root.
    #[command(after_help = "Examples:
  farosctl image build                             image debian-13, for machines of any make
  farosctl image build --kernel cloud              image debian-13-cloud, for virtual machines
  farosctl image build --out ./debian-13           build only; add it later by `content add`")]
    Build {
        /// Whose drivers it has.
        #[arg(long, value_enum, default_value_t = ImageKernel::Generic)]
        kernel: ImageKernel,
        /// Keep the image in this folder, and do not add it to the bastion.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Debian mirror; by default the one that this machine's apt uses.
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImageKernel {
    /// All of Debian's drivers for networks and disks.
    Generic,
    /// For virtual machines: small, and quick to start.
    Cloud,
}
