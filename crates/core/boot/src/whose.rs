//! Whose packet it was.

use std::{
    collections::{HashMap, VecDeque},
    net::Ipv4Addr,
};

use faros_model::{
    ids::{HostName, MacAddr},
    site::Site,
};

/// So many addresses are remembered at most; the one that was learned first goes first.
const MAX_ADDRESSES: usize = 4096;

/// Who a machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A node of the site.
    Node(HostName),
    /// A host that is no node: an extra host, or a node's board management controller.
    Host(HostName),
    /// A machine that the site file does not know.
    Stranger(MacAddr),
    /// Nothing tells.
    Nobody,
}

/// Which machine was given which address, as far as it is no machine of the site file.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    macs: HashMap<Ipv4Addr, MacAddr>,
    order: VecDeque<Ipv4Addr>,
}

impl Addresses {
    pub(crate) fn learn(&mut self, address: Ipv4Addr, mac: MacAddr) {
        if self.macs.insert(address, mac).is_none() {
            self.order.push_back(address);
        }
        if self.order.len() > MAX_ADDRESSES
            && let Some(oldest) = self.order.pop_front()
        {
            self.macs.remove(&oldest);
        }
    }

    pub(crate) fn mac(&self, address: Ipv4Addr) -> Option<MacAddr> {
        self.macs.get(&address).copied()
    }
}

/// A MAC says it all. Without one, an address that the site file gives to someone is that one's, and any other
/// is the machine's that was last given it.
pub(crate) fn whose(
    site: Option<&Site>,
    leased: &Addresses,
    mac: Option<MacAddr>,
    address: Option<Ipv4Addr>,
) -> Whose {
    let fixed = || by_address(site?, address?);
    let lessee = || leased.mac(address?);
    match mac {
        Some(mac) => by_mac(site, mac),
        None => fixed()
            .or_else(|| lessee().map(|mac| by_mac(site, mac)))
            .unwrap_or(Whose::Nobody),
    }
}

fn by_mac(site: Option<&Site>, mac: MacAddr) -> Whose {
    let known = |site: &Site| {
        let node = site.node_by_mac(mac).map(|node| Whose::Node(node.name.clone()));
        let host = || site.lan.hosts.values().find(|host| host.mac == Some(mac));
        let bmc = || {
            let owns = |bmc: &faros_model::site::Bmc| bmc.mac == Some(mac);
            site.nodes
                .values()
                .find(|node| node.bmc.as_ref().is_some_and(owns))
        };
        node.or_else(|| host().map(|host| Whose::Host(host.name.clone())))
            .or_else(|| bmc().and_then(|node| management_name(&node.name)))
    };
    site.and_then(known).unwrap_or(Whose::Stranger(mac))
}

fn by_address(site: &Site, address: Ipv4Addr) -> Option<Whose> {
    let node = site.nodes.values().find(|node| node.address == address);
    let host = || site.lan.hosts.values().find(|host| host.address == address);
    let bmc = || {
        let owns = |bmc: &faros_model::site::Bmc| bmc.address == address;
        site.nodes
            .values()
            .find(|node| node.bmc.as_ref().is_some_and(owns))
    };
    node.map(|node| Whose::Node(node.name.clone()))
        .or_else(|| host().map(|host| Whose::Host(host.name.clone())))
        .or_else(|| bmc().and_then(|node| management_name(&node.name)))
}

/// The name of a node's board management controller, as DNS has it.
fn management_name(node: &HostName) -> Option<Whose> {
    format!("{node}-mgmt").parse().ok().map(Whose::Host)
}
