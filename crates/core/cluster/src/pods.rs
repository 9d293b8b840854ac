//! Which addresses the pods of a node have.
//!
//! Each address of the LAN that a node may have stands for one block of the pod network, by its index in the LAN's
//! subnet. So a node's block follows from the site file alone: it does not depend on the order in which nodes join,
//! no two nodes share one, and whoever knows a node's address can write the route to its pods.

use std::net::Ipv4Addr;

use faros_model::{
    net::Subnet,
    site::{Node, Site},
};

/// The smallest block that a node may have: room for 25 pods.
const SMALLEST: u8 = 27;

/// A block need not be larger than this: 254 addresses are more than a kubelet runs pods.
const LARGEST: u8 = 24;

/// The most pods that upstream Kubernetes is tested with on one node.
const USUAL_PODS: u32 = 110;

/// The blocks of a pod network, one for each address of a LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodBlocks {
    pods: Subnet,
    lan: Subnet,
    prefix: u8,
}

/// The pod network cannot be cut into a block for each address of the LAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pod network {pods} has no block of /{SMALLEST} for each address of the LAN {lan}")]
pub struct PodNetworkTooSmall {
    /// The pod network.
    pub pods: Subnet,
    /// The LAN.
    pub lan: Subnet,
    /// The longest prefix that would do.
    pub prefix: u8,
}

impl PodBlocks {
    /// Cuts a pod network.
    ///
    /// # Errors
    /// It is too small for so large a LAN.
    pub fn of(pods: Subnet, lan: Subnet) -> Result<Self, PodNetworkTooSmall> {
        let host_bits = 32 - lan.prefix();
        let prefix = (pods.prefix() + host_bits).max(LARGEST);
        if prefix > SMALLEST {
            let prefix = SMALLEST.saturating_sub(host_bits);
            return Err(PodNetworkTooSmall { pods, lan, prefix });
        }
        Ok(Self { pods, lan, prefix })
    }

    /// Those of a site.
    ///
    /// # Errors
    /// As [`PodBlocks::of`]; not for a site with a kubeadm cluster, whose check has refused that.
    pub fn of_site(site: &Site) -> Result<Self, PodNetworkTooSmall> {
        Self::of(site.cluster.pod_network, site.lan.subnet)
    }

    /// The block of whoever has this address; `None` outside of the LAN.
    pub fn block(self, address: Ipv4Addr) -> Option<Subnet> {
        if !self.lan.contains(address) {
            return None;
        }
        let idx = address.to_bits() - self.lan.network().to_bits();
        let first = self.pods.network().to_bits() + (idx << (32 - self.prefix));
        Some(Subnet::of(Ipv4Addr::from_bits(first), self.prefix))
    }

    /// How many pods a node may run. An address is free again only some time after its pod is gone, so a small
    /// block is not filled to the last one.
    pub fn max_pods(self) -> u32 {
        let addresses = (1 << (32 - self.prefix)) - 3;
        (addresses - addresses / 6).min(USUAL_PODS)
    }

    /// The routes to the pods of the other nodes: destination, and the node behind which it is.
    pub fn routes<'a>(self, site: &'a Site, to: &'a Node) -> impl Iterator<Item = (Subnet, Ipv4Addr)> + 'a {
        let peers = site.nodes.values().filter(move |node| node.name != to.name);
        peers.filter_map(move |node| Some((self.block(node.address)?, node.address)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(pods: &str, lan: &str) -> Result<PodBlocks, PodNetworkTooSmall> {
        PodBlocks::of(pods.parse().unwrap(), lan.parse().unwrap())
    }

    #[test]
    fn a_block_follows_from_the_address() {
        let rows = [
            (
                "10.128.0.0/14",
                "192.168.8.0/24",
                "192.168.8.11",
                "10.128.11.0/24",
                110,
            ),
            (
                "10.128.0.0/14",
                "192.168.8.0/24",
                "192.168.8.254",
                "10.128.254.0/24",
                110,
            ),
            (
                "10.128.0.0/14",
                "172.16.0.0/22",
                "172.16.3.1",
                "10.131.1.0/24",
                110,
            ),
            (
                "10.244.0.0/16",
                "10.0.0.128/25",
                "10.0.0.130",
                "10.244.2.0/24",
                110,
            ),
            (
                "10.244.0.0/18",
                "192.168.8.0/24",
                "192.168.8.3",
                "10.244.0.192/26",
                51,
            ),
            (
                "10.244.0.0/19",
                "192.168.8.0/24",
                "192.168.8.3",
                "10.244.0.96/27",
                25,
            ),
        ];
        for (pods, lan, address, block, max_pods) in rows {
            let blocks = blocks(pods, lan).unwrap();
            let found = blocks.block(address.parse().unwrap()).unwrap();
            assert_eq!((found.to_string().as_str(), blocks.max_pods()), (block, max_pods));
        }
    }

    #[test]
    fn a_pod_network_that_is_too_small_is_told_what_would_do() {
        let why = blocks("10.244.0.0/20", "192.168.8.0/24").unwrap_err();
        assert_eq!(why.prefix, 19);
        assert!(blocks("10.244.0.0/19", "192.168.8.0/24").is_ok());
        assert_eq!(blocks("10.128.0.0/14", "10.0.0.0/16").unwrap_err().prefix, 11);
        assert_eq!(
            blocks("10.128.0.0/14", "10.0.0.0/16").unwrap_err().to_string(),
            "the pod network 10.128.0.0/14 has no block of /27 for each address of the LAN 10.0.0.0/16"
        );
    }

    #[test]
    fn who_is_not_on_the_lan_has_no_block() {
        let blocks = blocks("10.128.0.0/14", "192.168.8.0/24").unwrap();
        assert_eq!(blocks.block("192.168.9.1".parse().unwrap()), None);
    }

    proptest! {
        #[test]
        fn no_two_nodes_share_a_pod_address(pods in any::<u32>(), lan in any::<u32>(), pods_prefix in 4_u8..=24, lan_prefix in 16_u8..=30, one in any::<u32>(), other in any::<u32>()) {
            let pods = Subnet::of(Ipv4Addr::from_bits(pods), pods_prefix);
            let lan = Subnet::of(Ipv4Addr::from_bits(lan), lan_prefix);
            let host = |n: u32| Ipv4Addr::from_bits(lan.network().to_bits() | (n & !lan.netmask().to_bits()));
            let (one, other) = (host(one), host(other));
            match PodBlocks::of(pods, lan) {
                Err(why) => {
                    prop_assert!(why.prefix < pods.prefix());
                    let larger = Subnet::of(pods.network(), why.prefix);
                    prop_assert!(PodBlocks::of(larger, lan).is_ok());
                }
                Ok(blocks) => {
                    let (a, b) = (blocks.block(one).unwrap(), blocks.block(other).unwrap());
                    prop_assert!(pods.contains(a.network()) && pods.contains(a.broadcast()));
                    prop_assert_eq!(one == other, a.overlaps(b));
                    prop_assert!(blocks.max_pods() >= 24);
                    prop_assert!(u64::from(blocks.max_pods()) < a.hosts().unwrap().len());
                }
            }
        }
    }
}
