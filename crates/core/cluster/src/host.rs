//! What every node of a cluster has on its disk before it joins: configuration of containerd, kubelet, kernel and
//! pods' network, and the small program that joins it.

use faros_model::{
    ports::NETBOOT_HTTP,
    site::{Node, Site},
};

use crate::{
    cni, containerd,
    file::File,
    kubeadm::Images,
    names::Names,
    pods::{PodBlocks, PodNetworkTooSmall},
};

/// Unit that joins the node, and starts its kubelet ever after.
pub const JOIN_UNIT: &str = "faros-join.service";

const JOIN: &str = "/etc/faros/join";
const TEND: &str = "/etc/faros/tend";
const COMMON: &str = "/etc/faros/common";
const SECRET: &str = "/etc/faros/join.secret";

/// A unit of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name.
    pub name: &'static str,
    /// What is in it; `None` for one that is there and must never start.
    pub text: Option<String>,
}

/// Files and units of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeParts {
    /// Files.
    pub files: Vec<File>,
    /// Units.
    pub units: Vec<Unit>,
}

/// By what a node and its bastion know each other when it joins.
#[derive(Clone, Copy)]
pub struct Bond<'a> {
    /// The certificate of the site's authority, in PEM.
    pub site_ca: &'a str,
    /// What this installation of the node shows, and nobody else has.
    pub secret: &'a str,
}

impl std::fmt::Debug for Bond<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bond([hidden])")
    }
}

/// The files and units of a node.
///
/// # Errors
/// The pod network has no block for each address of the LAN, which the check of a site file refuses.
pub fn node_parts(
    site: &Site,
    node: &Node,
    images: &Images,
    bond: &Bond<'_>,
) -> Result<NodeParts, PodNetworkTooSmall> {
    let names = Names::of(site);
    let mut files = vec![
        File::open("/etc/modules-load.d/faros-kubernetes.conf", MODULES),
        File::open("/etc/sysctl.d/90-faros-kubernetes.conf", SYSCTLS),
        // An empty configuration makes no swap of memory.
        File::open("/etc/systemd/zram-generator.conf", ""),
        File::open("/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", KUBELET),
        File::open(containerd::SITE_CA, bond.site_ca),
        File::open("/etc/faros/join.env", environment(site, node, &names)),
        File::secret(SECRET, bond.secret),
        File::open(COMMON, include_str!("../files/common")),
        File {
            mode: 0o755,
            ..File::open(JOIN, include_str!("../files/join"))
        },
        File {
            mode: 0o755,
            ..File::open(TEND, include_str!("../files/tend"))
        },
    ];
    files.extend(containerd::files(&names.registry, &images.pause));
    let mut units = vec![
        Unit {
            name: JOIN_UNIT,
            text: Some(join_unit()),
        },
        Unit {
            name: "faros-tend.service",
            text: Some(tend_unit()),
        },
        Unit {
            name: "faros-tend.timer",
            text: Some(TEND_TIMER.to_owned()),
        },
        Unit {
            name: "swap.target",
            text: None,
        },
    ];
    if site.cluster.network_plugin == "bridge" {
        let blocks = PodBlocks::of_site(site)?;
        if let Some(block) = blocks.block(node.address) {
            files.extend(cni::files(site, block));
            units.push(Unit {
                name: cni::UNIT,
                text: Some(cni::unit()),
            });
        }
    }
    Ok(NodeParts { files, units })
}

fn environment(site: &Site, node: &Node, names: &Names) -> String {
    let bastion = site.lan.addresses.bastion;
    format!(
        "url=https://{registry}/join/{name}\nreport=http://{bastion}:{NETBOOT_HTTP}/report/{name}\n",
        registry = names.registry,
        name = node.name
    )
}

/// It comes after the programs of the system extension are there, and starts what needs them itself: systemd does not
/// know their units when it plans a start. And after the bastion was told that the node runs: before, it gives nothing.
fn join_unit() -> String {
    format!(
        "[Unit]\nDescription=Join the cluster, or start this node's part of it\nWants=network-online.target \
         systemd-sysext.service\nAfter=network-online.target systemd-sysext.service systemd-modules-load.service \
         systemd-sysctl.service time-sync.target faros-report.service\n\n[Service]\nType=exec\nExecStart=/bin/sh {JOIN}\nRestart=on-failure\n\
         RestartSec=10\nKillMode=mixed\n\n[Install]\nWantedBy=multi-user.target\n"
    )
}

/// It runs when its timer says so, and never at once with a join.
fn tend_unit() -> String {
    format!(
        "[Unit]\nDescription=Tend this node's part of the cluster\nAfter={JOIN_UNIT}\n\n[Service]\nType=oneshot\n\
         ExecStart=/bin/sh {TEND}\nTimeoutStartSec=1h\n"
    )
}

const TEND_TIMER: &str = "[Unit]
Description=Tend this node's part of the cluster, every two minutes

[Timer]
OnBootSec=2min
OnUnitInactiveSec=2min
RandomizedDelaySec=20s

[Install]
WantedBy=timers.target
";

/// Layers of images, pods on a bridge that are filtered, connections that are followed.
const MODULES: &str = "overlay\nbr_netfilter\nnf_conntrack\n";

/// What kubelet and kube-proxy need of the kernel, and what the kubelet would otherwise refuse to start without
/// (`protectKernelDefaults`).
const SYSCTLS: &str = "# Made by Faros.
net.ipv4.ip_forward = 1
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
vm.overcommit_memory = 1
vm.panic_on_oom = 0
kernel.panic = 10
kernel.panic_on_oops = 1
kernel.keys.root_maxkeys = 1000000
kernel.keys.root_maxbytes = 25000000
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
";

/// kubeadm's own, as its packages have it.
const KUBELET: &str = "# Made by Faros.
[Service]
Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"
Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
";
