//! Configuration of containerd 2, and that every image comes from the bastion.

use crate::file::File;

/// Where nodes have the certificate of the site's authority.
pub(crate) const SITE_CA: &str = "/etc/faros/site-ca.crt";

pub(crate) fn files(registry: &str, pause: &str) -> [File; 2] {
    [
        File::open("/etc/containerd/config.toml", config(pause)),
        File::open("/etc/containerd/certs.d/_default/hosts.toml", hosts(registry)),
    ]
}

fn config(pause: &str) -> String {
    format!(
        r"# Made by Faros.
version = 3
# An operator's own settings come after these.
imports = ['/etc/containerd/conf.d/*.toml']

[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '{pause}'
  [plugins.'io.containerd.cri.v1.images'.registry]
    config_path = '/etc/containerd/certs.d'

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/usr/libexec/cni']
  conf_dir = '/etc/cni/net.d'

[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = 'runc'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = true
"
    )
}

/// Whatever an image is called, its content comes from the bastion and from nobody else: `server` is named too, so
/// that nothing is asked of the registry that the image's name says. It has the authority a second time: containerd asks
/// there too, and would complain of a certificate where there is just no such image.
fn hosts(registry: &str) -> String {
    format!(
        "# Every image comes from the bastion: made by Faros.\nserver = \"https://{registry}\"\nca = \"{SITE_CA}\"\n\n\
         [host.\"https://{registry}\"]\n  capabilities = [\"pull\", \"resolve\"]\n  ca = \"{SITE_CA}\"\n"
    )
}
