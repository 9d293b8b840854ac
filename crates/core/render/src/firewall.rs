//! A node's packet filter, and what loads it.

use std::collections::BTreeMap;

use faros_model::site::{Distribution, Node, Site};
use faros_ports::{Facts, Machine, nft};

/// Where it stands on the node.
pub(crate) const PATH: &str = "/etc/faros/node.nft";

/// The name of what loads it.
pub(crate) const UNIT: &str = "faros-firewall.service";

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

/// Loads them before anything is said on the network, and leaves them when it is stopped: nobody else's rules are
/// touched. A node on which they cannot be loaded starts all the same, because nobody is there to help it.
pub(crate) fn unit() -> String {
    format!(
        "[Unit]\nDescription=What may reach this node\nDefaultDependencies=no\n\
         Wants=network-pre.target\nBefore=network-pre.target shutdown.target\nConflicts=shutdown.target\n\
         ConditionPathExists={PATH}\nConditionFileIsExecutable=/usr/sbin/nft\n\n[Service]\nType=oneshot\n\
         RemainAfterExit=yes\nExecStart=/usr/sbin/nft -f {PATH}\nExecReload=/usr/sbin/nft -f {PATH}\n\n\
         [Install]\nWantedBy=sysinit.target\n"
    )
}
