//! A node's packet filter, and what loads it.

use std::collections::BTreeMap;

use faros_model::site::{Distribution, Node, Site};
use faros_ports::{Facts, Machine, nft};

/// Where it stands on the node.
pub(crate) const PATH: &str = "/etc/faros/node.nft";

/// The name of what loads it.
pub(crate) const UNIT: &str = "faros-firewall.service";

/// Where a node that is not of our own images has what reports on it.
pub(crate) const REPORT: &str = "/etc/faros/started.sh";

/// The node's rules, from the port matrix. `None` on OpenShift, whose own operators filter what reaches its nodes,
/// and whose network plug-in speaks to them from addresses that no site file knows; and where the site file has no
/// cluster, for nobody here knows what will run on the node.
pub fn rules(site: &Site, node: &Node) -> Option<String> {
    match site.cluster.distribution {
        Distribution::Openshift | Distribution::None => None,
        Distribution::Kubeadm => Some(nft::fragment(site, &Facts::of(site), &Machine::node(node))),
    }
}

/// The rules of all nodes, each text once, with the nodes that have it.
pub fn all_rules(site: &Site) -> Vec<(Option<String>, Vec<&Node>)> {
    let mut all: BTreeMap<_, Vec<&Node>> = BTreeMap::new();
    for node in site.nodes.values() {
        all.entry(nft::kind(site, &Machine::node(node)))
            .or_default()
            .push(node);
    }
    let mut texts = Vec::new();
    for nodes in all.into_values() {
        let text = nodes.first().and_then(|node| rules(site, node));
        texts.push((text, nodes));
    }
    texts
}

/// What the kernel makes of them, in one number; the same in the image's `/usr/lib/faros/started`.
const SEEN: &str = "nft -s list table inet faros_node | sha256sum";

/// Where that number is kept from when they are loaded on.
const LOADED: &str = "/run/faros/filter";

/// Loads them before anything is said on the network, and leaves them when it is stopped: nobody else's rules are
/// touched. A node on which they cannot be loaded, as one without nft, starts all the same, because nobody is there to
/// help it; but the unit has failed, and the node's report says so.
pub(crate) fn unit() -> String {
    format!(
        "[Unit]\nDescription=What may reach this node\nDefaultDependencies=no\n\
         Wants=network-pre.target\nBefore=network-pre.target shutdown.target\nConflicts=shutdown.target\n\
         \n[Service]\nType=oneshot\nRemainAfterExit=yes\n\
         ExecStart=/usr/sbin/nft -f {PATH}\nExecStart=/bin/sh -c '{keep}'\n\
         ExecReload=/usr/sbin/nft -f {PATH}\nExecReload=/bin/sh -c '{keep}'\n\n\
         [Install]\nWantedBy=sysinit.target\n",
        keep = format_args!("mkdir -p /run/faros && {SEEN} >{LOADED}"),
    )
}

/// A script of a node that is not of our own images: tells that it runs, and how its filter is.
pub(crate) fn report(url: &str) -> String {
    format!(
        r#"# Tells the bastion that this node runs, and whether its packet filter is as it was loaded.
filtered=false changed=false
if nft list table inet faros_node >/dev/null 2>&1; then
  filtered=true
  [ "$({SEEN})" = "$(cat {LOADED})" ] || changed=true
fi
digest=$(sha256sum <{PATH} | cut -d' ' -f1)
exec curl -fsS --retry 20 --retry-all-errors -H 'Content-Type: application/json' \
  -d "{{\"report\":\"started\",\"filtered\":$filtered,\"filterChanged\":$changed,\"filter\":\"$digest\"}}" {url}
"#
    )
}
