//! The pods' network by the plain plug-ins: a bridge on each node, addresses from the node's own block, and routes
//! between the nodes. Small, works with no download, and every part of it can be seen with `ip` and `nft`.

use faros_model::{net::Subnet, site::Site};
use serde_json::json;

use crate::file::File;

/// Where the table stands that lets pods reach what is no pod.
pub(crate) const MASQUERADE: &str = "/etc/faros/pods.nft";

/// The unit that loads it.
pub(crate) const UNIT: &str = "faros-pods.service";

pub(crate) fn files(site: &Site, block: Subnet) -> [File; 2] {
    let bridge = json!({
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": true,
        "hairpinMode": true,
        "mtu": site.lan.mtu,
        "ipam": {
            "type": "host-local",
            "ranges": [[{ "subnet": block }]],
            "routes": [{ "dst": "0.0.0.0/0" }],
            // Pods do not outlive a restart of the node, so neither does what is written of their addresses.
            "dataDir": "/run/cni/networks",
        },
    });
    let ports = json!({ "type": "portmap", "backend": "nftables", "capabilities": { "portMappings": true } });
    let list = json!({ "cniVersion": "1.0.0", "name": "faros", "plugins": [bridge, ports] });
    [
        File::open("/etc/cni/net.d/10-faros.conflist", format!("{list:#}\n")),
        File::open(MASQUERADE, masquerade(block, site.cluster.pod_network)),
    ]
}

/// Nobody beyond the cluster knows the way to a pod, so a node speaks for its pods there. Among pods each has its own
/// address.
fn masquerade(block: Subnet, pods: Subnet) -> String {
    format!(
        "# Pods of this node reach what is no pod by the node's address: made by Faros.\n\
         table inet faros_pods\ndelete table inet faros_pods\ntable inet faros_pods {{\n\
         \tchain leaving {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\
         \t\tip saddr {block} ip daddr != {pods} oifname != \"cni0\" masquerade\n\t}}\n}}\n"
    )
}

pub(crate) fn unit() -> String {
    format!(
        "[Unit]\nDescription=Let pods reach what is no pod\nDefaultDependencies=no\nWants=network-pre.target\n\
         Before=network-pre.target shutdown.target\nConflicts=shutdown.target\n\n[Service]\nType=oneshot\n\
         RemainAfterExit=yes\nExecStart=/usr/sbin/nft -f {MASQUERADE}\n\n[Install]\nWantedBy=sysinit.target\n"
    )
}
